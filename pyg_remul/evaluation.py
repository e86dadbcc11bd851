"""The conditions under which a model is measured."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch_geometric.data import Batch

from pyg_remul.prediction import Model

__all__ = ["cast", "device_of", "evaluating", "without_tf32"]


def device_of(model: Model) -> torch.device | None:
    """The device of a module's parameters, ``None`` for other callables."""
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return None if parameter is None else parameter.device


def cast(batch: Batch, dtype: torch.dtype | None) -> Batch:
    """A copy of a batch with its floating tensors in another dtype."""
    if dtype is None:
        return batch
    return copy.copy(batch).apply(lambda x: x.to(dtype) if x.is_floating_point() else x)


@contextmanager
def evaluating(model: Model, dtype: torch.dtype | None) -> Iterator[Model]:
    """The model in eval mode, every module's own mode restored; a copy of it in another dtype."""
    if not isinstance(model, nn.Module):
        yield model
        return
    if dtype is not None and not _has_dtype(model, dtype):
        model = copy.deepcopy(model).to(dtype)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield model
    finally:
        for module, training in modes:
            module.training = training


def _has_dtype(model: nn.Module, dtype: torch.dtype) -> bool:
    tensors = chain(model.parameters(), model.buffers())
    return all(tensor.dtype == dtype for tensor in tensors if tensor.is_floating_point())


@contextmanager
def without_tf32() -> Iterator[None]:
    """Full float32 products, for TF32 alone costs an equivariant model three digits."""
    restore = _disable_tf32()
    try:
        yield
    finally:
        restore()


def _disable_tf32() -> Callable[[], object]:
    """Returns what undoes it. Torch has two sets of settings, and refuses to mix them."""
    try:
        matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:  # the newer ones are in use
        backends: Any = torch.backends  # not annotated by torch
        return _set_precisions({backends.cuda.matmul: "ieee", backends.cudnn.conv: "ieee"})
    _set_tf32("highest", False)
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
