"""Products with small square matrices, as fast as the processor allows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["linear", "weight_gradient"]

_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns ``x @ weight.T + bias``, without gradient.

    PyTorch leaves products of floats on a CPU to MKL, which keeps its fastest code for one maker's
    processors. oneDNN, which ships with PyTorch as well, does not: on others it takes half the
    time. PyTorch's compiler reaches it by the same operator.

    Args:
        x: Shape [E, K].
        weight: Shape [F, K].
        bias: Shape [F].
    """
    if _ONEDNN and x.dtype == torch.float32 and x.device.type == "cpu" and x.numel():
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], None)
    return functional.linear(x, weight, bias)


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Returns ``grad.T @ x``, the gradient of the weight of :func:`linear`, shape [F, K].

    Args:
        grad: Gradient of the output, shape [E, F].
        x: The input, shape [E, K].
    """
    return linear(grad.T.contiguous(), x.T)
