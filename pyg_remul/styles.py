"""How figures draw a method: the same in each of them, and told apart without colours, too."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from pyg_remul.figures import BLUE, GREEN, GREY, ORANGE, PINK

__all__ = ["STYLES", "Style"]

Style: TypeAlias = dict[str, Any]
"""Options of a line of matplotlib."""

STYLES: Final[dict[str, Style]] = {
    "remul": {"color": BLUE, "marker": "o", "linestyle": "-"},
    "gradnorm": {"color": ORANGE, "marker": "D", "linestyle": "-.", "markerfacecolor": "white"},
    "plain": {"color": "black", "marker": "s", "linestyle": "--"},
    "augmentation": {"color": GREEN, "marker": "^", "linestyle": ":"},
    "se3": {"color": PINK, "marker": "v", "linestyle": (0, (4, 1, 1, 1, 1, 1))},
    "gatr": {"color": GREY, "marker": "P", "linestyle": (0, (1, 1))},
    "egnn": {"color": "#56B4E9", "marker": "X", "linestyle": (0, (8, 2))},
}
"""By the kind of a method; of a rival by its model."""
