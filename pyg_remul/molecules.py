"""Molecules to simulate: those of MD17 by name, others from files."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import ase.io
from ase import Atoms

from pyg_remul.files import refusal

__all__ = ["MOLECULES", "load_molecule"]

MOLECULES = (
    *("aspirin", "benzene", "ethanol", "malonaldehyde", "naphthalene"),
    *("salicylic", "toluene", "uracil"),
)
"""The molecules of MD17 that the paper trains on."""


def load_molecule(molecule: str) -> Atoms:
    """Loads a molecule, with no calculator.

    The molecules of MD17 come relaxed by GFN2-xTB, their forces below 0.001 eV/Å, and with
    their atoms in MD17's order; ``docs/make_molecules.py`` made them. Malonaldehyde is
    the dialdehyde, O=CH-CH2-CH=O, as it is in MD17.

    Args:
        molecule: One of :data:`MOLECULES`, or the path of a file that ASE reads, whose last
            geometry is taken.

    Returns:
        The atoms, with positions in Å.

    Raises:
        ValueError: If it is no such name or file, or no single molecule in vacuum.

    Example:
        >>> load_molecule("ethanol").get_chemical_formula()
        'C2H6O'
    """
    if molecule in MOLECULES:
        with as_file(files(__package__) / "molecules.xyz") as path:
            known = ase.io.read(path, index=":", format="extxyz")
        (atoms,) = (atoms for atoms in known if atoms.info["name"] == molecule)
        return atoms
    if not Path(molecule).is_file():
        names = ", ".join(map(repr, MOLECULES))
        raise ValueError(f"`molecule` must be one of {names}, or a file, got {molecule!r}.")
    return _read(Path(molecule))


def _read(path: Path) -> Atoms:
    try:
        atoms = ase.io.read(path)
    except Exception as error:  # each of ASE's readers fails in its own way
        raise refusal(path, f"ASE cannot read it ({error})") from error
    if atoms.pbc.any():
        raise refusal(path, "it is periodic, not a molecule in vacuum")
    if len(atoms) < 2:
        raise refusal(path, "it holds fewer than two atoms")
    return Atoms(atoms.numbers, atoms.positions)
