"""Files in MD17's layout, written part by part."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from ase import units

from pyg_remul.md17_format import KCAL_PER_MOL, write_array


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<i8"])
def test_parts_are_read_as_one_array(tmp_path, dtype):
    values = np.arange(24).reshape(4, 2, 3).astype(dtype)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        write_array(archive, "R", values.shape, dtype, (row.tobytes() for row in values))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["R"].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(file["R"], values)


def test_a_kilocalorie_a_mole_is_known():
    assert pytest.approx(1 / KCAL_PER_MOL, abs=1e-6) == 23.060548
    assert units.kcal / units.mol == KCAL_PER_MOL
