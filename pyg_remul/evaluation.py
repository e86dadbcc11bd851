"""The conditions under which a model is measured."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import nn
from torch_geometric.data import Batch

from pyg_remul.prediction import Model

__all__ = ["cast", "device_of", "evaluating"]


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
