"""Makes pyg_remul/molecules.xyz: the molecules of MD17 at their minima of GFN2-xTB."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed
from ase.data import covalent_radii
from ase.io import write
from ase.optimize import BFGS
from scipy.optimize import minimize
from tblite.ase import TBLite

from pyg_remul.dynamics import Array

BONDS = {
    "aspirin": (
        *("CCCCCCCOOOCCOHHHHHHHH", "0-2 2-3 3-1 1-6 6-5 5-0 5-10 10-7 10-9 6-12 12-11 11-8 11-4"),
        "0-14 1-15 2-16 3-17 9-13 4-18 4-19 4-20",
    ),
    "benzene": ("CCCCCCHHHHHH", "0-1 1-2 2-3 3-4 4-5 5-0", "0-6 1-7 2-8 3-9 4-10 5-11"),
    "ethanol": ("CCOHHHHHH", "0-1 1-2", "0-3 0-4 0-5 1-6 1-7 2-8"),
    "malonaldehyde": ("CCCOOHHHH", "0-1 1-2 2-3 0-4", "0-5 1-6 1-7 2-8"),
    "naphthalene": (
        *("CCCCCCCCCCHHHHHHHH", "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-8 8-9 9-0 4-9"),
        "0-10 1-11 2-12 3-13 5-14 6-15 7-16 8-17",
    ),
    "salicylic": (
        *("CCCOCCCCOOHHHHHH", "1-2 2-4 4-5 5-6 6-7 7-1 1-0 2-3 0-8 0-9"),
        "4-10 5-11 6-12 7-13 3-14 9-15",
    ),
    "toluene": (
        *("CCCCCCCHHHHHHHH", "0-1 1-2 2-3 3-4 4-5 5-6 6-1"),
        "0-7 0-8 0-9 2-10 3-11 4-12 5-13 6-14",
    ),
    "uracil": ("CCNCNCOOHHHH", "0-1 1-2 2-3 3-4 4-5 5-0 3-6 5-7", "0-8 1-9 2-10 4-11"),
}
"""Elements in the order of MD17's `z`, bonds of heavy atoms, and bonds of hydrogen."""

CONTACT = 2.6
MAX_FORCE = 1e-3


def embed(atoms: Atoms, bonds: list[tuple[int, int]], rng: np.random.Generator) -> Array:
    """Finds positions at which bonds have their lengths and other atoms keep apart."""
    first, second = np.triu_indices(len(atoms), 1)
    bonded = np.array([pair in bonds for pair in zip(first, second, strict=True)])
    radii = covalent_radii[atoms.numbers]
    wanted = np.where(bonded, radii[first] + radii[second], CONTACT)

    def penalty(flat: Array) -> tuple[float, Array]:
        offsets = flat.reshape(-1, 3)[first] - flat.reshape(-1, 3)[second]
        lengths = np.linalg.norm(offsets, axis=1)
        excess = np.where(bonded, lengths - wanted, np.minimum(lengths - wanted, 0.0))
        weights = np.where(bonded, 1.0, 0.1)
        slope = (2.0 * weights * excess / lengths)[:, None] * offsets
        gradient = np.zeros((len(atoms), 3))
        np.add.at(gradient, first, slope)
        np.subtract.at(gradient, second, slope)
        return float(weights @ excess**2), gradient.ravel()

    start = 3.0 * rng.standard_normal(3 * len(atoms))
    return minimize(penalty, start, jac=True, method="L-BFGS-B").x.reshape(-1, 3)


def find_bonds(atoms: Atoms) -> list[tuple[int, int]]:
    """The pairs of atoms closer than 1.25 times the sum of their radii."""
    radii = covalent_radii[atoms.numbers]
    first, second = np.nonzero(
        np.triu(atoms.get_all_distances() < 1.25 * np.add.outer(radii, radii), 1)
    )
    return list(zip(first.tolist(), second.tolist(), strict=True))


def make_molecule(name: str, trials: int) -> Atoms:
    """The lowest of the minima that some random beginnings lead to, centred."""
    elements, *texts = BONDS[name]
    pairs = [tuple(sorted(map(int, pair.split("-")))) for text in texts for pair in text.split()]
    found = []
    for seed in range(trials):
        atoms = Atoms(elements)
        atoms.positions = embed(atoms, pairs, np.random.default_rng(seed))
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        try:
            converged = BFGS(atoms, logfile=None).run(fmax=MAX_FORCE, steps=1000)
        except CalculationFailed:
            continue
        if converged and find_bonds(atoms) == sorted(pairs):
            found.append((atoms.get_potential_energy(), seed, atoms))
    energy, _, best = min(found)
    best.positions -= best.get_center_of_mass()
    print(f"{name}: {energy:.4f} eV, the lowest of {len(found)} minima from {trials} beginnings")
    return Atoms(best.numbers, best.positions.round(6), info={"name": name})


def main() -> None:
    """Makes all molecules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12, help="random beginnings of each")
    arguments = parser.parse_args()
    target = Path(__file__).parents[1] / "pyg_remul" / "molecules.xyz"
    molecules = [make_molecule(name, arguments.trials) for name in BONDS]
    write(target, molecules, format="extxyz")


if __name__ == "__main__":
    main()
