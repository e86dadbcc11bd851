"""Figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from pyg_remul.files import replacing

if TYPE_CHECKING:
    from pyg_remul.demo import DemoRow
    from pyg_remul.simulation_log import LogRow

__all__ = ["plot_demo", "plot_simulation", "save_figure"]

# Okabe and Ito's palette, told apart by colour-blind readers and in print.
_BLUE, _ORANGE, _GREEN, _PINK, _GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#555555"
_PANELS = {
    "mean squared error": (
        ("id", "in distribution", _BLUE),
        ("ood", "out of distribution", _ORANGE),
    ),
    "equivariance error": (("E", "E (Eq. 12)", _GREEN), ("E_prime", "E′ (Eq. 13)", _PINK)),
}
_STYLES: dict[str, dict[str, Any]] = {
    "REMUL, constant β": {"marker": "o", "linestyle": "-"},
    "REMUL, GradNorm from β = 1": {"marker": "D", "linestyle": "none", "markerfacecolor": "white"},
    "plain": {"linestyle": "--"},
    "augmentation, equal passes": {"linestyle": ":"},
}


def plot_demo(rows: Sequence[DemoRow], path: Path) -> None:
    """Draws test error and equivariance error against the weight of the equivariance loss.

    Points are means over seeds and bars standard deviations; plain training and augmentation, that
    of the most passes, have no weight and are horizontal lines in bands of the same meaning.

    Args:
        rows: The methods with their results.
        path: Where to save the picture; its ending gives the format.
    """
    figure = Figure(figsize=(9.2, 4.1), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (label, columns) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        for column, name, colour in columns:
            _draw_column(axes, rows, column, colour)
            axes.plot([], [], color=colour, linewidth=4, label=name)
        axes.set(xscale="log", yscale="log", xlabel="weight β of the equivariance loss")
        axes.set_ylabel(label)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(
                LogLocator(subs=(1.0, 2.0, 5.0) if axis is axes.yaxis else (1.0,))
            )
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(NullFormatter())
        _furnish(axes, 2)
    handles = [Line2D([], [], color=_GREY, **style) for style in _STYLES.values()]
    figure.legend(handles, list(_STYLES), loc="outside lower center", ncols=4, frameon=False)
    save_figure(figure, path)


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
    left.plot(time, measured, color=_BLUE, alpha=0.3, linewidth=0.4)
    _draw_mean(left, time, measured, _BLUE, "internal modes")
    left.axhline(temperature, color=_GREY, linestyle="--", label=f"thermostat, {temperature:g} K")
    left.set_ylabel("temperature (K)")
    _draw_mean(right, time, total - floor, _GREEN, "total")
    _draw_mean(right, time, kinetic, _ORANGE, "kinetic")
    _draw_mean(right, time, potential - floor, _PINK, "potential")
    right.set_ylabel("energy (kcal/mol)")
    for axes, name in ((left, "not kept"), (right, None)):
        if time[0] < 0:
            axes.axvspan(time[0], min(0.0, time[-1]), color="#eeeeee", label=name, zorder=0)
        axes.set_xlabel("time (ps)")
        axes.margins(x=0)
        _furnish(axes, 3)
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Saves a figure whole or not at all.

    Args:
        figure: What to save.
        path: Where to; its folder is made if need be, and its ending gives the format.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=160)


def _draw_column(axes: Any, rows: Sequence[DemoRow], column: str, colour: str) -> None:
    constant, gradnorm, plain, augmentation = _STYLES.values()
    for style, method in ((constant, "remul"), (gradnorm, "gradnorm")):
        chosen = [row for row in rows if row.method == method]
        axes.errorbar(
            [row.beta for row in chosen],
            [row.mean(column) for row in chosen],
            [row.spread(column) for row in chosen],
            color=colour,
            capsize=3,
            **style,
        )
    for style, method in ((plain, "plain"), (augmentation, "augmentation")):
        row = max((row for row in rows if row.method == method), key=lambda row: row.passes)
        mean, spread = row.mean(column), row.spread(column)
        axes.axhline(mean, color=colour, **style)
        axes.axhspan(mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)


def _furnish(axes: Any, columns: int) -> None:
    """Adds a grid, and a legend above."""
    axes.grid(which="both", color="#e8e8e8", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False)


def _draw_mean(axes: Any, x: Any, y: Any, colour: str, name: str) -> None:
    width = max(1, len(y) // 50)
    means = np.convolve(y, np.full(width, 1 / width), mode="valid")
    start = (width - 1) // 2
    axes.plot(x[start : start + len(means)], means, color=colour, linewidth=1.6, label=name)
