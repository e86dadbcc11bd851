"""Npz files in MD17's layout, written without holding their arrays in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from zipfile import ZipFile

import numpy as np
from ase import units
from numpy.lib import format as npy

__all__ = ["KCAL_PER_MOL", "write_array"]

KCAL_PER_MOL: Final[float] = units.kcal / units.mol
"""A kcal/mol in ASE's unit of energy, the electronvolt: 0.0433641, by ASE's CODATA 2014."""


def write_array(
    archive: ZipFile, name: str, shape: tuple[int, ...], dtype: Any, parts: Iterable[bytes]
) -> None:
    """Writes an array into an open npz file, part by part.

    Args:
        archive: The file.
        name: The array's name.
        shape: Its shape.
        dtype: Its type.
        parts: Its values in C order, as bytes.

    Example:
        >>> import io
        >>> with ZipFile(file := io.BytesIO(), "w") as archive:
        ...     write_array(archive, "E", (2, 1), "<f8", [np.ones(1).tobytes()] * 2)
        >>> _ = file.seek(0)
        >>> np.load(file)["E"].tolist()
        [[1.0], [1.0]]
    """
    header = {"descr": npy.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as target:
        npy.write_array_header_1_0(target, header)
        for part in parts:
            target.write(part)
