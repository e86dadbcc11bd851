"""Energy and temperature of a simulation, as a table and a figure."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase import units

from pyg_remul.figures import plot_simulation
from pyg_remul.files import write_text

if TYPE_CHECKING:
    from pyg_remul.dynamics import MolecularDynamics
    from pyg_remul.simulation import SimulationConfig
    from pyg_remul.trajectory_store import TrajectoryStore

__all__ = ["KCAL_PER_MOL", "LogRow", "write_log"]

KCAL_PER_MOL = units.kcal / units.mol
"""In eV, 0.0433641, from the constants of CODATA 2014 that ASE has."""

_ROWS = 2000


class LogRow(NamedTuple):
    """A frame's time, energies and temperature.

    Attributes:
        step: Time steps since the first frame that is kept, below zero before it.
        time_ps: The same in ps.
        potential: Potential energy in kcal/mol.
        kinetic: Kinetic energy in kcal/mol.
        total: Their sum.
        temperature: That of the internal modes, in K.
    """

    step: int
    time_ps: float
    potential: float
    kinetic: float
    total: float
    temperature: float


def write_log(
    out: Path, store: TrajectoryStore, config: SimulationConfig, dynamics: MolecularDynamics
) -> None:
    """Writes ``log.csv`` and ``log.png``, of some 2000 evenly spaced frames of a whole simulation.

    Args:
        out: Their folder.
        store: The frames.
        config: The options of the simulation.
        dynamics: The masses and the number of modes.
    """
    rows = _rows(store, config, dynamics)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(LogRow._fields)
    for row in rows:
        writer.writerow([row.step, *(f"{value:.4f}" for value in row[1:])])
    write_text(out / "log.csv", text.getvalue())
    if rows:
        plot_simulation(rows, config.temperature, out / "log.png")


def _rows(
    store: TrajectoryStore, config: SimulationConfig, dynamics: MolecularDynamics
) -> list[LogRow]:
    every = max(1, (config.equilibrate + config.frames) // _ROWS)
    rows: list[LogRow] = []
    first = -config.equilibrate
    for block in store.blocks():
        frames = np.arange(first, first + len(block["E"]))
        chosen = frames % every == 0
        steps = frames[chosen] * config.every
        potential = block["E"][chosen, 0]
        kinetic = 0.5 * np.square(block["V"][chosen]).sum(axis=2) @ dynamics.masses  # in eV
        temperature = 2.0 * kinetic / (dynamics.num_modes * units.kB)
        kinetic = kinetic / KCAL_PER_MOL
        times = 1e-3 * config.timestep * steps
        columns = (steps, times, potential, kinetic, potential + kinetic, temperature)
        rows += map(LogRow._make, zip(*(column.tolist() for column in columns), strict=True))
        first += len(frames)
    return rows
