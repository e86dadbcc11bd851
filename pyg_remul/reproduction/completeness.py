"""Whether the folder of a finished run is whole, as a copy that was cut short is not."""

from __future__ import annotations

import math
import zipfile

from pyg_remul.config import TrainConfig
from pyg_remul.run_folder import RunFolder

__all__ = ["check_complete"]


def check_complete(folder: RunFolder, config: TrainConfig) -> None:
    """Refuses the folder of a finished run of which a part is missing.

    Args:
        folder: The folder, which holds results.
        config: The run.

    Raises:
        ValueError: If a file is missing, or ends before the run did.
    """
    fault = _missing(folder) or _unfinished(folder, config) or _uncounted(folder)
    if fault is not None:
        raise ValueError(
            f"The folder {folder.path} is refused: the run has finished, but {fault}; remove the "
            "folder to repeat the run."
        )


def _missing(folder: RunFolder) -> str | None:
    for path in (folder.path / "metrics.csv", folder.path / "errors.csv", folder.best):
        if not path.is_file():
            return f"{path.name} is missing"
    return None if zipfile.is_zipfile(folder.best) else f"{folder.best.name} is cut short"


def _unfinished(folder: RunFolder, config: TrainConfig) -> str | None:
    """What is wrong with the validations, which end at the last step or with the patience."""
    losses = [row.get("val/loss", math.inf) for row in folder.metrics()]
    lowest = folder.lowest_validation_loss()
    if lowest == math.inf:
        return "metrics.csv has no finite validation loss"
    waited = len(losses) - 1 - losses.index(lowest)
    impatient = config.patience is not None and waited >= config.patience
    if impatient or folder.last_step() == config.steps:
        return None
    return f"metrics.csv ends at step {folder.last_step()} of {config.steps}"


def _uncounted(folder: RunFolder) -> str | None:
    """What is wrong with the numbers of test graphs, which runs of older versions do not tell."""
    graphs = (folder.data() or {}).get("graphs", {})
    errors = folder.errors()
    for split in folder.results() or {}:
        found = len(errors.get(split, ()))
        wanted = graphs.get(split, found or "any")
        if found != wanted:
            return f"errors.csv has {found} graphs of split {split!r}, not {wanted}"
    return None
