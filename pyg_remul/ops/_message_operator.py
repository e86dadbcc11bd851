"""The operators behind :func:`~pyg_remul.ops.edge_messages`, with their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import Tensor

from pyg_remul.ops._message_blocks import block_backward, block_forward
from pyg_remul.ops.backend import Backend
from pyg_remul.ops.displacement import DisplacementOptions
from pyg_remul.ops.edge_network import EdgeNetwork, plain_messages
from pyg_remul.ops.segments import Topology

__all__ = ["messages_operator"]

_NUM_OPERANDS = len(EdgeNetwork._fields)
_MOST_CHANNELS, _MOST_ATTRIBUTES, _MOST_AXES = 128, 64, 4
"""That the kernels take."""

_GROUPINGS = ("target_order", "target_pointer", "source_order", "source_pointer")


def _schema(results: str, *leading: str) -> str:
    operands = [
        f"Tensor{'?' if name in EdgeNetwork._field_defaults else ''} {name}"
        for name in EdgeNetwork._fields
    ]
    options = ["bool normalize", "bool tanh", "float clamp"]
    edges = ["Tensor edge_index", *(f"Tensor? {name}" for name in _GROUPINGS), "str backend"]
    return f"({', '.join([*leading, *operands, *options, *edges])}) -> ({results})"


def _parse(args: tuple[Any, ...]) -> tuple[Topology, EdgeNetwork, DisplacementOptions, Backend]:
    network = EdgeNetwork(*args[:_NUM_OPERANDS])
    normalize, tanh, clamp, edge_index, *groupings, backend = args[_NUM_OPERANDS:]
    topology = Topology(edge_index, network.target.size(0), groupings)
    return topology, network, DisplacementOptions(normalize, tanh, clamp), backend


def _implementation(network: EdgeNetwork, backend: Backend) -> tuple[Callable[..., Any], ...]:
    """The forward and backward pass: kernels where they fit, else blocks, which take anything."""
    if backend != "triton" or not _fits_kernels(network):
        return block_forward, block_backward
    from pyg_remul.ops._message_launchers import kernel_backward, kernel_forward

    return kernel_forward, kernel_backward


def _fits_kernels(network: EdgeNetwork) -> bool:
    points, edge_attr = network.points, network.edge_attr
    if network.target.size(1) > _MOST_CHANNELS:
        return False
    if edge_attr is not None and edge_attr.size(1) > _MOST_ATTRIBUTES:
        return False
    if points is None:
        return True
    return points.size(1) == 1 and points.size(2) <= _MOST_AXES and points.dtype != torch.float64


def _compute(*args: Any) -> tuple[Tensor, Tensor]:
    topology, network, options, backend = _parse(args)
    forward, _ = _implementation(network, backend)
    return forward(topology, network, options)


def _compute_backward(
    grad_sums: Tensor, grad_moved: Tensor, edge_grad: bool, *args: Any
) -> tuple[Tensor, ...]:
    topology, network, options, backend = _parse(args)
    _, backward = _implementation(network, backend)
    grads = backward(topology, network, options, grad_sums, grad_moved, edge_grad=edge_grad)
    return tuple(network.target.new_empty(0) if x is None else x for x in grads)


messages_operator = torch.library.custom_op(
    "pyg_remul::edge_messages", _compute, mutates_args=(), schema=_schema("Tensor, Tensor")
)
_backward = torch.library.custom_op(
    "pyg_remul::edge_messages_backward",
    _compute_backward,
    mutates_args=(),
    schema=_schema(
        ", ".join(["Tensor"] * _NUM_OPERANDS),
        *("Tensor grad_sums", "Tensor grad_moved", "bool edge_grad"),
    ),
)


@messages_operator.register_fake
def _(*args: Any) -> tuple[Tensor, Tensor]:
    network = EdgeNetwork(*args[:_NUM_OPERANDS])
    sums = torch.empty_like(network.target)
    return sums, sums.new_empty(0) if network.points is None else torch.empty_like(network.points)


@_backward.register_fake
def _(grad_sums: Tensor, _: Tensor, edge_grad: bool, *args: Any) -> tuple[Tensor, ...]:
    network = EdgeNetwork(*args[:_NUM_OPERANDS])
    if not edge_grad:
        network = network._replace(edge_attr=None)
    return tuple(grad_sums.new_empty(0) if x is None else torch.empty_like(x) for x in network)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001
    ctx.is_tensor = [isinstance(value, Tensor) for value in inputs]
    ctx.values = [value for value in inputs if not isinstance(value, Tensor)]
    ctx.save_for_backward(*(value for value in inputs if isinstance(value, Tensor)))


def _saved(ctx: Any) -> list[Any]:
    tensors, values = iter(ctx.saved_tensors), iter(ctx.values)
    return [next(tensors if is_tensor else values) for is_tensor in ctx.is_tensor]


def _differentiate(ctx: Any, grad_sums: Tensor, grad_moved: Tensor) -> tuple[Any, ...]:
    args = _saved(ctx)
    needed = ctx.needs_input_grad[:_NUM_OPERANDS]
    edge_grad = needed[EdgeNetwork._fields.index("edge_attr")]
    grads = _backward(grad_sums, grad_moved, edge_grad, *args)
    kept = (grad if need else None for grad, need in zip(grads, needed, strict=True))
    return *kept, *[None] * (len(args) - _NUM_OPERANDS)


def _differentiate_twice(ctx: Any, *grad_grads: Tensor) -> tuple[Any, ...]:
    """Differentiates the gradients of the plain formulation.

    Its operands are aliases of the saved ones, for these may depend on each other.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        grad_sums, grad_moved, _, *args = _aliases(_saved(ctx))
        topology, network, options, _ = _parse(tuple(args))
        outputs = plain_messages(topology, network, options)
        num = 1 if network.points is None else 2
        seeds = (grad_sums, grad_moved)
        pairs = [(x, g) for x, g in zip(network, grad_grads, strict=True) if _is_variable(x)]
        grads = torch.autograd.grad(
            outputs[:num], [x for x, _ in pairs], seeds[:num], create_graph=True, allow_unused=True
        )
        used = [(x, g) for x, (_, g) in zip(grads, pairs, strict=True) if _is_variable(x)]
        inputs = (*seeds, *network)
        results = torch.autograd.grad(
            [x for x, _ in used],
            [x for x in inputs if _is_variable(x)],
            [g for _, g in used],
            create_graph=create_graph,
            allow_unused=True,
        )
    remaining = iter(results)
    first, second, *others = [next(remaining) if _is_variable(x) else None for x in inputs]
    return first, second, None, *others, *[None] * (len(args) - _NUM_OPERANDS)


def _is_variable(x: Tensor | None) -> TypeGuard[Tensor]:
    return x is not None and x.requires_grad


def _aliases(values: list[Any]) -> list[Any]:
    return [x.view_as(x) if isinstance(x, Tensor) and x.requires_grad else x for x in values]


messages_operator.register_autograd(_differentiate, setup_context=_save)
_backward.register_autograd(_differentiate_twice, setup_context=_save)
