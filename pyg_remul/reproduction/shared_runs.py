"""A folder of runs that all studies share."""

from __future__ import annotations

import hashlib
import json
import logging
from functools import cache
from pathlib import Path

from pyg_remul.config import TrainConfig
from pyg_remul.reproduction.completeness import check_complete
from pyg_remul.run_folder import RunFolder

__all__ = ["SharedRuns", "digest"]

_LOGGER = logging.getLogger(__name__)
_FINISHED = 2


@cache
def digest(config: TrainConfig) -> str:
    """Ten hexadecimal digits that stand for all that the result of a run depends on.

    Args:
        config: The run.

    Example:
        >>> from pyg_remul.presets import preset
        >>> digest(preset("nbody")) == digest(preset("nbody", data=Path("elsewhere")))
        True
        >>> digest(preset("nbody")) == digest(preset("nbody", seed=1))
        False
    """
    text = json.dumps(config.identity(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


class SharedRuns:
    """The runs in a folder and all folders below it, found by what their results depend on.

    Their names do not matter, so that runs of another study, machine or day are taken over by
    copying their folders. Of several that are the same, one that has finished and is whole stands
    for all, else one that diverged. Folders of other programs, or of other versions, are passed
    over with a warning.

    Args:
        path: The folder, which need not exist.

    Example:
        >>> from pyg_remul.presets import preset
        >>> SharedRuns(Path("runs")).folder(preset("nbody")).path.as_posix()
        'runs/nbody-transformer-remul-...'
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folders: dict[str, RunFolder] = {}
        self._losses: dict[str, float] = {}
        self._refused: dict[Path, Exception] = {}
        for file in sorted(path.glob("**/config.json")):
            self._add(RunFolder(file.parent))

    def folder(self, config: TrainConfig) -> RunFolder:
        """The folder of a run that is there, or the one for it.

        Args:
            config: The run.

        Raises:
            ValueError: If the folder for it is there and was passed over.
        """
        key = digest(config)
        path = self.path / f"{config.task}-{config.model}-{config.method}-{key}"
        if key not in self._folders and path in self._refused:
            raise ValueError(
                f"The folder {path} is refused: {self._refused[path]} Remove the folder to repeat "
                "the run."
            )
        return self._folders.setdefault(key, RunFolder(path))

    def loss(self, config: TrainConfig) -> float | None:
        """The lowest validation loss of a run that has ended.

        Args:
            config: The run.

        Returns:
            ``None`` if it has not ended, infinity if it diverged.

        Raises:
            ValueError: If it has ended and its folder is incomplete.
        """
        key = digest(config)
        if key not in self._losses:
            folder = self.folder(config)
            if not _standing(folder):
                return None
            self._losses[key] = _loss(folder, config)
        return self._losses[key]

    def diverged(self) -> list[RunFolder]:
        """The runs that diverged, of those whose loss was asked for."""
        folders = (self._folders[key] for key in self._losses)
        return [folder for folder in folders if folder.divergence() is not None]

    def _add(self, folder: RunFolder) -> None:
        try:
            config = folder.config()
            standing = _standing(folder)
        except (ValueError, TypeError) as error:
            _LOGGER.warning("The folder %s is passed over: %s", folder.path, error)
            self._refused[folder.path] = error
            return
        if config is None:
            return
        present = self._folders.setdefault(digest(config), folder)
        known = _standing(present)
        cut = known == _FINISHED and present is not folder and not _whole(present, config)
        if standing > known or (standing == _FINISHED and cut):
            self._folders[digest(config)] = folder


def _standing(folder: RunFolder) -> int:
    """2 if the run has finished, 1 if it diverged, 0 if it has not ended."""
    if folder.results() is not None:
        return _FINISHED
    return 0 if folder.divergence() is None else 1


def _whole(folder: RunFolder, config: TrainConfig) -> bool:
    """Whether nothing is missing of a run that has finished."""
    try:
        check_complete(folder, config)
    except ValueError:
        return False
    return True


def _loss(folder: RunFolder, config: TrainConfig) -> float:
    if folder.results() is not None:
        check_complete(folder, config)
    return folder.lowest_validation_loss()
