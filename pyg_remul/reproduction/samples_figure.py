"""Figures of errors against the number of group samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_remul.figures import paper_style, save_figures, set_log_ticks
from pyg_remul.reproduction.outcomes import Outcome, Quantity
from pyg_remul.reproduction.quantities import LABELS, shown_mean, shown_spread
from pyg_remul.styles import STYLES, Style

__all__ = ["plot_samples"]

_Count: TypeAlias = Callable[[Outcome], float | None]

_WIDTH, _HEIGHT, _LEGEND = 1.9, 1.45, 0.4
_LABELS = {"augmentation": "augmentation", "remul": "REMUL"}


def plot_samples(
    outcomes: Sequence[Outcome], stem: Path, quantity: Literal["E", "E_prime"] = "E"
) -> list[Path]:
    """Draws errors against the number of group samples (figure 6).

    On the left, a step turns each graph by so many fresh rotations. In the middle the same runs
    stand over what they cost, the passes of a graph through the model in a step, of which REMUL has
    one more. On the right, all rotations of the training are among so many fixed ones; infinity
    means fresh ones, one a step. Points are means over seeds and bars standard deviations; where a
    run diverged there is none.

    Args:
        outcomes: Of augmentation and of REMUL at one weight, on one case, with ``num_samples`` or
            ``rotation_pool`` in their settings.
        stem: Where to save the figure, without an ending.
        quantity: The equivariance error.

    Returns:
        The figure as PNG and as SVG.
    """
    quantities: tuple[Quantity, ...] = ("mse", "ood", quantity)
    size = (_WIDTH * len(_COLUMNS), _HEIGHT * len(quantities) + _LEGEND)
    with paper_style():
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(quantities), len(_COLUMNS), sharex="col")
        for row, shown in zip(grid, quantities, strict=True):
            for axes, count in zip(row, _COLUMNS.values(), strict=True):
                _draw_panel(axes, outcomes, count, shown)
            row[1].sharey(row[0])  # the same runs
            row[1].tick_params(labelleft=False)
            row[0].set_ylabel(LABELS[shown])
            for axes in row:
                set_log_ticks(axes.yaxis)
        for axes, name in zip(grid[-1], _COLUMNS, strict=True):
            axes.set_xlabel(name)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        return save_figures(figure, stem)


def _rotations(outcome: Outcome) -> float | None:
    return None if "rotation_pool" in outcome.setting else float(outcome.setting["num_samples"])


def _passes(outcome: Outcome) -> float | None:
    return None if "rotation_pool" in outcome.setting else float(outcome.passes)


def _pool(outcome: Outcome) -> float | None:
    if _rotations(outcome) == 1:
        return math.inf
    size = outcome.setting.get("rotation_pool")
    return None if size is None else float(size)


_COLUMNS: Final[dict[str, _Count]] = {
    "rotations of a graph in a step": _rotations,
    "passes of a graph in a step": _passes,
    "fixed rotations to draw from": _pool,
}


def _draw_panel(axes: Any, outcomes: Sequence[Outcome], count: _Count, quantity: Quantity) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    counts = sorted({number for outcome in outcomes if (number := count(outcome)) is not None})
    largest = max((number for number in counts if number < math.inf), default=1.0)
    places = {number: min(number, 4 * largest) for number in counts}
    for kind, label in _LABELS.items():
        _draw_curve(
            axes,
            {
                places[number]: outcome
                for outcome in outcomes
                if outcome.method.kind == kind
                and outcome.runs
                and (number := count(outcome)) is not None
            },
            quantity,
            STYLES[kind] | {"label": label},
        )
    ticks = [number for number in counts if number == math.inf or math.log2(number).is_integer()]
    labels = [f"{number:g}" if number < math.inf else "∞" for number in ticks]
    axes.set_xticks([places[number] for number in ticks], labels)
    axes.set_xticks([], minor=True)
    axes.grid(color="#e8e8e8", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_curve(axes: Any, found: dict[float, Outcome], quantity: Quantity, style: Style) -> None:
    points = sorted(found.items())
    axes.errorbar(
        [place for place, _ in points],
        [shown_mean(outcome, quantity) for _, outcome in points],
        [shown_spread(outcome, quantity) for _, outcome in points],
        zorder=3,
        **style,
    )
