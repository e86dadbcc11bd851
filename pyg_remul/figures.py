"""What all figures have in common."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from pyg_remul.files import replacing

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PINK",
    "draw_level",
    "furnish",
    "paper_style",
    "save_figure",
    "save_figures",
    "set_log_ticks",
]

# Okabe and Ito's palette, told apart by colour-blind readers and in print.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#555555"

_PAPER_STYLE = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "errorbar.capsize": 2,
}
_FEW_DECADES, _MANY_DECADES = 0.7, 1.7
"""Below the first, ticks at 1, 2 and 5 are too few; from the second, ticks at 1 are enough."""


def paper_style() -> AbstractContextManager[None]:
    """Small letters and thin lines, for figures that are printed at their size."""
    return mpl.rc_context(_PAPER_STYLE)


def set_log_ticks(axis: Any) -> None:
    """Labels a logarithmic axis by plain numbers, however short it is.

    Args:
        axis: The axis, whose limits are final.
    """
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    if decades < _FEW_DECADES:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.set_minor_locator(NullLocator())
    else:
        subs = (1.0, 2.0, 5.0) if decades < _MANY_DECADES else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def draw_level(axes: Any, mean: float, spread: float, **style: Any) -> None:
    """Draws a horizontal line in a band of one spread to either side.

    Args:
        axes: The axes.
        mean: Where.
        spread: Half the band's height.
        **style: Of the line; the band takes its colour.
    """
    line = axes.axhline(mean, **style)
    band = {"color": line.get_color(), "alpha": 0.12, "linewidth": 0}
    axes.axhspan(mean - spread, mean + spread, **band)


def furnish(axes: Any, columns: int) -> None:
    """Adds a grid, and a legend above.

    Args:
        axes: The axes.
        columns: Columns of the legend.
    """
    axes.grid(which="both", color="#e8e8e8", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False)


def save_figure(figure: Figure, path: Path, *, dpi: int = 160) -> None:
    """Saves a figure whole or not at all; the same figure gives the same file.

    Args:
        figure: What to save.
        path: Where to; its folder is made if need be, and its ending gives the format.
        dpi: Dots per inch.
    """
    dateless = {"Date": None} if path.suffix == ".svg" else None
    with replacing(path) as temporary, mpl.rc_context({"svg.hashsalt": "pyg_remul"}):
        figure.savefig(temporary, dpi=dpi, metadata=dateless)


def save_figures(figure: Figure, stem: Path) -> list[Path]:
    """Saves a figure for print, as PNG and as SVG.

    Args:
        figure: What to save.
        stem: Where to, without an ending.

    Returns:
        The two files.
    """
    paths = [stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg")]
    for path in paths:
        save_figure(figure, path, dpi=300)
    return paths
