"""A folder of runs that all studies share."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from functools import cache
from pathlib import Path

from pyg_remul.config import TrainConfig
from pyg_remul.run_folder import RunFolder

__all__ = ["SharedRuns", "digest"]

_LOGGER = logging.getLogger(__name__)


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
    copying their folders. Of several that are the same, one that has come to its end stands for
    all. Folders of other programs, or of other versions, are passed over with a warning.

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
        for file in sorted(path.glob("**/config.json")):
            self._add(RunFolder(file.parent))

    def folder(self, config: TrainConfig) -> RunFolder:
        """The folder of a run that is there, or the one for it.

        Args:
            config: The run.
        """
        key = digest(config)
        name = f"{config.task}-{config.model}-{config.method}-{key}"
        return self._folders.setdefault(key, RunFolder(self.path / name))

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
            if not _has_ended(folder):
                return None
            self._losses[key] = _loss(folder)
        return self._losses[key]

    def diverged(self) -> list[RunFolder]:
        """The runs that diverged, of those whose loss was asked for."""
        return [self._folders[key] for key, loss in self._losses.items() if loss == math.inf]

    def _add(self, folder: RunFolder) -> None:
        try:
            config = folder.config()
            ended = _has_ended(folder)
        except (ValueError, TypeError) as error:
            _LOGGER.warning("The folder %s is passed over: %s", folder.path, error)
            return
        if config is None:
            return
        present = self._folders.setdefault(digest(config), folder)
        if ended and not _has_ended(present):
            self._folders[digest(config)] = folder


def _has_ended(folder: RunFolder) -> bool:
    return folder.results() is not None or folder.divergence() is not None


def _loss(folder: RunFolder) -> float:
    if folder.divergence() is not None:
        return math.inf
    missing = [name for name in ("metrics.csv", "errors.csv") if not (folder.path / name).exists()]
    if missing:
        raise ValueError(
            f"The folder {folder.path} is refused: the run has finished, but {missing[0]} is "
            "missing; remove the folder to repeat the run."
        )
    return folder.lowest_validation_loss()
