"""Energy and temperature of a simulation, as a table and a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ase import units
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_remul.figures import BLUE, GREEN, GREY, ORANGE, PINK, furnish, save_figure
from pyg_remul.files import write_text
from pyg_remul.md17_format import KCAL_PER_MOL

if TYPE_CHECKING:
    from pyg_remul.dynamics import MolecularDynamics
    from pyg_remul.simulation import SimulationConfig
    from pyg_remul.trajectory_store import TrajectoryStore

__all__ = ["LogRow", "plot_simulation", "write_log"]

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


def plot_simulation(rows: Sequence[LogRow], temperature: float, path: Path) -> None:
    """Draws temperature and energies of a simulation over time.

    Thick lines are running means over a fiftieth of the frames, and the thin line single frames.
    Energies are relative to the mean potential energy of the frames that are kept.

    Args:
        rows: The log.
        temperature: The thermostat's, in K.
        path: Where to save the picture; its ending gives the format.
    """
    figure = Figure(figsize=(9.2, 4.1), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharex=True)
    time, potential, kinetic, total, measured = np.array([row[1:] for row in rows]).T
    kept = time >= 0
    floor = potential[kept if kept.any() else ~kept].mean()
    left.plot(time, measured, color=BLUE, alpha=0.3, linewidth=0.4)
    _draw_mean(left, time, measured, BLUE, "internal modes")
    left.axhline(temperature, color=GREY, linestyle="--", label=f"thermostat, {temperature:g} K")
    left.set_ylabel("temperature (K)")
    _draw_mean(right, time, total - floor, GREEN, "total")
    _draw_mean(right, time, kinetic, ORANGE, "kinetic")
    _draw_mean(right, time, potential - floor, PINK, "potential")
    right.set_ylabel("energy (kcal/mol)")
    for axes, name in ((left, "not kept"), (right, None)):
        if time[0] < 0:
            axes.axvspan(time[0], min(0.0, time[-1]), color="#eeeeee", label=name, zorder=0)
        axes.set_xlabel("time (ps)")
        axes.margins(x=0)
        furnish(axes, 3)
    save_figure(figure, path)


def _draw_mean(axes: Any, x: Any, y: Any, colour: str, name: str) -> None:
    width = max(1, len(y) // 50)
    means = np.convolve(y, np.full(width, 1 / width), mode="valid")
    start = (width - 1) // 2
    axes.plot(x[start : start + len(means)], means, color=colour, linewidth=1.6, label=name)
