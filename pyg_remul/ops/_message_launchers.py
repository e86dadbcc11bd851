"""Launches the kernels of :mod:`pyg_remul.ops._message_kernels`."""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_remul.ops._message_kernels import backward_kernel, forward_kernel
from pyg_remul.ops.backend import INTERPRETED
from pyg_remul.ops.displacement import DisplacementOptions
from pyg_remul.ops.edge_network import EdgeNetwork
from pyg_remul.ops.segments import Topology

__all__ = ["kernel_backward", "kernel_forward"]

_NODES = 16
"""Nodes of a block, the fewest that the product with their edges takes."""

_PROGRAMS = 264
"""Most that share the nodes of a backward pass: two for each multiprocessor of an H200.

Fixed, so that the order of the sums is the same on every device.
"""

_FORWARD_TILES = {16: (32, 4), 32: (32, 4), 64: (32, 4), 128: (32, 8)}
_BACKWARD_TILES = {16: (32, 4), 32: (32, 4), 64: (32, 8), 128: (16, 8)}
"""By the number of channels: edges of a tile, and warps of a program."""

_VECTORS = 4
"""Rows of a part of the gradients of weights between those of the square one and the attributes."""

_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


def kernel_forward(
    topology: Topology, network: EdgeNetwork, options: DisplacementOptions
) -> tuple[Tensor, Tensor]:
    """Computes what :func:`~pyg_remul.ops._message_blocks.block_forward` does, in one kernel.

    Args:
        topology: The edges, with their groupings.
        network: The operands: at most 128 channels, 64 attributes, and one point in four
            dimensions.
        options: The variant of the displacements.
    """
    sums = torch.empty_like(network.target)
    moved = sums.new_empty(0) if network.points is None else torch.empty_like(network.points)
    if sums.numel():
        grid = (triton.cdiv(topology.num_nodes, _NODES),)
        with torch.cuda.device_of(sums):
            forward_kernel[grid](
                *_edges(topology, by_target=True),
                *_operands(network),
                *(options.clamp, sums, moved),
                **_constants(network, options, _FORWARD_TILES),
            )
    return sums, moved


def kernel_backward(
    topology: Topology,
    network: EdgeNetwork,
    options: DisplacementOptions,
    grad_sums: Tensor,
    grad_moved: Tensor,
    *,
    edge_grad: bool,
) -> EdgeNetwork:
    """Returns the gradients of the operands, as does ``block_backward``, in two kernels.

    Args:
        topology: The edges, with their groupings.
        network: As for :func:`kernel_forward`.
        options: The variant of the displacements.
        grad_sums: Gradient of the sums of the messages, shape [N, F].
        grad_moved: Gradient of the means of the displacements, shape [N, 1, d], or empty.
        edge_grad: Whether that of the attributes of the edges is wanted.
    """
    if network.points is not None:
        degrees = topology.by_target.pointer.diff().clamp(min=1)
        grad_moved = grad_moved.float() / degrees.view(-1, 1, 1)
    incoming = (grad_sums.contiguous(), grad_moved.contiguous())
    grad_edges = torch.empty_like(network.edge_attr) if edge_grad else None
    swapped = network._replace(target=network.source, source=network.target)
    target, points, message_rows = _launch_backward(
        topology, network, options, incoming, grad_edges, by_target=True
    )
    source, source_points, position_rows = _launch_backward(
        topology, swapped, options, incoming, None, by_target=False
    )
    weights = _weight_gradients(network, message_rows, position_rows)
    grads = weights._replace(target=target, source=source, points=points + source_points)
    pairs = zip(network._replace(edge_attr=None), grads, strict=True)
    kept = (None if x is None else torch.empty_like(x).copy_(grad) for x, grad in pairs)
    return EdgeNetwork._make(kept)._replace(edge_attr=grad_edges)


def _launch_backward(
    topology: Topology,
    network: EdgeNetwork,
    options: DisplacementOptions,
    incoming: tuple[Tensor, Tensor],
    grad_edges: Tensor | None,
    *,
    by_target: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of the own channels and points, and the rows of those of weights."""
    constants = _constants(network, options, _BACKWARD_TILES)
    width = constants["BLOCK_F"]
    rows = width + _VECTORS + constants["BLOCK_D"]
    num_blocks = triton.cdiv(topology.num_nodes, _NODES)
    channels = torch.empty_like(network.target)
    points = torch.empty_like(incoming[1], dtype=torch.float32)
    parts = points.new_zeros(min(num_blocks, _PROGRAMS), rows, width)
    if channels.numel():
        with torch.cuda.device_of(channels):
            backward_kernel[parts.size(0),](
                *_edges(topology, by_target=by_target),
                *_operands(network),
                *(options.clamp, *incoming, channels, points, grad_edges, parts),
                BY_TARGET=by_target,
                ROWS=rows,
                **constants,
            )
    return channels, points, parts.sum(dim=0)


def _weight_gradients(network: EdgeNetwork, message: Tensor, position: Tensor) -> EdgeNetwork:
    """Takes the rows of both kernels apart; those of weights that are not there mean nothing."""
    channels, width = network.target.size(1), message.size(1)
    sizes = [width, _VECTORS, message.size(0) - width - _VECTORS]
    weight, (bias, distance, gate, gate_bias), columns = message[:, :channels].split(sizes)
    position_weight, (position_bias, position_out, *_), _ = position[:, :channels].split(sizes)
    attributes = 0 if network.edge_weight is None else network.edge_weight.size(1)
    return EdgeNetwork(
        target=message,
        source=message,
        weight=weight[:channels],
        bias=bias,
        edge_weight=columns[:attributes].T,
        gate_weight=gate.unsqueeze(0),
        gate_bias=gate_bias[:1],
        distance_weight=distance.unsqueeze(1),
        position_weight=position_weight[:channels],
        position_bias=position_bias,
        position_out=position_out.unsqueeze(0),
    )


def _edges(topology: Topology, *, by_target: bool) -> tuple[Any, ...]:
    """The edges as the kernels read them, with the nodes at their other ends."""
    own, others = topology.by_target, topology.source
    if not by_target:
        own, others = topology.by_source, topology.target
    return own.order, own.pointer, others.contiguous(), own.num_segments


def _operands(network: EdgeNetwork) -> EdgeNetwork:
    """The operands as the kernels read them, without attributes that have no columns."""
    if network.edge_attr is None or not network.edge_attr.size(1):
        network = network._replace(edge_attr=None, edge_weight=None)
    return network


def _constants(
    network: EdgeNetwork, options: DisplacementOptions, tiles: dict[int, tuple[int, int]]
) -> dict[str, Any]:
    """What the kernels are compiled for."""
    channels, dtype = network.target.size(1), network.target.dtype
    attributes = 0 if network.edge_attr is None else network.edge_attr.size(1)
    block = max(16, triton.next_power_of_2(channels))
    edges, warps = tiles[block]
    return {
        "F": channels,
        "D": attributes,
        "DIM": 1 if network.points is None else network.points.size(2),
        "NORMALIZE": options.normalize,
        "TANH": options.tanh,
        "CLAMP": options.clamp < math.inf,
        "DTYPE": _TYPES[dtype],
        "PRECISION": _precision(dtype),
        "BLOCK_F": block,
        "BLOCK_D": max(16, triton.next_power_of_2(attributes)),
        "BLOCK_N": _NODES,
        "BLOCK_E": edges,
        "num_warps": warps,
        "num_stages": 1,
        "enable_fp_fusion": True,
    }


def _precision(dtype: torch.dtype) -> str:
    """How products are computed: those of floats in three parts, unless TensorFloat-32 will do."""
    if INTERPRETED:
        return "upcast"
    if dtype != torch.float32:
        return "ieee"
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
