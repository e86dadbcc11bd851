"""What all figures have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from pyg_remul.files import replacing

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "PINK", "furnish", "save_figure"]

# Okabe and Ito's palette, told apart by colour-blind readers and in print.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#555555"


def furnish(axes: Any, columns: int) -> None:
    """Adds a grid, and a legend above.

    Args:
        axes: The axes.
        columns: Columns of the legend.
    """
    axes.grid(which="both", color="#e8e8e8", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False)


def save_figure(figure: Figure, path: Path) -> None:
    """Saves a figure whole or not at all.

    Args:
        figure: What to save.
        path: Where to; its folder is made if need be, and its ending gives the format.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=160)
