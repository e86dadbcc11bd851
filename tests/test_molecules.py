"""Molecules to simulate."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.data import covalent_radii
from ase.io import write

from pyg_remul.molecules import MOLECULES, load_molecule

FORMULAS = {
    "aspirin": "C9H8O4",
    "benzene": "C6H6",
    "ethanol": "C2H6O",
    "malonaldehyde": "C3H4O2",
    "naphthalene": "C10H8",
    "salicylic": "C7H6O3",
    "toluene": "C7H8",
    "uracil": "C4H4N2O2",
}
MD17_ORDER = {
    "aspirin": "CCCCCCCOOOCCO",
    "benzene": "CCCCCC",
    "ethanol": "CCO",
    "malonaldehyde": "CCCOO",
    "naphthalene": "CCCCCCCCCC",
    "salicylic": "CCCOCCCCOO",
    "toluene": "CCCCCCC",
    "uracil": "CCNCNCOO",
}


def bonds(atoms):
    radii = covalent_radii[atoms.numbers]
    return (atoms.get_all_distances() < 1.25 * np.add.outer(radii, radii)) & ~np.eye(
        len(atoms), dtype=bool
    )


@pytest.fixture
def file(tmp_path):
    """Writes a file that ASE reads."""

    def make(atoms, name="water.xyz", **options):
        write(tmp_path / name, atoms, **options)
        return str(tmp_path / name)

    return make


def water(**options):
    return Atoms("OHH", [[0.0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]], **options)


def test_molecules_are_those_of_md17():
    assert set(MOLECULES) == set(FORMULAS)


@pytest.mark.parametrize(("name", "formula"), FORMULAS.items(), ids=list(FORMULAS))
def test_molecule_has_its_formula(name, formula):
    assert load_molecule(name).get_chemical_formula() == formula


@pytest.mark.parametrize(("name", "heavy"), MD17_ORDER.items(), ids=list(MD17_ORDER))
def test_atoms_are_in_the_order_of_md17(name, heavy):
    symbols = "".join(load_molecule(name).get_chemical_symbols())
    assert symbols == heavy + "H" * (len(symbols) - len(heavy))


@pytest.mark.parametrize("name", MOLECULES)
def test_centre_of_mass_is_the_origin(name):
    np.testing.assert_allclose(load_molecule(name).get_center_of_mass(), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        ("aspirin", "0-2 2-3 3-1 1-6 6-5 5-0 5-10 10-7 10-9 6-12 12-11 11-8 11-4"),
        ("benzene", "0-1 1-2 2-3 3-4 4-5 5-0"),
        ("ethanol", "0-1 1-2"),
        ("malonaldehyde", "0-1 1-2 2-3 0-4"),
        ("naphthalene", "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-0 4-9"),
        ("salicylic", "1-2 2-4 4-5 5-6 6-7 7-1 1-0 2-3 0-8 0-9"),
        ("toluene", "0-1 1-2 2-3 3-4 4-5 5-6 6-1"),
        ("uracil", "0-1 1-2 2-3 3-4 4-5 5-0 3-6 5-7"),
    ],
    ids=list(FORMULAS),
)
def test_heavy_atoms_are_bonded(name, pairs):
    atoms = load_molecule(name)
    heavy = atoms[atoms.numbers > 1]
    expected = {tuple(sorted(map(int, pair.split("-")))) for pair in pairs.split()}
    assert set(zip(*np.nonzero(np.triu(bonds(heavy))), strict=True)) == expected


@pytest.mark.parametrize("name", MOLECULES)
def test_hydrogen_is_bonded_once_and_carbon_to_its_valence(name):
    atoms = load_molecule(name)
    degrees = bonds(atoms).sum(axis=1)
    assert (degrees[atoms.numbers == 1] == 1).all()
    assert np.isin(degrees[atoms.numbers == 6], (3, 4)).all()


def test_malonaldehyde_is_the_dialdehyde():
    atoms = load_molecule("malonaldehyde")
    hydrogens = bonds(atoms)[:5, 5:].sum(axis=1)
    assert hydrogens.tolist() == [1, 2, 1, 0, 0]


def test_call_gives_atoms_of_its_own():
    load_molecule("benzene").positions[:] = 0
    assert np.abs(load_molecule("benzene").positions).max() > 1


@pytest.mark.parametrize("name", ["water.xyz", "water.traj", "water.json", "water.pdb"])
def test_file_of_ase_is_read(file, name):
    atoms = load_molecule(file(water(), name))
    assert atoms.get_chemical_formula() == "H2O"
    np.testing.assert_allclose(atoms.positions, water().positions, atol=1e-3)


def test_last_geometry_of_a_file_is_taken(file):
    later = water()
    later.positions += 1
    path = file([water(), later])
    np.testing.assert_allclose(load_molecule(path).positions, later.positions, atol=1e-6)


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"`molecule` must be one of 'aspirin', .*, got 'water'"):
        load_molecule("water")


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.xyz", "three\natoms\n"), ("a.xyz", ""), ("a.traj", "text"), ("a.unknown", "text")],
    ids=["malformed", "empty", "other format", "unknown format"],
)
def test_unreadable_file_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=rf"file .*{name} is refused: ASE cannot read it"):
        load_molecule(str(tmp_path / name))


def test_periodic_structure_is_refused(file):
    path = file(water(cell=[5, 5, 5], pbc=True), "water.traj")
    with pytest.raises(ValueError, match=r"water.traj is refused: it is periodic"):
        load_molecule(path)


def test_single_atom_is_refused(file):
    with pytest.raises(ValueError, match="is refused: it holds fewer than two atoms"):
        load_molecule(file(Atoms("He")))
