"""The loop of a training run, by Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tqdm import tqdm

from pyg_remul.callbacks import Checkpoints, MetricsTable, Report, StepReport
from pyg_remul.config import TrainConfig
from pyg_remul.precision import tf32
from pyg_remul.run_folder import RunFolder
from pyg_remul.training import RemulDataModule, RemulModule

__all__ = ["fit"]


def fit(
    module: RemulModule,
    datamodule: RemulDataModule,
    folder: RunFolder,
    checkpoint: Path | None = None,
    report: Report | None = None,
) -> None:
    """Trains to the last step, or until the patience is at its end.

    Args:
        module: What to train.
        datamodule: On what.
        folder: Takes the metrics and the checkpoints.
        checkpoint: Where to go on, ``None`` to begin.
        report: Called after each step with the number of steps done, instead of a progress bar.

    Raises:
        NonFiniteError: If weights are no longer finite.
    """
    config = module.config
    path = None if checkpoint is None else str(checkpoint)
    with _quiet(), _progress(config.steps, report) as progress:
        trainer = _trainer(config, folder, progress, curves=report is None)
        try:
            with tf32(allowed=True) if config.precision == "tf32" else nullcontext():
                trainer.fit(module, datamodule, ckpt_path=path, weights_only=True)
        except SystemExit as error:  # which Lightning makes of an interruption
            raise KeyboardInterrupt from error


def _trainer(config: TrainConfig, folder: RunFolder, report: Report, *, curves: bool) -> Trainer:
    callbacks = [StepReport(report), MetricsTable(folder), Checkpoints(folder, config.patience)]
    return Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=config.steps // config.val_every,
        gradient_clip_val=config.clip,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder.path, name="", version="tensorboard") if curves else False,
        default_root_dir=folder.path,
        enable_progress_bar=False,
        enable_model_summary=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
    )


@contextmanager
def _progress(steps: int, report: Report | None) -> Iterator[Report]:
    """The report itself, or a bar over the steps of the whole run."""
    if report is not None:
        yield report
        return
    with tqdm(total=steps, desc="training", unit="step", dynamic_ncols=True) as bar:
        yield lambda step: bar.update(step - bar.n)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops Lightning's advice on loaders and devices, which does not apply here."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        logger.setLevel(level)
