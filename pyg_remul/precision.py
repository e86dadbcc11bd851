"""The precision of a model's products, and what must not be rounded by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Precision", "allows_tf32", "full_precision", "in_bfloat16", "tf32"]

Precision: TypeAlias = Literal["float32", "tf32", "bf16"]


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Keeps autocast away from what must not be rounded; ``meta``, without values, has none.

    Args:
        device: Where the computation is.
    """
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def in_bfloat16(model: nn.Module, data: Any) -> Tensor:
    """Evaluates a model under autocast, and gives its prediction in float32.

    It is an adapter for the ``forward`` of a :class:`~pyg_remul.RemulLoss`, whose losses, and
    whatever weights them, are then in float32.

    Args:
        model: The model, with float32 weights.
        data: What it takes.

    Example:
        >>> in_bfloat16(nn.Linear(3, 2), torch.ones(4, 3)).dtype
        torch.float32
    """
    device = next(model.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        prediction: Tensor = model(data)
    return prediction.float()


def allows_tf32() -> bool:
    """Whether GPUs may round the factors of float32 products, by either set of torch's settings."""
    matmul: Any = torch.backends.cuda.matmul
    try:
        return bool(matmul.allow_tf32)
    except RuntimeError:  # the newer settings are in use
        return bool(matmul.fp32_precision == "tf32")


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether GPUs may round the factors of float32 products to TF32, with 10 bits instead of 23.

    It speeds up training, but alone costs an equivariant model three digits.

    Args:
        allowed: What holds inside; the earlier settings are restored.
    """
    restore = _set_all(allowed)
    try:
        yield
    finally:
        restore()


def _set_all(allowed: bool) -> Callable[[], object]:
    """Returns what undoes it. Torch has two sets of settings, and refuses to mix them."""
    try:
        matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:  # the newer ones are in use
        backends: Any = torch.backends  # not annotated by torch
        name = "tf32" if allowed else "ieee"
        return _set_precisions({backends.cuda.matmul: name, backends.cudnn.conv: name})
    _set_tf32("high" if allowed else "highest", allowed)
    return partial(_set_tf32, matmul, cudnn)


def _set_tf32(matmul: str, cudnn: bool) -> None:
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = cudnn


def _set_precisions(precisions: dict[Any, str]) -> Callable[[], object]:
    """Sets the precision of each backend, and returns what undoes it."""
    earlier = {backend: backend.fp32_precision for backend in precisions}
    for backend, precision in precisions.items():
        backend.fp32_precision = precision
    return partial(_set_precisions, earlier)
