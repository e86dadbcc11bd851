"""What the Triton kernels of messages do with a tile of edges.

A program has BLOCK_N nodes and meets the edges of these, sorted by node, in tiles of BLOCK_E. Its
nodes are called own, those at the edges' other ends other. Channels are padded to BLOCK_F and the
axes of space to four; what pads is zero. All is float32, but for the operands of products.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

__all__ = [
    "column_sum",
    "displacement",
    "displacement_backward",
    "edge_ends",
    "load_matrix",
    "load_rows",
    "load_vector",
    "node_rows",
    "product",
    "row_sum",
    "silu",
    "silu_slope",
    "squared_length",
    "store_rows",
    "sum_by_node",
    "sum_vectors_by_node",
]


@triton.jit
def silu(x: Any) -> Any:
    """Returns x times its sigmoid."""
    return x * tl.sigmoid(x)


@triton.jit
def silu_slope(x: Any) -> Any:
    """Returns the derivative of silu."""
    sigmoid = tl.sigmoid(x)
    return sigmoid * (1 + x * (1 - sigmoid))


@triton.jit
def product(x: Any, y: Any, DTYPE: tl.constexpr, PRECISION: tl.constexpr) -> Any:
    """Returns x @ y of matrices rounded to DTYPE, accumulated in float32."""
    x, y = x.to(DTYPE), y.to(DTYPE)
    if PRECISION == "upcast":  # for the interpreter, which multiplies bfloat16 wrongly
        return tl.dot(x.to(tl.float32), y.to(tl.float32))
    return tl.dot(x, y, input_precision=PRECISION)


@triton.jit
def load_rows(matrix: Any, rows: Any, kept: Any, WIDTH: tl.constexpr, BLOCK: tl.constexpr) -> Any:
    """Loads rows of a matrix [*, WIDTH], zero where they are not kept or padded."""
    columns = tl.arange(0, BLOCK)
    mask = kept[:, None] & (columns < WIDTH)[None, :]
    entries = matrix + rows.to(tl.int64)[:, None] * WIDTH + columns[None, :]
    return tl.load(entries, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_matrix(
    matrix: Any,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_W: tl.constexpr,
) -> Any:
    """Loads a matrix [HEIGHT, WIDTH] in its own dtype, padded by zeros."""
    rows, columns = tl.arange(0, BLOCK_H), tl.arange(0, BLOCK_W)
    mask = (rows < HEIGHT)[:, None] & (columns < WIDTH)[None, :]
    return tl.load(matrix + rows[:, None] * WIDTH + columns[None, :], mask=mask, other=0.0)


@triton.jit
def load_vector(vector: Any, WIDTH: tl.constexpr, BLOCK: tl.constexpr) -> Any:
    """Loads a vector as a row [1, BLOCK], padded by zeros."""
    columns = tl.arange(0, BLOCK)
    return tl.load(vector + columns, mask=columns < WIDTH, other=0.0).to(tl.float32)[None, :]


@triton.jit
def store_rows(
    matrix: Any, rows: Any, kept: Any, values: Any, WIDTH: tl.constexpr, BLOCK: tl.constexpr
) -> None:
    """Stores rows of a matrix [*, WIDTH], those that are kept."""
    columns = tl.arange(0, BLOCK)
    mask = kept[:, None] & (columns < WIDTH)[None, :]
    entries = matrix + rows.to(tl.int64)[:, None] * WIDTH + columns[None, :]
    tl.store(entries, values.to(matrix.dtype.element_ty), mask=mask)


@triton.jit
def node_rows(pointer: Any, nodes: Any, num_nodes: Any) -> Any:
    """Returns where the sorted edges of nodes begin and end; those beyond the last have none."""
    begin = tl.load(pointer + tl.minimum(nodes, num_nodes))
    return begin, tl.load(pointer + tl.minimum(nodes + 1, num_nodes))


@triton.jit
def edge_ends(
    order: Any,
    pointer: Any,
    others: Any,
    num_nodes: Any,
    first_node: Any,
    first_row: Any,
    BLOCK_N: tl.constexpr,
    BLOCK_E: tl.constexpr,
) -> Any:
    """Finds the ends of a tile of edges.

    Returns:
        For each edge, whether it is one of the program's, its number, and its own and other node;
        and whether it is one of a node's, shape [BLOCK_N, BLOCK_E].
    """
    begin, end = node_rows(pointer, first_node + tl.arange(0, BLOCK_N), num_nodes)
    rows = first_row + tl.arange(0, BLOCK_E)
    before_end = rows[None, :] < end[:, None]
    belongs = before_end & (begin[:, None] <= rows[None, :])
    rank = tl.sum(1 - before_end.to(tl.int32), axis=0)
    kept = rank < BLOCK_N
    edge = tl.load(order + rows, mask=kept, other=0)
    other = tl.load(others + edge, mask=kept, other=0)
    return kept, edge, first_node + rank, other, belongs


@triton.jit
def sum_by_node(belongs: Any, x: Any, DTYPE: tl.constexpr, PRECISION: tl.constexpr) -> Any:
    """Sums the rows [BLOCK_E, BLOCK_F] of the edges of each node.

    The other factor is zero or one: splitting floats in three loses nothing of them.
    """
    if DTYPE == tl.float32:
        return product(belongs, x, DTYPE, "tf32x3")
    return product(belongs, x, DTYPE, PRECISION)


@triton.jit
def sum_vectors_by_node(belongs: Any, vectors: Any) -> Any:
    """Sums the vectors [BLOCK_E, 4] of the edges of each node."""
    return tl.sum(belongs.to(tl.float32)[:, :, None] * vectors[None, :, :], axis=1)


@triton.jit
def column_sum(x: Any) -> Any:
    """Returns the sums of columns, shape [1, *]."""
    return tl.sum(x, axis=0)[None, :]


@triton.jit
def row_sum(x: Any) -> Any:
    """Returns the sums of rows, shape [BLOCK_E, 1]."""
    return tl.sum(x, axis=1)[:, None]


@triton.jit
def squared_length(vector: Any) -> Any:
    """Returns squared lengths [BLOCK_E, 1]."""
    return row_sum(vector * vector)


@triton.jit
def _length(vector: Any) -> Any:
    """Returns lengths [BLOCK_E, 1], zero where their squares are no normal numbers."""
    squared = squared_length(vector)
    positive = squared > 1.1754943508222875e-38
    return tl.where(positive, tl.sqrt_rn(tl.where(positive, squared, 1.0)), 0.0)


@triton.jit
def _tanh(x: Any) -> Any:
    """Returns the hyperbolic tangent, by its series where the exponential would cancel."""
    square = x * x
    series = 2 / 15 + square * (-17 / 315 + square * (62 / 2835 - square * (1382 / 155925)))
    series = x * (1 + square * (-1 / 3 + square * series))
    return tl.where(square < 0.0625, series, 2 * tl.sigmoid(2 * x) - 1)


@triton.jit
def _scaled(weight: Any, difference: Any, NORMALIZE: tl.constexpr, TANH: tl.constexpr) -> Any:
    """Returns what acts as the weight, as the difference, and as the factor of the latter."""
    scale = 1.0
    if NORMALIZE:
        scale = 1 / (_length(difference) + 1)
    if TANH:
        weight = _tanh(weight)
    return weight, difference * scale, scale


@triton.jit
def displacement(
    weight: Any,
    difference: Any,
    clamp: Any,
    NORMALIZE: tl.constexpr,
    TANH: tl.constexpr,
    CLAMP: tl.constexpr,
) -> Any:
    """Returns displacements [BLOCK_E, 4], given weights [BLOCK_E, 1]."""
    weight, vector, _ = _scaled(weight, difference, NORMALIZE, TANH)
    moved = weight * vector
    if CLAMP:
        moved *= clamp / tl.maximum(_length(moved), clamp)
    return moved


@triton.jit
def displacement_backward(
    weight: Any,
    difference: Any,
    grad: Any,
    clamp: Any,
    NORMALIZE: tl.constexpr,
    TANH: tl.constexpr,
    CLAMP: tl.constexpr,
) -> Any:
    """Returns the gradients of the weights and differences."""
    weight, vector, scale = _scaled(weight, difference, NORMALIZE, TANH)
    if CLAMP:
        moved = weight * vector
        norm = tl.maximum(_length(moved), clamp)
        along = row_sum(moved * grad) / norm
        turned = (grad - along * moved / norm) * (clamp / norm)
        grad = tl.where(norm > clamp, turned, grad)
    grad_weight = row_sum(grad * vector)
    if TANH:
        grad_weight *= 1 - weight * weight
    grad = weight * grad
    if NORMALIZE:  # as in pyg_remul.ops.displacement
        norm = _length(difference)
        unit = tl.where(norm > 0, difference / tl.where(norm > 0, norm, 1.0), 0.0)
        grad = scale * (grad - row_sum(unit * grad) * vector)
    return grad_weight, grad
