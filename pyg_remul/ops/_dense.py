"""Products of matrices without gradient, as fast as the processor allows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ONEDNN", "product", "weight_gradient"]

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns ``x @ weight.T + bias``, without gradient.

    PyTorch leaves products of floats on a CPU to MKL, which keeps its fastest code for one maker's
    processors. oneDNN, which ships with PyTorch as well, does not: on others it takes half the
    time. PyTorch's compiler reaches it by the same operator.

    Args:
        x: Shape [E, K].
        weight: Shape [F, K].
        bias: Shape [F].
    """
    if ONEDNN and x.dtype == torch.float32 and x.device.type == "cpu" and x.numel():
        return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, "none", [], None)
    return functional.linear(x, weight, bias)


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Returns ``grad.T @ x``, the gradient of the weight of :func:`product`, shape [F, K].

    Args:
        grad: Gradient of the output, shape [E, F].
        x: The input, shape [E, K].
    """
    return product(grad.T, x.T)


def _dense(x: Tensor) -> Tensor:
    """Copies a part of a matrix: oneDNN would go through it entry by entry."""
    return x if x.is_contiguous() or x.T.is_contiguous() else x.contiguous()
