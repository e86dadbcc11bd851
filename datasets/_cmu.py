"""Recordings of the CMU Graphics Lab Motion Capture Database: finding and downloading them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyg_remul.datasets._download import fetch_file

__all__ = ["SubjectFiles", "fetch_subject", "find_subject"]

URL = "http://mocap.cs.cmu.edu/subjects/"


@dataclass(frozen=True)
class SubjectFiles:
    """The files of a subject.

    Attributes:
        skeleton: The ASF file.
        trials: The AMC files by the number of their trial, in ascending order.
    """

    skeleton: Path
    trials: Mapping[int, Path]


def find_subject(raw: Path, subject: int) -> SubjectFiles | None:
    """Looks for a skeleton and trials such as ``35.asf`` and ``35_01.amc``, which share a folder.

    Args:
        raw: A folder that holds them, or has a folder within, at any depth, that does.
        subject: The subject's number.

    Returns:
        The files beside the skeleton that lies least deep; ``None`` if there is no skeleton.
    """
    skeletons = raw.rglob(_skeleton_name(subject))
    skeleton = min(skeletons, key=lambda path: (len(path.parts), path), default=None)
    if skeleton is None:
        return None
    trials = {}
    for path in skeleton.parent.glob(f"{skeleton.stem}_*.amc"):
        number = path.stem.removeprefix(f"{skeleton.stem}_")
        if number.isdecimal() and path.name == _trial_name(subject, int(number)):
            trials[int(number)] = path
    return SubjectFiles(skeleton, dict(sorted(trials.items())))


def fetch_subject(raw: Path, subject: int, trials: Collection[int]) -> SubjectFiles:
    """Gives the files of a subject, of which it downloads those that are not there.

    Args:
        raw: Where they are, as for :func:`find_subject`, or are put.
        subject: The subject's number.
        trials: The numbers of the trials.

    Returns:
        The skeleton and these trials.

    Raises:
        FileNotFoundError: If a file is absent and its download fails.
        ValueError: If a file is not what was downloaded.
    """
    found = find_subject(raw, subject)
    folder = found.skeleton.parent if found else raw
    paths = {trial: folder / _trial_name(subject, trial) for trial in sorted(trials)}
    skeleton = folder / _skeleton_name(subject)
    # The skeleton comes last: without it, the trials of an unfinished download are not found and
    # taken for all that there are.
    wanted = (*paths.values(), skeleton)
    try:
        for path in wanted:
            fetch_file(path, [f"{URL}{skeleton.stem}/{path.name}"])
    except FileNotFoundError as error:
        _, *others = [path.name for path in wanted if not path.exists()]
        also = f" Of the same address and folder, {', '.join(others)} are absent too."
        raise FileNotFoundError(f"{error}{also if others else ''}") from error
    return SubjectFiles(skeleton, paths)


def _skeleton_name(subject: int) -> str:
    return f"{subject:02d}.asf"


def _trial_name(subject: int, trial: int) -> str:
    return f"{subject:02d}_{trial:02d}.amc"
