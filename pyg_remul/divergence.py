"""Training runs that diverge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning
import torch
from torch import nn

from pyg_remul.checks import NonFiniteError
from pyg_remul.run_folder import RunFolder

__all__ = ["DivergenceError", "check_weights", "recorded_divergence", "refuse_diverged"]


class DivergenceError(RuntimeError):
    """A run whose weights, loss or predictions are no longer finite.

    Args:
        path: The folder of the run.
        reason: When and how it showed.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"The run in {self.path} diverged: {self.reason}"


def check_weights(model: nn.Module) -> None:
    """Refuses weights that are not finite: they never recover. Waits for the device.

    Args:
        model: The model.

    Raises:
        NonFiniteError: If there are such.
    """
    finite = [weight.isfinite().all() for weight in model.parameters()]
    if finite and not torch.stack(finite).all():
        raise NonFiniteError("the weights are not finite.")


def refuse_diverged(folder: RunFolder) -> None:
    """Refuses a run that diverged, for it would do so again.

    Args:
        folder: The folder of the run.

    Raises:
        DivergenceError: If it did.
    """
    reason = folder.divergence()
    if reason is not None:
        raise DivergenceError(folder.path, reason)


@contextmanager
def recorded_divergence(
    folder: RunFolder, module: lightning.LightningModule, *, trained: bool = False
) -> Iterator[None]:
    """Notes in a run's folder that it diverged, if numbers that are not finite end what is inside.

    Args:
        folder: The folder of the run.
        module: What is trained.
        trained: Whether training has ended, so that only the evaluation can fail.

    Raises:
        DivergenceError: Instead of :class:`~pyg_remul.checks.NonFiniteError`.
        NonFiniteError: Before the first step, for then the data are at fault.
    """
    try:
        yield
    except NonFiniteError as error:
        if module.global_step == 0:
            raise
        folder.write_divergence(module.global_step, str(error), trained=trained)
        refuse_diverged(folder)
