"""Which implementation of the kernels runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from pyg_remul.checks import check_choice

__all__ = ["INTERPRETED", "Backend", "is_transformed", "select_backend", "use_backend"]

Backend: TypeAlias = Literal["triton", "torch_scatter", "torch"]

_KERNEL_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether kernels run in Triton's interpreter; Triton reads it once, when it is imported."""

_INSTALLED = {name: find_spec(name) is not None for name in ("triton", "torch_scatter")}

_chosen: Backend | None = None


@contextmanager
def use_backend(backend: Backend) -> Iterator[None]:
    """Chooses the implementation of messages and segment reductions for a while.

    Without it, floats of at most 32 bits on a GPU go through ``"triton"``, other tensors on a GPU
    through ``"torch_scatter"`` where that is installed, and the rest through ``"torch"``. The
    choice holds for all threads, and backward passes follow that of their forward pass.

    Args:
        backend: ``"triton"``: fused kernels for GPUs, or for the CPU in Triton's interpreter, which
            the environment variable ``TRITON_INTERPRET=1`` turns on. ``"torch_scatter"``: its
            reductions, where it is installed. ``"torch"``: PyTorch alone, anywhere.

    Raises:
        ValueError: If the backend is unknown or not installed.

    Example:
        >>> with use_backend("torch"):
        ...     select_backend(torch.ones(2))
        'torch'
    """
    global _chosen
    check_choice("backend", backend, get_args(Backend))
    if not _INSTALLED.get(backend, True):
        raise ValueError(f"`backend` must be installed, got {backend!r}, which is not.")
    before, _chosen = _chosen, backend
    try:
        yield
    finally:
        _chosen = before


def select_backend(x: Tensor) -> Backend:
    """Returns the backend for operations on a tensor.

    Args:
        x: The tensor; its device and dtype decide where nothing was chosen.

    Raises:
        ValueError: If :func:`use_backend` chose ``"triton"`` and the kernels cannot take the
            tensor.
    """
    fits = x.dtype in _KERNEL_DTYPES and (x.is_cuda or INTERPRETED)
    if _chosen == "triton" and not fits:
        raise ValueError(
            f"`backend` must be 'torch' for {x.dtype} on {x.device.type}, got 'triton', which "
            "takes floats of at most 32 bits on a GPU."
        )
    if _chosen is not None:
        return _chosen
    if x.is_cuda and fits and _INSTALLED["triton"]:
        return "triton"
    return "torch_scatter" if x.is_cuda and _INSTALLED["torch_scatter"] else "torch"


def is_transformed() -> bool:
    """Whether PyTorch exports or transforms what runs, beyond what operators of our own can do."""
    return torch.compiler.is_exporting() or torch._C._are_functorch_transforms_active()
