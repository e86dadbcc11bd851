"""The Triton kernel of messages, after the equations of :class:`~pyg_remul.ops.EdgeNetwork`."""

from __future__ import annotations

import triton
import triton.language as tl

from pyg_remul.ops._displacement_kernels import (
    displacement,
    load_difference,
    on_axis,
)
from pyg_remul.ops._message_tile_kernels import (
    edge_ends,
    load_matrix,
    load_rows,
    load_vector,
    node_rows,
    product,
    row_sum,
    sigmoid,
    silu,
    store_rows,
    sum_by_node,
)

__all__ = ["forward_kernel"]


@triton.jit
def forward_kernel(
    order: tl.tensor,
    pointer: tl.tensor,
    others: tl.tensor,
    num_nodes: tl.tensor,
    own_channels: tl.tensor,
    other_channels: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    edge_attr: tl.tensor,
    edge_weight: tl.tensor,
    gate_weight: tl.tensor,
    gate_bias: tl.tensor,
    points: tl.tensor,
    distance_weight: tl.tensor,
    position_weight: tl.tensor,
    position_bias: tl.tensor,
    position_out: tl.tensor,
    clamp: tl.tensor,
    sums: tl.tensor,
    moved: tl.tensor,
    F: tl.constexpr,
    D: tl.constexpr,
    DIM: tl.constexpr,
    NORMALIZE: tl.constexpr,
    TANH: tl.constexpr,
    CLAMP: tl.constexpr,
    DTYPE: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_F: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_E: tl.constexpr,
) -> None:
    """Sums the messages and averages the displacements of the edges that end at BLOCK_N nodes."""
    w = load_matrix(weight, F, F, BLOCK_F, BLOCK_F)
    b = load_vector(bias, F, BLOCK_F)
    if edge_attr is not None:
        w_edge = load_matrix(edge_weight, F, D, BLOCK_F, BLOCK_D)
    if gate_weight is not None:
        w_gate, b_gate = load_vector(gate_weight, F, BLOCK_F), tl.load(gate_bias).to(tl.float32)
    if points is not None:
        w_distance = load_vector(distance_weight, F, BLOCK_F)
        w_position = load_matrix(position_weight, F, F, BLOCK_F, BLOCK_F)
        b_position = load_vector(position_bias, F, BLOCK_F)
        w_out = load_vector(position_out, F, BLOCK_F)
    first_node = tl.program_id(0).to(tl.int64) * BLOCK_N
    total = tl.zeros([BLOCK_N, BLOCK_F], tl.float32)
    total_moved = tl.zeros([BLOCK_N, 4], tl.float32)
    start, num_rows, begin, end = node_rows(pointer, first_node, num_nodes, BLOCK_N)
    for first_row in range(0, num_rows, BLOCK_E):
        kept, edge, own, other, belongs = edge_ends(
            order + start, others, begin, end, first_node, first_row, BLOCK_N, BLOCK_E
        )
        z = load_rows(own_channels, own, kept, F, BLOCK_F)
        z += load_rows(other_channels, other, kept, F, BLOCK_F)
        if edge_attr is not None:
            attributes = load_rows(edge_attr, edge, kept, D, BLOCK_D)
            z += product(attributes, tl.trans(w_edge), DTYPE, PRECISION)
        if points is not None:
            squared = tl.zeros([BLOCK_E], tl.float32)
            for axis in tl.static_range(DIM):
                difference = load_difference(points, own, other, kept, axis, DIM)
                squared += difference * difference
            z += squared[:, None] * w_distance
        message = silu(product(silu(z), tl.trans(w), DTYPE, PRECISION) + b)
        if gate_weight is not None:
            message *= sigmoid(row_sum(message * w_gate) + b_gate)
        total += sum_by_node(belongs, message, DTYPE, PRECISION)
        if points is not None:
            hidden = silu(product(message, tl.trans(w_position), DTYPE, PRECISION) + b_position)
            position = tl.sum(hidden * w_out, axis=1)
            factor = displacement(position, squared, clamp, NORMALIZE, TANH, CLAMP)
            for axis in tl.static_range(DIM):
                difference = load_difference(points, own, other, kept, axis, DIM)
                steps = tl.where(belongs, (factor * difference)[None, :], 0.0)
                total_moved += on_axis(tl.sum(steps, axis=1), axis)
    nodes = first_node + tl.arange(0, BLOCK_N)
    store_rows(sums, nodes, nodes < num_nodes, total, F, BLOCK_F)
    if points is not None:
        total_moved /= tl.maximum(end - begin, 1).to(tl.float32)[:, None]
        store_rows(moved, nodes, nodes < num_nodes, total_moved, DIM, 4)
