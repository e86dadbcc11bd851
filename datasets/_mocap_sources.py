"""Where the positions of joints come from: the published pickles, or the recordings of CMU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

import pooch
from torch import Tensor

from pyg_remul.checks import check_choice, check_integers
from pyg_remul.datasets._cmu import SubjectFiles, fetch_subject, find_subject
from pyg_remul.datasets._download import fetch_file
from pyg_remul.datasets._mocap_files import read_motion
from pyg_remul.datasets._mocap_splits import (
    SPLITS,
    Frames,
    Preset,
    draw_frames,
    published_split,
    split_trials,
)
from pyg_remul.datasets.asf_amc import forward_kinematics, read_amc, read_asf

__all__ = ["CMUSource", "PublishedSource", "Recordings", "Source", "Trials", "choose_source"]

# The numbers of trials, to be split or already split.
Trials: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]]

URL = (
    "https://raw.githubusercontent.com/hanjq17/EGHN/"
    "2152b979aa5034cbb372933c6f921ce020bd66bc/motion/dataset/"
)


@dataclass(frozen=True)
class Recordings:
    """What a source holds.

    Attributes:
        bones: Pairs of joints, shape ``[N - 1, 2]``.
        trials: For each trial the positions of joints in ASF units, ``[frames, N, 3]`` in float64.
        frames: The input frames of each split and trial.
        metres: The length of an ASF unit.
    """

    bones: Tensor
    trials: Mapping[int, Tensor]
    frames: Frames
    metres: float


class Source(ABC):
    """Raw files, and how they are split."""

    name: ClassVar[str]
    suffix: str
    """Of the readable part of processed files' names."""
    split_source: str
    """Whose split it is: ``"published"``, ``"pyg_remul"`` or ``"given"``."""
    given: Mapping[str, Sequence[int]] | None
    """The trials of each split, where they are known before the raw files are read."""

    @property
    @abstractmethod
    def options(self) -> dict[str, object]:
        """What the graphs depend on, as JSON values."""

    @property
    @abstractmethod
    def files(self) -> list[str]:
        """The raw files, relative to ``raw/``."""

    @abstractmethod
    def download(self) -> None:
        """Fetches or verifies the raw files."""

    @abstractmethod
    def read(self) -> Recordings:
        """Reads the raw files."""


class PublishedSource(Source):
    """A processed file of the authors of EGHN."""

    name = "published"
    suffix = ""
    split_source = "published"

    def __init__(self, raw: Path, preset: Preset) -> None:
        self.path, self.preset, self.given = raw / preset.file, preset, preset.trials

    @property
    def options(self) -> dict[str, object]:
        return {"source": self.name}

    @property
    def files(self) -> list[str]:
        return [self.path.name]

    def download(self) -> None:
        known_hash = f"md5:{self.preset.md5}" if self.preset.md5 else None
        fetch_file(self.path, [URL + self.path.name], known_hash=known_hash)

    def read(self) -> Recordings:
        bones, trials = read_motion(self.path, self.preset)
        return Recordings(
            bones, dict(enumerate(trials)), published_split(self.preset), 0.0254 / 0.45
        )


class CMUSource(Source):
    """ASF and AMC files as CMU distributes them."""

    name = "asf"

    def __init__(
        self, raw: Path, preset: Preset, subject: int | None, trials: Trials | None
    ) -> None:
        self.raw, self.preset = raw, preset
        self.subject = preset.subject if subject is None else subject
        self.suffix = f"-subject{self.subject:02d}"
        numbers = _check_trials(trials)
        self.given = trials if isinstance(trials, Mapping) else None
        self.split_source = "pyg_remul" if self.given is None else "given"
        self.found = self._obtain(numbers)

    @property
    def options(self) -> dict[str, object]:
        paths = (self.found.skeleton, *self.found.trials.values())
        return {
            "source": self.name,
            "subject": self.subject,
            "given": self.given and {split: list(self.given[split]) for split in SPLITS},
            "sha256": {path.name: pooch.file_hash(path) for path in paths},
        }

    @property
    def files(self) -> list[str]:
        paths = (self.found.skeleton, *self.found.trials.values())
        return [str(path.relative_to(self.raw)) for path in paths]

    def download(self) -> None:
        fetch_subject(self.raw, self.subject, self.found.trials)

    def read(self) -> Recordings:
        skeleton = read_asf(self.found.skeleton)
        trials = {}
        for trial, path in self.found.trials.items():
            positions = forward_kinematics(skeleton, read_amc(path, skeleton))
            usual = self.subject == self.preset.subject
            trials[trial] = positions[self.preset.skipped.get(trial, 0) if usual else 0 :]
        return Recordings(skeleton.edge_index.T, trials, self._split(trials), skeleton.metres)

    def _obtain(self, numbers: Sequence[int]) -> SubjectFiles:
        """The files of the trials that were asked for, or else of those that there are."""
        if numbers:
            return fetch_subject(self.raw, self.subject, numbers)
        usual = self.preset.numbers if self.subject == self.preset.subject else None
        if found := find_subject(self.raw, self.subject):
            paths = {t: p for t, p in found.trials.items() if usual is None or t in usual}
            if paths:
                return SubjectFiles(found.skeleton, paths)
        if usual is None:
            raise FileNotFoundError(
                f"There are no files {self.subject:02d}.asf and {self.subject:02d}_NN.amc under "
                f"{self.raw}. Put them there, or name by `trials` those to download."
            )
        return fetch_subject(self.raw, self.subject, usual)

    def _split(self, trials: Mapping[int, Tensor]) -> Frames:
        least = self.preset.min_frames
        enough = [trial for trial, positions in trials.items() if len(positions) >= least]
        if self.given is None:
            return draw_frames(self.preset, split_trials(self.preset, enough))
        for trial in sorted(trials.keys() - enough):
            raise ValueError(
                f"`trials` must have {least} frames or more each, got {trial}, which has "
                f"{len(trials[trial])}."
            )
        return draw_frames(self.preset, self.given)


def choose_source(
    raw: Path, preset: Preset, name: str | None, subject: int | None, trials: Trials | None
) -> Source:
    """Takes the source that is named or, without a name, that which is there.

    Args:
        raw: The folder with raw files.
        preset: Which motion.
        name: ``"published"``, ``"asf"`` or ``None``.
        subject: Another subject than the motion's.
        trials: Trials to take, or to split as given.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If arguments are out of range or contradict each other.
        FileNotFoundError: If recordings of CMU are absent and cannot be downloaded.
    """
    check_choice("source", name, (None, PublishedSource.name, CMUSource.name))
    if subject is not None:
        check_integers(subject=subject)
    if subject is not None or trials is not None:
        if name == PublishedSource.name:
            raise ValueError(
                "`source` must be None or 'asf' with `subject` or `trials`, got 'published'."
            )
        return CMUSource(raw, preset, subject, trials)
    if name is None and not (raw / preset.file).exists():
        found = find_subject(raw, preset.subject)
        name = CMUSource.name if found and found.trials else PublishedSource.name
    if name == CMUSource.name:
        return CMUSource(raw, preset, None, None)
    return PublishedSource(raw, preset)


def _check_trials(trials: object) -> list[int]:
    """The numbers of all trials that are named."""
    if trials is None:
        return []
    if not isinstance(trials, (Mapping, Sequence)):
        raise TypeError(f"`trials` must be a sequence or a mapping of sequences, got {trials!r}.")
    if isinstance(trials, Mapping) and (
        set(trials) != set(SPLITS) or not all(map(len, trials.values()))
    ):
        raise ValueError(f"`trials` must have some for each of {', '.join(SPLITS)}, got {trials}.")
    parts = trials.values() if isinstance(trials, Mapping) else [trials]
    numbers = [number for part in parts for number in part]
    for number in numbers:
        check_integers(trials=number)
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"`trials` must name trials, none of them twice, got {trials}.")
    return numbers
