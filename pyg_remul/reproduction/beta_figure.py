"""Figures of errors against the weight of the equivariance loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, cycle, product
from pathlib import Path
from typing import Any, Literal, TypeAlias

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pyg_remul.config import TrainConfig
from pyg_remul.figures import (
    GREY,
    draw_level,
    paper_style,
    save_figures,
    set_log_ticks,
)
from pyg_remul.reproduction.outcomes import Outcome, Quantity
from pyg_remul.reproduction.quantities import LABELS, shown_mean, shown_spread
from pyg_remul.reproduction.study import Method
from pyg_remul.reproduction.summary import chosen_outcomes, group_cases
from pyg_remul.styles import STYLES, Style

__all__ = ["plot_beta"]

_Place: TypeAlias = tuple[str, Quantity]
_Grid: TypeAlias = list[list[_Place | None]]

EXACT = 1e-9
"""Equivariance errors below are those of rounding."""
_COLUMNS = 4
_WIDTH, _HEIGHT, _LEGEND_HEIGHT = 1.72, 1.55, 0.16
_HANDLE_WIDTH, _LETTER_WIDTH = 0.45, 0.06
_CURVES = ("remul", "gradnorm")
_LEVELS = tuple(role for role in STYLES if role not in _CURVES)


def plot_beta(
    outcomes: Sequence[Outcome], stem: Path, quantity: Literal["E", "E_prime"] = "E"
) -> list[Path]:
    """Draws errors against the weight of the equivariance loss (figures 1, 2, 5 and 7 to 10).

    Points are means over seeds and bars standard deviations. REMUL with GradNorm stands at its
    initial weight; of settings with the same weight, that of the lowest validation loss is drawn.
    Other methods are horizontal lines, in bands of one standard deviation, with a marker at their
    right end. Equivariance errors of rounding stand at the lower edge, and a cross at the upper
    edge where REMUL diverged.

    Args:
        outcomes: All outcomes of a study.
        stem: Where to save the figure, without an ending.
        quantity: The equivariance error.

    Returns:
        The figure as PNG and as SVG.
    """
    cases = group_cases(outcomes)
    with_ood = any("ood" in run.errors() for outcome in outcomes for run in outcome.runs[:1])
    quantities: tuple[Quantity, ...] = ("mse", *(("ood",) if with_ood else ()), quantity)
    grid = _arrange(list(cases), quantities)
    with paper_style():
        handles = _handles(outcomes)
        columns = _COLUMNS if len(grid[0]) > 2 else _COLUMNS // 2
        ncols = _count_columns(handles, columns)
        height = _HEIGHT * len(grid) + _LEGEND_HEIGHT * math.ceil(len(handles) / ncols)
        figure = Figure(figsize=(_WIDTH * columns, height), layout="constrained")
        FigureCanvasAgg(figure)
        all_axes = figure.subplots(len(grid), len(grid[0]), squeeze=False)
        for place, axes in zip(chain(*grid), all_axes.flat, strict=True):
            if place is None:
                axes.set_axis_off()
            else:
                _draw_panel(axes, cases[place[0]], place[1])
        _label(grid, all_axes)
        figure.legend(handles=handles, loc="outside lower center", ncols=ncols, frameon=False)
        return save_figures(figure, stem)


def _arrange(cases: Sequence[str], quantities: Sequence[Quantity]) -> _Grid:
    """Lays out panels: cases side by side, quantities below each other, or the other way round."""
    if len(quantities) > 2 or len(cases) == 1:
        return [[(case, quantity) for quantity in quantities] for case in cases]
    width = min(_COLUMNS, len(cases))
    padded = [*cases, *[None] * (-len(cases) % width)]
    chunks = [padded[start : start + width] for start in range(0, len(cases), width)]
    return [
        [None if case is None else (case, quantity) for case in chunk]
        for chunk in chunks
        for quantity in quantities
    ]


def _label(grid: _Grid, all_axes: Any) -> None:
    """Names each case where it comes first, and axes where the panel before has another."""
    named: set[str] = set()
    for i, j in product(range(len(grid)), range(len(grid[0]))):
        place, axes = grid[i][j], all_axes[i, j]
        if place is None:
            continue
        case, quantity = place
        left = grid[i][j - 1] if j else None
        under = grid[i + 1][j] if i + 1 < len(grid) else None
        if case not in named:
            axes.set_title(case, loc="left")
            named.add(case)
        if left is None or left[1] != quantity:
            axes.set_ylabel(LABELS[quantity])
        if under is None or (under[0] != case and under[1] != quantity):
            axes.set_xlabel("weight β")


def _draw_panel(axes: Any, outcomes: Sequence[Outcome], quantity: Quantity) -> None:
    """Draws a quantity on one case."""
    axes.set(xscale="log", yscale="log")
    for kind in _CURVES:
        curve = [o for o in outcomes if o.method.kind == kind]
        _draw_curve(axes, curve, quantity, STYLES[kind])
    exact = []
    for number, (outcome, style) in enumerate(_levels(outcomes)):
        if outcome.runs and shown_mean(outcome, quantity) > EXACT:
            _draw_baseline(axes, outcome, quantity, style, place=1.04 + 0.06 * number)
        elif outcome.runs:
            exact.append(style)
    _mark_exact(axes, exact)
    set_log_ticks(axes.xaxis)
    set_log_ticks(axes.yaxis)
    axes.grid(color="#e8e8e8", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_curve(axes: Any, outcomes: Sequence[Outcome], quantity: Quantity, style: Style) -> None:
    by_weight: dict[float, Outcome] = {}
    for outcome in sorted(outcomes, key=lambda o: o.validation, reverse=True):
        if outcome.runs or outcome.diverged:
            by_weight[_weight(outcome)] = outcome  # the lowest validation loss comes last
    finished = {weight: found for weight, found in sorted(by_weight.items()) if found.runs}
    if finished:
        axes.errorbar(
            list(finished),
            [shown_mean(found, quantity) for found in finished.values()],
            [shown_spread(found, quantity) for found in finished.values()],
            zorder=3,
            **style,
        )
    for weight, found in by_weight.items():
        if not found.runs:
            edge = {"transform": axes.get_xaxis_transform(), "clip_on": False}
            axes.plot(weight, 1.0, "x", color=style["color"], **edge)


def _draw_baseline(
    axes: Any, outcome: Outcome, quantity: Quantity, style: Style, place: float
) -> None:
    """Draws a horizontal line that ends in its marker, right of all weights."""
    mean = shown_mean(outcome, quantity)
    line = {"xmax": place, "clip_on": False} | {n: style[n] for n in ("color", "linestyle")}
    draw_level(axes, mean, shown_spread(outcome, quantity), **line)
    marker = {"color": style["color"], "marker": style["marker"], "clip_on": False, "zorder": 4}
    axes.plot(place, mean, transform=axes.get_yaxis_transform(), **marker)


def _mark_exact(axes: Any, styles: Sequence[Style]) -> None:
    """Marks errors of rounding at the lower edge, below all others."""
    if not styles:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low / (high / low) ** 0.2, high)
    for number, style in enumerate(styles):
        marker = {"color": style["color"], "marker": style["marker"], "zorder": 4}
        axes.plot(0.06 + 0.08 * number, 0.08, transform=axes.transAxes, **marker)
    end = 0.02 + 0.08 * len(styles)
    axes.text(end, 0.08, " exact", transform=axes.transAxes, va="center", fontstyle="italic")


def _handles(outcomes: Sequence[Outcome]) -> list[Line2D]:
    """The legend: curves, then horizontal lines, then what a cross means if there is one."""
    styles = {
        o.method.name: STYLES[kind] for kind in _CURVES for o in outcomes if o.method.kind == kind
    }
    styles |= {outcome.method.name: style for outcome, style in _levels(outcomes)}
    if any(o.method.kind in _CURVES and o.diverged for o in outcomes):
        styles |= {"diverged": {"color": GREY, "marker": "x", "linestyle": "none"}}
    return [Line2D([], [], label=name, **style) for name, style in styles.items()]


def _count_columns(handles: Sequence[Line2D], most: int) -> int:
    """The columns of a legend under so many panels that fit side by side, at most one a panel."""
    lengths = [_HANDLE_WIDTH + _LETTER_WIDTH * len(str(handle.get_label())) for handle in handles]
    for columns in range(most, 1, -1):
        rows = math.ceil(len(lengths) / columns)
        widest = (max(lengths[place : place + rows]) for place in range(0, len(lengths), rows))
        if sum(widest) <= _WIDTH * most:
            return columns
    return 1


def _levels(outcomes: Sequence[Outcome]) -> list[tuple[Outcome, Style]]:
    """The methods without a weight, each with its style, or with a free one if it has none."""
    baselines = [o for o in chosen_outcomes(outcomes) if o.method.kind not in _CURVES]
    roles = [_role(outcome.method) for outcome in baselines]
    free = cycle([role for role in _LEVELS if role not in roles] or _LEVELS)
    for number, role in enumerate(roles):
        if role not in _LEVELS or role in roles[:number]:
            roles[number] = next(free)
    return [(outcome, STYLES[role]) for outcome, role in zip(baselines, roles, strict=True)]


def _role(method: Method) -> str:
    return str(method.options["model"]) if method.kind == "rival" else method.kind


def _weight(outcome: Outcome) -> float:
    """The weight of the equivariance loss, at the beginning if it changes."""
    return float({**outcome.method.options, **outcome.setting}.get("beta", TrainConfig.beta))
