from __future__ import annotations

from pathlib import Path

import ase.build
import numpy as np
import pytest
from trajectories import ETHANOL, NUM_FRAMES, arrays, write

from pyg_remul.datasets import _md17_files
from pyg_remul.datasets._md17_files import MOLECULES, Molecule, file_names, read_composition

HEAVY = {
    "aspirin": 13,
    "benzene": 6,
    "ethanol": 3,
    "malonaldehyde": 5,
    "naphthalene": 10,
    "salicylic": 10,
    "toluene": 7,
    "uracil": 8,
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the published trajectory of ethanol be as short as the tests'."""
    monkeypatch.setitem(MOLECULES, "ethanol", Molecule("C2H6O", NUM_FRAMES, ("md17_ethanol.npz",)))


@pytest.mark.parametrize("molecule", HEAVY)
def test_formulas_have_the_heavy_atoms_of_the_benchmark(molecule: str) -> None:
    symbols = ase.Atoms(MOLECULES[molecule].formula).numbers
    assert (symbols > 1).sum() == HEAVY[molecule]


def test_both_naming_schemes_are_known() -> None:
    assert file_names("uracil", "md17") == ("md17_uracil.npz", "uracil_dft.npz")


def test_benzene_is_that_of_2017() -> None:
    assert file_names("benzene", "md17") == ("md17_benzene2017.npz", "benzene_old_dft.npz")


def test_other_sources_have_a_name_of_their_own() -> None:
    assert file_names("ethanol", "xtb") == ("ethanol_xtb.npz",)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f8"])
def test_a_good_file_gives_its_atoms_and_length(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path, R=arrays()["R"].astype(dtype))
    z, num_frames = read_composition(path, "ethanol", "xtb")
    assert (z.tolist(), num_frames) == (ETHANOL.numbers.tolist(), NUM_FRAMES)


@pytest.mark.parametrize("member", ["E", "F"])
def test_energies_and_forces_may_be_absent(tmp_path: Path, member: str) -> None:
    read_composition(write(tmp_path, **{member: None}), "ethanol", "xtb")


def test_energies_may_be_flat(tmp_path: Path) -> None:
    read_composition(write(tmp_path, E=np.zeros(NUM_FRAMES)), "ethanol", "xtb")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"R": None}, "it lacks `R` or `z`"),
        ({"z": None}, "it lacks `R` or `z`"),
        ({"R": arrays()["R"][:, :8]}, r"its `R` has shape \[1000, 8, 3\] .* not \[1000, 9, 3\]"),
        ({"R": arrays()["R"][..., :2]}, r"its `R` has shape \[1000, 9, 2\]"),
        ({"R": np.zeros((1000, 9, 3), int)}, "its `R` has .* type int64, .*floating-point"),
        ({"F": arrays()["F"][:-1]}, r"its `F` has shape \[999, 9, 3\]"),
        ({"E": arrays()["E"][:-1]}, r"its `E` has shape \[999, 1\]"),
        ({"z": ETHANOL.numbers[None]}, r"its `z` has shape \[1, 9\]"),
        ({"z": ETHANOL.numbers.astype(float)}, "its `z` has .* type float64, .*integers"),
        ({"z": ETHANOL.numbers * 0}, "its `z` holds numbers that no atom has"),
        ({"z": ETHANOL.numbers + 118}, "its `z` holds numbers that no atom has"),
        ({"z": np.full(9, 6)}, "it holds C9, not C2H6O"),
        ({"z": np.array([object()] * 9)}, "its array `z` .*type is object"),
        ({"E": np.array([None] * 1000)}, "its array `E` .*type is object"),
    ],
    ids=[
        "no R",
        "no z",
        "fewer atoms",
        "two columns",
        "integers",
        "fewer forces",
        "fewer energies",
        "z of two axes",
        "z of floats",
        "no elements",
        "beyond the elements",
        "other molecule",
        "z of objects",
        "E of objects",
    ],
)
def test_other_contents_are_refused(
    tmp_path: Path, changes: dict[str, np.ndarray | None], reason: str
) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"ethanol_xtb.npz is refused: .*{reason}"):
        read_composition(path, "ethanol", "xtb")


def test_other_numbers_of_frames_are_not_the_published_file(tmp_path: Path) -> None:
    path = write(tmp_path, "md17_ethanol.npz")
    with pytest.raises(ValueError, match="it has 1000 frames, not the 555092 of the published"):
        read_composition(path, "ethanol", "md17")


def test_the_published_number_of_frames_is_taken(tmp_path: Path, short: None) -> None:
    assert read_composition(write(tmp_path), "ethanol", "md17")[1] == NUM_FRAMES


def test_the_later_calculation_of_benzene_is_refused(tmp_path: Path) -> None:
    benzene = ase.build.molecule("C6H6")
    positions = np.zeros((49_863, 12, 3), np.float32)
    path = write(tmp_path, "benzene_old_dft.npz", R=positions, z=benzene.numbers, E=None, F=None)
    with pytest.raises(ValueError, match=r"49863 frames, not the 627983 .*of 2018, not .*of 2017"):
        read_composition(path, "benzene", "md17")


def test_names_outside_the_table_may_hold_any_molecule(tmp_path: Path) -> None:
    path = write(tmp_path, z=np.full(9, 6))
    assert read_composition(path, "carbon", "xtb")[0].tolist() == [6] * 9


@pytest.mark.parametrize(("limit", "value"), [("MAX_ATOMS", 8), ("MAX_FRAMES", 999)])
def test_excessive_sizes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(_md17_files, limit, value)
    with pytest.raises(ValueError, match="it has 1000 frames of 9 atoms, too many to read"):
        read_composition(write(tmp_path), "ethanol", "xtb")
