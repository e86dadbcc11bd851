"""A device without values, on which every step that waits for the device fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch_geometric.data import Data

from pyg_remul import StackedLoader
from pyg_remul.stacked_graphs import StackedGraphs
from pyg_remul.training import RemulModule

META = torch.device("meta")
_SIZED_BY_VALUES = ("_unique2", "unique_consecutive", "unique_dim", "bincount", "masked_select")


class RefuseWaiting(TorchDispatchMode):
    """Refuses copies to the device that would wait for it, and results whose size it determines.

    What else reads a value is refused by the device ``meta`` itself, as it has none.
    """

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in _SIZED_BY_VALUES and args[0].device == META:
            raise RuntimeError(f"{name} waits for the device")
        sent = name == "_to_copy" and args[0].device.type == "cpu" and kwargs.get("device") == META
        if sent and not kwargs.get("non_blocking"):
            raise RuntimeError(f"a copy of shape {list(args[0].shape)} waits for the device")
        return func(*args, **kwargs)


@contextmanager
def refuse_waiting(device: torch.device) -> Iterator[None]:
    """Refuses to wait for a device, ``meta`` or a GPU."""
    if device == META:
        with RefuseWaiting():
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def train(module: RemulModule, graphs: Sequence[Data], device: torch.device) -> int:
    """Steps of two graphs each, which may wait on the CPU but not on the device.

    Returns the number of steps that were not allowed to wait.
    """
    steps = 0
    for where in (torch.device("cpu"), device):
        module = module.to(where)
        optimizer = torch.optim.Adam(module.model.parameters(), foreach=True)
        stack = StackedGraphs(graphs).to(where)
        for _ in range(2):  # on a GPU, first uses may wait
            first = where.type == "cpu" or (where.type == "cuda" and not optimizer.state)
            with nullcontext() if first else refuse_waiting(where):
                for batch in StackedLoader(stack, 2, shuffle=True):
                    optimizer.zero_grad()
                    module.training_step(batch, 0).backward()
                    nn.utils.clip_grad_norm_(module.model.parameters(), 10.0)
                    optimizer.step()
                    steps += not first
    return steps


devices = pytest.mark.parametrize(
    "device",
    [
        META,
        pytest.param(
            torch.device("cuda"),
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
            ],
        ),
    ],
    ids=str,
)


class RefuseHost(TorchDispatchMode):
    """Refuses every tensor of the host, but lone numbers: a recording would keep its values."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given, made = (
            {x.device.type for x in tree_leaves(tree) if isinstance(x, torch.Tensor) and x.dim()}
            for tree in ((args, kwargs), result)
        )
        if "meta" in made and "cpu" in given:
            raise RuntimeError(f"{func} copies from the host")
        return result
