"""The figure of time against batch size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_remul.benchmarks.results import Row
from pyg_remul.figures import paper_style, save_figures
from pyg_remul.styles import STYLES

__all__ = ["plot_complexity"]

_PANELS = {
    "forward": "forward pass, training",
    "backward": "backward pass",
    "inference": "inference",
}
_STYLES = {
    "Transformer": STYLES["plain"],
    "GATr": STYLES["gatr"],
    "SE(3)-Transformer": STYLES["se3"],
}


def plot_complexity(rows: Sequence[Row], stem: Path) -> list[Path]:
    """Draws the median seconds of each pass, in bands from the first to the ninth decile.

    Args:
        rows: What was measured.
        stem: Where to save the figure, without an ending.

    Returns:
        The figure as PNG and as SVG.
    """
    with paper_style():
        figure = Figure(figsize=(7.0, 2.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(_PANELS), sharey=True)
        for panel, (phase, title) in zip(axes, _PANELS.items(), strict=True):
            panel.set_xscale("log", base=2)
            panel.set(yscale="log", xlabel="batch size", title=title)
            panel.grid(color="#e8e8e8", linewidth=0.5)
            panel.spines[["top", "right"]].set_visible(False)
            for model in _STYLES:
                _draw_curve(panel, rows, model, phase)
        axes[0].set_ylabel("seconds")
        for row in rows:
            if row.failure:
                _mark_failure(axes, row)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
        return save_figures(figure, stem)


def _draw_curve(panel: Any, rows: Sequence[Row], model: str, phase: str) -> None:
    timed = {
        row.sizes["graphs"]: row.seconds
        for row in rows
        if row.case == model and row.phase == phase and row.seconds is not None
    }
    median = [seconds.median for seconds in timed.values()]
    low = [seconds.p10 for seconds in timed.values()]
    high = [seconds.p90 for seconds in timed.values()]
    panel.plot(list(timed), median, label=model, **_STYLES[model])
    colour = _STYLES[model]["color"]
    panel.fill_between(list(timed), low, high, color=colour, alpha=0.2, linewidth=0)


def _mark_failure(axes: Any, row: Row) -> None:
    """Draws where training a model failed, with its marker on top; inference was not tried."""
    style, size = {**_STYLES[row.case], "linestyle": ":"}, row.sizes["graphs"]
    for panel in axes[:2]:
        options = {"transform": panel.get_xaxis_transform(), "markevery": [1], "linewidth": 1}
        label = f"{row.case} {row.failure}"
        panel.plot([size, size], [0, 0.96], label=label, **options, **style)
