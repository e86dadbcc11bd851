"""The figure of time against batch size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_remul.benchmarks.results import Row
from pyg_remul.figures import BLUE, ORANGE, furnish, save_figure

__all__ = ["plot_complexity"]

_PANELS = {
    "forward": "forward pass, training",
    "backward": "backward pass",
    "inference": "inference",
}
_STYLES = {"Transformer": (BLUE, "o", "-"), "GATr": (ORANGE, "s", "--")}


def plot_complexity(rows: Sequence[Row], path: Path) -> None:
    """Draws the median seconds of each pass, in bands from the first to the ninth decile.

    Args:
        rows: What was measured.
        path: Where to save the picture; its ending gives the format.
    """
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    for panel, (name, title) in zip(axes, _PANELS.items(), strict=True):
        for model, (colour, marker, line) in _STYLES.items():
            timed = {
                row.sizes["graphs"]: row.seconds
                for row in rows
                if row.case == model and row.phase == name and row.seconds is not None
            }
            median = [seconds.median for seconds in timed.values()]
            low = [seconds.p10 for seconds in timed.values()]
            high = [seconds.p90 for seconds in timed.values()]
            panel.plot(
                list(timed), median, color=colour, marker=marker, linestyle=line, label=model
            )
            panel.fill_between(list(timed), low, high, color=colour, alpha=0.2, linewidth=0)
        panel.set_xscale("log", base=2)
        panel.set(yscale="log", xlabel="batch size")
        panel.set_title(title, pad=28)  # above the legend
        furnish(panel, 2)
    axes[0].set_ylabel("seconds")
    for model, (colour, _, _) in _STYLES.items():
        for row in rows:
            if row.case == model and row.failure:
                for panel in axes:
                    panel.axvline(row.sizes["graphs"], color=colour, linestyle=":")
                axes[-1].annotate(
                    f"{model} {row.failure}",
                    (row.sizes["graphs"], axes[-1].get_ylim()[0]),
                    rotation=90,
                    color=colour,
                    ha="right",
                    va="bottom",
                )
    save_figure(figure, path)
