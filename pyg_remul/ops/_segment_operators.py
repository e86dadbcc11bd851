"""The operators behind segment reductions, with their derivatives of all orders.

The gradient of a sum gathers, and that of gathering sums over the same segments: no derivative of
any order needs atomics.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from pyg_remul.ops._plain_segments import accumulated, normalized

__all__ = ["gather_operator", "softmax_operator", "sum_operator"]

_SCHEMA = "(Tensor x, Tensor index, Tensor order, Tensor pointer, str backend) -> Tensor"
_Gradients: TypeAlias = tuple[Tensor, None, None, None, None]


def _sum(x: Tensor, index: Tensor, order: Tensor, pointer: Tensor, backend: str) -> Tensor:
    if backend == "torch_scatter":
        return _scatter(x, order, pointer, "sum")
    from pyg_remul.ops._segment_launchers import sum_by_kernels

    return sum_by_kernels(x, index, order, pointer)


def _softmax(x: Tensor, index: Tensor, order: Tensor, pointer: Tensor, backend: str) -> Tensor:
    if backend == "torch_scatter":
        peak = _scatter(x, order, pointer, "max")
        return normalized(x, index, peak, lambda terms: _scatter(terms, order, pointer, "sum"))
    from pyg_remul.ops._segment_launchers import softmax_by_kernels

    return softmax_by_kernels(x, index, order, pointer)


def _gather(x: Tensor, index: Tensor, *_: object) -> Tensor:
    return x.index_select(0, index)


def _scatter(x: Tensor, order: Tensor, pointer: Tensor, reduce: str) -> Tensor:
    from torch_scatter import segment_csr

    return segment_csr(accumulated(x.index_select(0, order)), pointer, reduce=reduce)


def _operator(name: str, function: Any) -> Any:
    return torch.library.custom_op(
        f"pyg_remul::segment_{name}", function, mutates_args=(), schema=_SCHEMA
    )


sum_operator = _operator("sum", _sum)
softmax_operator = _operator("softmax", _softmax)
gather_operator = _operator("gather", _gather)


@sum_operator.register_fake
def _(x: Tensor, index: Tensor, order: Tensor, pointer: Tensor, backend: str) -> Tensor:  # noqa: ARG001
    return accumulated(x.new_empty(pointer.numel() - 1, *x.shape[1:]))


@softmax_operator.register_fake
def _(x: Tensor, *_: object) -> Tensor:
    return x.new_empty(x.shape)


@gather_operator.register_fake
def _(x: Tensor, index: Tensor, *_: object) -> Tensor:
    return x.new_empty(index.numel(), *x.shape[1:])


def _save_segments(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    x, *groups, ctx.backend = inputs
    ctx.dtype = x.dtype
    ctx.save_for_backward(*groups)


def _save_softmax(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, *groups, ctx.backend = inputs
    ctx.save_for_backward(output, *groups)


def _differentiate_sum(ctx: Any, grad: Tensor) -> _Gradients:
    grad = gather_operator(grad.to(ctx.dtype), *ctx.saved_tensors, ctx.backend)
    return grad, None, None, None, None


def _differentiate_gather(ctx: Any, grad: Tensor) -> _Gradients:
    grad = sum_operator(grad, *ctx.saved_tensors, ctx.backend).to(ctx.dtype)
    return grad, None, None, None, None


def _differentiate_softmax(ctx: Any, grad: Tensor) -> _Gradients:
    output, *groups = ctx.saved_tensors
    weighted = output * grad
    total = sum_operator(weighted, *groups, ctx.backend).to(grad.dtype)
    total = gather_operator(total, *groups, ctx.backend)
    return weighted - output * total, None, None, None, None


sum_operator.register_autograd(_differentiate_sum, setup_context=_save_segments)
softmax_operator.register_autograd(_differentiate_softmax, setup_context=_save_softmax)
gather_operator.register_autograd(_differentiate_gather, setup_context=_save_segments)
