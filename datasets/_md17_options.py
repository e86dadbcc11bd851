"""The options of the MD17 data, and the frames that follow from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pyg_remul.checks import check_choice, check_integers
from pyg_remul.datasets._md17_files import MOLECULES

__all__ = ["LEVELS", "MAX_SAMPLES", "TrajectoryOptions", "check_molecule", "split_frames"]

LEVELS: Final[dict[str, str]] = {"md17": "PBE+vdW-TS", "xtb": "GFN2-xTB", "ase": "unknown"}
"""The level of theory of each source."""
MAX_SAMPLES: Final[dict[str, int]] = {"train": 500, "val": 2000, "test": 2000}
SHARES: Final[dict[str, float]] = {"train": 0.1, "val": 0.05, "test": 0.05}
SPLIT_SEED = 100
PUBLISHED_MARGIN = 10_000

_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class TrajectoryOptions:
    """What to take; see :class:`~pyg_remul.datasets.MD17Trajectory` for the fields.

    Raises:
        TypeError: If an option is of the wrong type.
        ValueError: If an option is out of range.
    """

    molecule: str
    split: str
    source: str
    delta: int
    heavy: bool
    center: bool
    energy: bool
    force: bool
    margin: int | None
    max_samples: int

    def __post_init__(self) -> None:
        check_choice("source", self.source, LEVELS)
        check_molecule(self.molecule, self.source)
        check_integers(delta=self.delta, max_samples=self.max_samples)
        if self.margin is not None:
            check_integers("not negative", margin=self.margin)

    @property
    def labels(self) -> list[str]:
        """The attributes that are there on request."""
        return [name for name in ("energy", "force") if getattr(self, name)]

    @property
    def stem(self) -> str:
        """Every option, for the name of a file."""
        parts = (
            f"md17-{self.molecule}-{self.source}-{self.split}-{self.max_samples}"
            f"-delta{self.delta}-{'heavy' if self.heavy else 'all'}"
            f"-{'centred' if self.center else 'absolute'}"
        )
        margin = [] if self.margin is None else [f"margin{self.margin}"]
        return "-".join([parts, *self.labels, *margin])

    def draw(self, num_frames: int) -> NDArray[np.int64]:
        """Returns the input frames of the split.

        Args:
            num_frames: Frames of the trajectory.

        Raises:
            ValueError: If the targets or the splits do not fit into that many frames.
        """
        margin = self.margin
        if margin is None:
            margin = min(PUBLISHED_MARGIN, num_frames // 10)
        if self.delta > margin + 1:
            raise ValueError(
                f"`delta` must be at most {margin + 1}, one more than the margin of these "
                f"{num_frames} frames, got {self.delta}."
            )
        return split_frames(num_frames, margin)[self.split][: self.max_samples]


def check_molecule(molecule: object, source: str) -> None:
    """Refuses molecules that are not published, and names that no file can have.

    Args:
        molecule: What was given.
        source: Where its trajectory is from.

    Raises:
        ValueError: If it is one of them.
    """
    if source == "md17":
        check_choice("molecule", molecule, MOLECULES)
    elif not isinstance(molecule, str) or not _NAME.fullmatch(molecule):
        raise ValueError(
            "`molecule` must be a name of letters, digits, '.', '+', '-' and '_', got "
            f"{molecule!r}."
        )


def split_frames(num_frames: int, margin: int) -> dict[str, NDArray[np.int64]]:
    r"""Draws the input frames of each split as `GMN <https://github.com/hanjq17/GMN>`_ does.

    With T frames and a margin m, the :math:`n = T - 1 - 2m` frames from m on are candidates. A
    tenth of them is drawn for training, then a twentieth for validation and another for testing
    from those that remain.

    Args:
        num_frames: Frames T of the trajectory.
        margin: Frames m left out at the beginning and before the end; 10,000 as published.

    Returns:
        For each split its frames, in the order of their draw.

    Raises:
        ValueError: If fewer than 20 candidates remain.

    Example:
        >>> split_frames(211_762, 10_000)["train"][:3]
        array([78845, 12943, 13421])
    """
    num = num_frames - 1 - 2 * margin
    if num < 20:
        raise ValueError(
            f"`margin` must leave at least 20 of {num_frames} frames for the splits, got {margin}."
        )
    random = np.random.RandomState(SPLIT_SEED)
    rest, splits = np.arange(num), {}
    for split, share in SHARES.items():
        drawn = random.choice(rest, int(share * num), replace=False)
        rest = np.setdiff1d(rest, drawn, assume_unique=True)
        splits[split] = drawn + margin
    return splits
