"""Steps of molecular dynamics a second against bare calls of xTB."""

from __future__ import annotations

import numpy as np
from ase import units
from tblite.ase import TBLite
from tblite.interface import Calculator

from pyg_remul.benchmarks.harness import Case, Settings
from pyg_remul.benchmarks.report import Report
from pyg_remul.dynamics import Array, MolecularDynamics, internal_modes, thermal_velocities
from pyg_remul.molecules import MOLECULES, load_molecule
from pyg_remul.xtb import gfn2_xtb, xtb_threads

STEPS = 50


def make_cases(molecule: str) -> dict[str, Case]:
    """The ways to compute the same 50 frames of a trajectory, 0.5 fs apart, at 500 K."""
    atoms = load_molecule(molecule)
    masses = atoms.get_masses()
    modes = internal_modes(atoms.positions, masses)
    potential = gfn2_xtb(atoms.numbers, atoms.positions)
    dynamics = MolecularDynamics(potential, masses, modes, 0.5, 500.0, 100.0)
    rng = np.random.default_rng(0)
    velocities = thermal_velocities(atoms.positions, masses, 1000.0, rng)
    state = dynamics.start(atoms.positions, velocities)
    states = [state := dynamics.step(state, rng) for _ in range(200 + STEPS)][200:]
    frames = [state.positions for state in states]
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    calculator = Calculator("GFN2-xTB", atoms.numbers, atoms.positions / units.Bohr)
    calculator.set("verbosity", 0)
    guess = calculator.singlepoint()

    def call_ase(positions: Array) -> Array:
        atoms.positions = positions
        return atoms.get_forces()

    def call_tblite(positions: Array) -> Array:
        calculator.update(positions / units.Bohr)
        return calculator.singlepoint(guess).get("gradient")

    def simulate() -> None:
        state = states[0]
        for _ in range(STEPS):
            state = dynamics.step(state, rng)

    return {
        "tblite's calculator for ASE": lambda: [call_ase(frame) for frame in frames],
        "tblite, from the charges of the call before": lambda: [call_tblite(f) for f in frames],
        "tblite, from the same guess": lambda: [potential(frame) for frame in frames],
        "steps of molecular dynamics": simulate,
    }


def main(settings: Settings) -> None:
    """Times the molecules of MD17."""
    report = Report("simulation", settings)
    with xtb_threads(settings.threads):
        for molecule in MOLECULES:
            cases, frames = make_cases(molecule), {"frames": STEPS}
            reference = "tblite's calculator for ASE"
            report.compare(molecule, cases, reference, sizes=frames, work=frames)
