"""What a training run does beside its steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import lightning
from lightning.pytorch.callbacks import Callback, Checkpoint

from pyg_remul.divergence import check_weights
from pyg_remul.files import replacing
from pyg_remul.run_folder import RunFolder

__all__ = ["Checkpoints", "MetricsTable", "Report", "StepReport"]

Report: TypeAlias = Callable[[int], object]
"""Takes the number of steps done."""


class MetricsTable(Callback):
    """Keeps a row of metrics for each validation, in the checkpoint and in ``metrics.csv``.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])

    def on_validation_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,  # noqa: ARG002
    ) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"step": trainer.global_step, **metrics})
        self.folder.write_metrics(self.rows)


class Checkpoints(Checkpoint):
    """Writes the last and the best checkpoint, and ends a run that does not improve for too long.

    A run whose weights are no longer finite ends at once, by
    :class:`~pyg_remul.checks.NonFiniteError`.

    Lightning's own callback writes no last checkpoint at a validation that is not the best, and
    forgets the best one when the folder moves.

    Args:
        folder: The folder of the run.
        patience: Validations without improvement after which the run ends, ``None`` for never.
    """

    def __init__(self, folder: RunFolder, patience: int | None) -> None:
        self.folder, self.patience = folder, patience
        self.lowest, self.waited = math.inf, 0

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self.lowest, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lowest, self.waited = state_dict["lowest"], state_dict["waited"]

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._stop(trainer)  # a resumed run may have been at its end

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        check_weights(pl_module)
        loss = float(trainer.callback_metrics["val/loss"])
        self.waited += 1
        if loss < self.lowest:
            self.lowest, self.waited = loss, 0
        if self.waited == 0 or self.lowest == math.inf:  # without a finite loss, the last is best
            self._save(trainer, self.folder.best)
        self._save(trainer, self.folder.last)
        self._stop(trainer)

    @staticmethod
    def _save(trainer: lightning.Trainer, path: Path) -> None:
        """Writes a checkpoint whole or not at all."""
        with replacing(path) as temporary:
            trainer.save_checkpoint(temporary)

    def _stop(self, trainer: lightning.Trainer) -> None:
        if self.patience is not None and self.waited >= self.patience:
            trainer.should_stop = True


class StepReport(Callback):
    """Tells how many steps are done.

    Args:
        report: Called after each step.
    """

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.report(trainer.global_step)
