"""The Triton kernel of the gradients of messages.

The messages are computed anew; no value of an edge is stored but the gradient of its attributes.
"""

from __future__ import annotations

import triton
import triton.language as tl

from pyg_remul.ops._displacement_kernels import (
    displacement_backward,
    load_axis,
    load_difference,
    on_axis,
)
from pyg_remul.ops._message_tile_kernels import (
    column_sum,
    edge_ends,
    load_matrix,
    load_rows,
    load_vector,
    node_rows,
    product,
    row_sum,
    sigmoid,
    silu,
    silu_slope,
    store_part,
    store_rows,
    sum_by_node,
)

__all__ = ["backward_kernel"]


@triton.jit
def backward_kernel(
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
    grad_sums: tl.tensor,
    grad_moved: tl.tensor,
    grad_channels: tl.tensor,
    grad_points: tl.tensor,
    grad_edge_attr: tl.tensor,
    partials: tl.tensor,
    BY_TARGET: tl.constexpr,
    ROWS: tl.constexpr,
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
    """Computes the gradients of what belongs to nodes where edges end, or where they begin.

    The former takes with it those of `edge_attr` and of the weights of messages, the latter those
    of the weights of displacements; of the weights, a program writes the part of its own nodes.
    """
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
    if BY_TARGET:
        grad_w = tl.zeros([BLOCK_F, BLOCK_F], tl.float32)
        grad_b = tl.zeros([1, BLOCK_F], tl.float32)
        if edge_attr is not None:
            grad_w_edge = tl.zeros([BLOCK_D, BLOCK_F], tl.float32)
        if gate_weight is not None:
            grad_w_gate = tl.zeros([1, BLOCK_F], tl.float32)
            grad_b_gate = tl.zeros([1, 1], tl.float32)
        if points is not None:
            grad_w_distance = tl.zeros([1, BLOCK_F], tl.float32)
    elif points is not None:
        grad_w_position = tl.zeros([BLOCK_F, BLOCK_F], tl.float32)
        grad_b_position = tl.zeros([1, BLOCK_F], tl.float32)
        grad_w_out = tl.zeros([1, BLOCK_F], tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(num_nodes, BLOCK_N), tl.num_programs(0)):
        first_node = tl.cast(block, tl.int64) * BLOCK_N
        total = tl.zeros([BLOCK_N, BLOCK_F], tl.float32)
        total_points = tl.zeros([BLOCK_N, 4], tl.float32)
        start, num_rows, begin, end = node_rows(pointer, first_node, num_nodes, BLOCK_N)
        for first_row in range(0, num_rows, BLOCK_E):
            kept, edge, own, other, belongs = edge_ends(
                order + start, others, begin, end, first_node, first_row, BLOCK_N, BLOCK_E
            )
            target = own if BY_TARGET else other
            z = load_rows(own_channels, own, kept, F, BLOCK_F)
            z += load_rows(other_channels, other, kept, F, BLOCK_F)
            if edge_attr is not None:
                attributes = load_rows(edge_attr, edge, kept, D, BLOCK_D)
                z += product(attributes, tl.trans(w_edge), DTYPE, PRECISION)
            if points is not None:  # the difference of own and other, here and in its gradient
                squared = tl.zeros([BLOCK_E], tl.float32)
                along = tl.zeros([BLOCK_E], tl.float32)
                for axis in tl.static_range(DIM):
                    difference = load_difference(points, own, other, kept, axis, DIM)
                    squared += difference * difference
                    along += difference * load_axis(grad_moved, target, kept, axis, DIM)
                along = along if BY_TARGET else -along
                z += squared[:, None] * w_distance
            hidden = silu(z)
            out = product(hidden, tl.trans(w), DTYPE, PRECISION) + b
            message = silu(out)
            if gate_weight is not None:
                ungated = message
                gate = sigmoid(row_sum(ungated * w_gate) + b_gate)
                message = ungated * gate
            grad = load_rows(grad_sums, target, kept, F, BLOCK_F)
            if points is not None:
                z_position = product(message, tl.trans(w_position), DTYPE, PRECISION) + b_position
                position = tl.sum(silu(z_position) * w_out, axis=1)
                grad_position, of_grad, of_difference = displacement_backward(
                    position, squared, along, clamp, NORMALIZE, TANH, CLAMP
                )
                grad_z = grad_position[:, None] * w_out * silu_slope(z_position)
                if not BY_TARGET:
                    grad_w_out += column_sum(grad_position[:, None] * silu(z_position))
                    grad_w_position += product(tl.trans(grad_z), message, DTYPE, PRECISION)
                    grad_b_position += column_sum(grad_z)
                grad += product(grad_z, w_position, DTYPE, PRECISION)
            if gate_weight is not None:
                grad_gate = row_sum(grad * ungated) * gate * (1 - gate)
                if BY_TARGET:
                    grad_w_gate += column_sum(grad_gate * ungated)
                    grad_b_gate += column_sum(grad_gate)
                grad = grad * gate + grad_gate * w_gate
            grad *= silu_slope(out)
            if BY_TARGET:
                grad_w += product(tl.trans(grad), hidden, DTYPE, PRECISION)
                grad_b += column_sum(grad)
            grad = product(grad, w, DTYPE, PRECISION) * silu_slope(z)
            total += sum_by_node(belongs, grad, DTYPE, PRECISION)
            if edge_attr is not None and BY_TARGET:
                grad_w_edge += product(tl.trans(attributes), grad, DTYPE, PRECISION)
                if grad_edge_attr is not None:
                    for column in range(D):
                        w_column = load_vector(edge_weight + column, F, BLOCK_F, D)
                        grad_column = tl.sum(grad * w_column, axis=1)
                        grad_column = grad_column.to(grad_edge_attr.dtype.element_ty)
                        tl.store(grad_edge_attr + edge * D + column, grad_column, mask=kept)
            if points is not None:
                if BY_TARGET:
                    grad_w_distance += column_sum(squared[:, None] * grad)
                of_difference += 2 * tl.sum(grad * w_distance, axis=1)
                of_grad = of_grad if BY_TARGET else -of_grad
                for axis in tl.static_range(DIM):
                    difference = load_difference(points, own, other, kept, axis, DIM)
                    grad_step = load_axis(grad_moved, target, kept, axis, DIM)
                    steps = of_grad * grad_step + of_difference * difference
                    steps = tl.where(belongs, steps[None, :], 0.0)
                    total_points += on_axis(tl.sum(steps, axis=1), axis)
        nodes = first_node + tl.arange(0, BLOCK_N)
        store_rows(grad_channels, nodes, nodes < num_nodes, total, F, BLOCK_F)
        if points is not None:
            store_rows(grad_points, nodes, nodes < num_nodes, total_points, DIM, 4)
    part = partials + tl.program_id(0).to(tl.int64) * ROWS * BLOCK_F
    if BY_TARGET:
        store_part(part, 0, grad_w, BLOCK_F, BLOCK_F)
        store_part(part, BLOCK_F, grad_b, 1, BLOCK_F)
        if points is not None:
            store_part(part, BLOCK_F + 1, grad_w_distance, 1, BLOCK_F)
        if gate_weight is not None:
            store_part(part, BLOCK_F + 2, grad_w_gate, 1, BLOCK_F)
            store_part(part, BLOCK_F + 3, tl.broadcast_to(grad_b_gate, [1, BLOCK_F]), 1, BLOCK_F)
        if edge_attr is not None:
            store_part(part, BLOCK_F + 4, grad_w_edge, BLOCK_D, BLOCK_F)
    elif points is not None:
        store_part(part, 0, grad_w_position, BLOCK_F, BLOCK_F)
        store_part(part, BLOCK_F, grad_b_position, 1, BLOCK_F)
        store_part(part, BLOCK_F + 1, grad_w_out, 1, BLOCK_F)
