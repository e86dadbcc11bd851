"""Linear maps, as fast as the processor allows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyg_remul.ops._dense import ONEDNN, product

__all__ = ["Linear", "linear"]

_SMALLEST = 2**22  # multiplications below which the detour costs more than it saves


class Linear(nn.Linear):
    """``nn.Linear`` by way of :func:`linear`, with the same weights and names.

    Example:
        >>> Linear(2, 3)(torch.ones(4, 2)).shape
        torch.Size([4, 3])
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Returns the outputs [..., out_features] of inputs [..., in_features]."""
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Returns ``x @ weight.T + bias``, with all derivatives.

    Large products of float32 on a CPU go through oneDNN, see :func:`~pyg_remul.ops._dense.product`;
    everything else, and all that PyTorch compiles, exports or transforms, is
    ``torch.nn.functional.linear``.

    Args:
        x: Shape [..., K].
        weight: Shape [F, K].
        bias: Shape [F].

    Returns:
        Shape [..., F].
    """
    if not _gains(x, weight, bias):
        return functional.linear(x, weight, bias)
    out: Tensor = _Linear.apply(x.flatten(0, -2), weight, bias)
    return out.view(*x.shape[:-1], weight.size(0))


def _gains(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return (
        ONEDNN
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.dim() > 1
        and x.size(-1) == weight.size(-1)  # else PyTorch says what does not fit
        and (bias is None or (bias.dtype, bias.shape) == (weight.dtype, weight.shape[:1]))
        and x.numel() * weight.size(0) >= _SMALLEST
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
    )


class _Linear(torch.autograd.Function):
    """Whose gradients are linear maps again, and so on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            linear(grad, weight.T) if of_x else None,
            linear(grad.T, x.T) if of_weight else None,
            grad.sum(dim=0) if of_bias else None,
        )
