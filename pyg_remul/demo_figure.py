"""The figure of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pyg_remul.demo_results import DemoRow
from pyg_remul.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PINK,
    draw_level,
    furnish,
    save_figure,
    set_log_ticks,
)

__all__ = ["plot_demo"]

_PANELS = {
    "mean squared error": (
        ("id", "in distribution", BLUE),
        ("ood", "out of distribution", ORANGE),
    ),
    "equivariance error": (("E", "E (Eq. 12)", GREEN), ("E_prime", "E′ (Eq. 13)", PINK)),
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
        set_log_ticks(axes.xaxis)
        set_log_ticks(axes.yaxis)
        furnish(axes, 2)
    handles = [Line2D([], [], color=GREY, **style) for style in _STYLES.values()]
    figure.legend(handles, list(_STYLES), loc="outside lower center", ncols=4, frameon=False)
    save_figure(figure, path)


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
        draw_level(axes, row.mean(column), row.spread(column), color=colour, **style)
