"""Which trials and frames of a recording belong to which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MOTIONS",
    "SPLITS",
    "Frames",
    "Preset",
    "draw_frames",
    "published_split",
    "split_trials",
]

SPLITS = ("train", "val", "test")
SPLIT_SEED = 100
# Frames after the window that a trial must have, for the target of its last frame.
MARGIN = 31

# For each split and trial, the input frames in the order of their draw.
Frames: TypeAlias = dict[str, dict[int, NDArray[np.int64]]]


@dataclass(frozen=True)
class Preset:
    """How the recordings of a motion were made into a benchmark.

    Args:
        file: The name of the published file.
        md5: Its MD5 sum, where known.
        window: Inputs are among the first ``window`` frames of a trial.
        picks: Frames drawn from each trial.
        trials: The trials of each split, by their index in the file, in the order of the draws.
        subject: The subject of the recordings at CMU.
        numbers: The numbers of the subject's trials with this motion.
        skipped: Frames that are left out at the beginning of a trial, by its number.
    """

    file: str
    md5: str | None
    window: int
    picks: int
    trials: Mapping[str, tuple[int, ...]]
    subject: int
    numbers: tuple[int, ...]
    skipped: Mapping[int, int]

    @property
    def min_frames(self) -> int:
        """Frames of a trial that reaches from its window to the published horizon."""
        return self.window + MARGIN


MOTIONS: Final[dict[str, Preset]] = {
    "run": Preset(
        file="motion_run.pkl",
        md5="424f478d87ecc89e4ea360e461af29fd",
        window=90,
        picks=80,
        trials={"train": (1, 2, 5, 6, 10), "val": (0, 4, 9), "test": (3, 7, 8)},
        subject=9,
        numbers=tuple(range(1, 12)),
        skipped={10: 6},
    ),
    "walk": Preset(
        file="motion.pkl",
        md5=None,
        window=300,
        picks=100,
        trials={
            "train": (20, 1, 17, 13, 14, 9, 4, 2, 7, 5, 16),
            "val": (3, 8, 11, 12, 15, 18),
            "test": (6, 19, 21, 0, 22, 10),
        },
        subject=35,
        numbers=(*range(1, 17), *range(28, 35)),
        skipped={},
    ),
}


def published_split(preset: Preset) -> Frames:
    """Draws the frames of each trial of each split exactly as the published split files have them.

    Args:
        preset: Which motion.

    Returns:
        The input frames, trials by their index in the published file.

    Example:
        >>> published_split(MOTIONS["run"])["train"][1][:3]
        array([57, 61, 26])
    """
    return draw_frames(preset, preset.trials)


def draw_frames(preset: Preset, trials: Mapping[str, Sequence[int]]) -> Frames:
    """Draws the frames of given trials by the published procedure.

    Args:
        preset: Which motion.
        trials: The trials of each split, in the order of the draws.

    Returns:
        The input frames.
    """
    random = np.random.RandomState(SPLIT_SEED)
    return {
        split: {
            trial: random.choice(np.arange(preset.window), preset.picks, replace=False)
            for trial in trials[split]
        }
        for split in SPLITS
    }


def split_trials(preset: Preset, trials: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Splits trials at random in the published proportions; this split is the project's own.

    Args:
        preset: Which motion.
        trials: At least three, in any order, which does not matter.

    Returns:
        The trials of each split, none without any.

    Raises:
        ValueError: If there are fewer than three trials.

    Example:
        >>> split_trials(MOTIONS["walk"], range(23))["val"]
        (1, 13, 14, 18, 5, 2)
    """
    if len(trials) < len(SPLITS):
        raise ValueError(
            f"`trials` must hold at least {len(SPLITS)} of {preset.min_frames} frames or more, one "
            f"for each split, got {sorted(trials)}."
        )
    num_published = sum(map(len, preset.trials.values()))
    num_train, num_val = (
        max(1, len(trials) * len(preset.trials[split]) // num_published)
        for split in ("train", "val")
    )
    order = np.random.RandomState(SPLIT_SEED).permutation(np.sort(trials)).tolist()
    train, rest = order[:num_train], order[num_train:]
    return {"train": tuple(train), "val": tuple(rest[:num_val]), "test": tuple(rest[num_val:])}
