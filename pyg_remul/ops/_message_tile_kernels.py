"""What the Triton kernels of messages do with a tile of edges.

A program has BLOCK_N nodes and meets the edges of these, sorted by node, in tiles of BLOCK_E. Its
nodes are called own, those at the edges' other ends other. Channels are padded to BLOCK_F and the
axes of space to four; what pads is zero. All is float32, but for the operands of products.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "column_sum",
    "displacement",
    "displacement_backward",
    "edge_ends",
    "load_axis",
    "load_difference",
    "load_matrix",
    "load_rows",
    "load_vector",
    "node_rows",
    "on_axis",
    "product",
    "row_sum",
    "sigmoid",
    "silu",
    "silu_slope",
    "store_rows",
    "sum_by_node",
]


@triton.jit
def sigmoid(x: tl.tensor) -> tl.tensor:
    """Returns the logistic function; the reciprocal root is cheaper than a division."""
    root = tl.rsqrt(1 + tl.exp(-x))
    return root * root


@triton.jit
def silu(x: tl.tensor) -> tl.tensor:
    """Returns x times its sigmoid."""
    return x * sigmoid(x)


@triton.jit
def silu_slope(x: tl.tensor) -> tl.tensor:
    """Returns the derivative of silu."""
    slope = sigmoid(x)
    return slope * (1 + x * (1 - slope))


@triton.jit
def product(x: tl.tensor, y: tl.tensor, DTYPE: tl.constexpr, PRECISION: tl.constexpr) -> tl.tensor:
    """Returns x @ y of matrices rounded to DTYPE, accumulated in float32."""
    x, y = x.to(DTYPE), y.to(DTYPE)
    if PRECISION == "upcast":  # for the interpreter, which multiplies bfloat16 wrongly
        return tl.dot(x.to(tl.float32), y.to(tl.float32))
    return tl.dot(x, y, input_precision=PRECISION)


@triton.jit
def load_rows(
    matrix: tl.tensor, rows: tl.tensor, kept: tl.tensor, WIDTH: tl.constexpr, BLOCK: tl.constexpr
) -> tl.tensor:
    """Loads rows of a matrix [*, WIDTH], zero where they are not kept or padded."""
    columns = tl.arange(0, BLOCK)
    mask = kept[:, None] & (columns < WIDTH)[None, :]
    entries = matrix + rows.to(tl.int64)[:, None] * WIDTH + columns[None, :]
    return tl.load(entries, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_matrix(
    matrix: tl.tensor,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_W: tl.constexpr,
) -> tl.tensor:
    """Loads a matrix [HEIGHT, WIDTH] in its own dtype, padded by zeros."""
    rows, columns = tl.arange(0, BLOCK_H), tl.arange(0, BLOCK_W)
    mask = (rows < HEIGHT)[:, None] & (columns < WIDTH)[None, :]
    return tl.load(matrix + rows[:, None] * WIDTH + columns[None, :], mask=mask, other=0.0)


@triton.jit
def load_vector(vector: tl.tensor, WIDTH: tl.constexpr, BLOCK: tl.constexpr) -> tl.tensor:
    """Loads a vector as a row [1, BLOCK], padded by zeros."""
    columns = tl.arange(0, BLOCK)
    return tl.load(vector + columns, mask=columns < WIDTH, other=0.0).to(tl.float32)[None, :]


@triton.jit
def store_rows(
    matrix: tl.tensor,
    rows: tl.tensor,
    kept: tl.tensor,
    values: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Stores rows of a matrix [*, WIDTH], those that are kept."""
    columns = tl.arange(0, BLOCK)
    mask = kept[:, None] & (columns < WIDTH)[None, :]
    entries = matrix + rows.to(tl.int64)[:, None] * WIDTH + columns[None, :]
    tl.store(entries, values.to(matrix.dtype.element_ty), mask=mask)


@triton.jit
def node_rows(
    pointer: tl.tensor, first_node: tl.tensor, num_nodes: tl.tensor, BLOCK_N: tl.constexpr
) -> tl.tensor:
    """Finds the sorted edges of a block of nodes.

    Returns:
        Where they begin and how many they are; and, counted from there, where those of each node
        begin and end, shape [BLOCK_N].
    """
    nodes = first_node + tl.arange(0, BLOCK_N)
    start = tl.load(pointer + first_node)
    begin = tl.load(pointer + tl.minimum(nodes, num_nodes)) - start
    end = tl.load(pointer + tl.minimum(nodes + 1, num_nodes)) - start
    stop = tl.load(pointer + tl.minimum(first_node + BLOCK_N, num_nodes))
    return start, (stop - start).to(tl.int32), begin.to(tl.int32), end.to(tl.int32)


@triton.jit
def edge_ends(
    order: tl.tensor,
    others: tl.tensor,
    begin: tl.tensor,
    end: tl.tensor,
    first_node: tl.tensor,
    first_row: tl.tensor,
    BLOCK_N: tl.constexpr,
    BLOCK_E: tl.constexpr,
) -> tl.tensor:
    """Finds the ends of a tile of edges.

    Returns:
        For each edge, whether it is one of the program's, its number, and its own and other node;
        and whether it is one of a node's, shape [BLOCK_N, BLOCK_E].
    """
    rows = first_row + tl.arange(0, BLOCK_E)
    before_end = rows[None, :] < end[:, None]
    belongs = before_end & (begin[:, None] <= rows[None, :])
    rank = tl.sum(1 - before_end.to(tl.int32), axis=0)
    kept = rank < BLOCK_N
    edge = tl.load(order + rows, mask=kept, other=0)
    other = tl.load(others + edge, mask=kept, other=0)
    return kept, edge, first_node + rank, other, belongs


@triton.jit
def sum_by_node(
    belongs: tl.tensor, x: tl.tensor, DTYPE: tl.constexpr, PRECISION: tl.constexpr
) -> tl.tensor:
    """Sums the rows [BLOCK_E, BLOCK_F] of the edges of each node.

    The other factor is zero or one: splitting floats in three loses nothing of them.
    """
    ones = belongs.to(tl.float32)
    if tl.float32 == DTYPE:
        return product(ones, x, DTYPE, "tf32x3")
    return product(ones, x, DTYPE, PRECISION)


@triton.jit
def column_sum(x: tl.tensor) -> tl.tensor:
    """Returns the sums of columns, shape [1, *]."""
    return tl.sum(x, axis=0)[None, :]


@triton.jit
def row_sum(x: tl.tensor) -> tl.tensor:
    """Returns the sums of rows, shape [BLOCK_E, 1]."""
    return tl.sum(x, axis=1)[:, None]


@triton.jit
def load_difference(
    points: tl.tensor,
    own: tl.tensor,
    other: tl.tensor,
    kept: tl.tensor,
    AXIS: tl.constexpr,
    DIM: tl.constexpr,
) -> tl.tensor:
    """Loads what the own points are further along an axis than the others, shape [BLOCK_E]."""
    own_point = load_axis(points, own, kept, AXIS, DIM)
    return own_point - load_axis(points, other, kept, AXIS, DIM)


@triton.jit
def load_axis(
    vectors: tl.tensor, rows: tl.tensor, kept: tl.tensor, AXIS: tl.constexpr, DIM: tl.constexpr
) -> tl.tensor:
    """Loads a component of vectors [*, DIM], shape [BLOCK_E]."""
    entries = vectors + rows.to(tl.int64) * DIM + AXIS
    return tl.load(entries, mask=kept, other=0.0).to(tl.float32)


@triton.jit
def on_axis(x: tl.tensor, AXIS: tl.constexpr) -> tl.tensor:
    """Puts numbers [BLOCK_N] into a column of zeros, shape [BLOCK_N, 4]."""
    return tl.where(tl.arange(0, 4)[None, :] == AXIS, x[:, None], 0.0)


@triton.jit
def _tanh(x: tl.tensor) -> tl.tensor:
    """Returns the hyperbolic tangent, by its series where the exponential would cancel."""
    square = x * x
    series = 2 / 15 + square * (-17 / 315 + square * (62 / 2835 - square * (1382 / 155925)))
    series = x * (1 + square * (-1 / 3 + square * series))
    return tl.where(square < 0.0625, series, 2 * sigmoid(2 * x) - 1)


@triton.jit
def _length(squared: tl.tensor) -> tl.tensor:
    """Returns the root, zero where the square of the length is no normal number."""
    positive = squared > 1.1754943508222875e-38
    return tl.where(positive, tl.sqrt_rn(tl.where(positive, squared, 1.0)), 0.0)


@triton.jit
def displacement(
    weight: tl.tensor,
    squared: tl.tensor,
    clamp: tl.tensor,
    NORMALIZE: tl.constexpr,
    TANH: tl.constexpr,
    CLAMP: tl.constexpr,
) -> tl.tensor:
    """Returns the factor that makes a difference of this squared length a displacement."""
    factor = _tanh(weight) if TANH else weight
    if NORMALIZE:
        factor /= _length(squared) + 1
    if CLAMP:
        factor *= clamp / tl.maximum(tl.abs(factor) * _length(squared), clamp)
    return factor


@triton.jit
def displacement_backward(
    weight: tl.tensor,
    squared: tl.tensor,
    along: tl.tensor,
    clamp: tl.tensor,
    NORMALIZE: tl.constexpr,
    TANH: tl.constexpr,
    CLAMP: tl.constexpr,
) -> tl.tensor:
    r"""Differentiates the displacement of the difference d by the gradient g of a loss.

    With the bounded weight t and the scale s = 1 or 1 / (|d| + 1) it is

    .. math::
        p = \kappa t s d, \qquad
        \frac{\partial p}{\partial t}^T g = s \langle d, h \rangle, \qquad
        \frac{\partial p}{\partial d}^T g = t s h
            - t s^2 \langle d, h \rangle \frac{d}{|d|} [s \ne 1]

    where h is g, but :math:`\kappa (g - \langle g, d \rangle d / |d|^2)` where
    :math:`\kappa < 1` shortens the displacement.

    Args:
        weight: As for :func:`displacement`.
        squared: As for :func:`displacement`.
        along: Scalar product of g and d.
        clamp: Longest displacement.

    Returns:
        The gradient of the weight, and the factors of g and d in that of the difference.
    """
    bounded = _tanh(weight) if TANH else weight
    scale = 1 / (_length(squared) + 1) if NORMALIZE else 1.0
    of_grad = bounded * scale
    of_difference = tl.zeros_like(of_grad)
    if CLAMP:
        length = tl.abs(of_grad) * _length(squared)
        longer = length > clamp
        of_grad *= clamp / tl.maximum(length, clamp)
        of_difference -= tl.where(longer, of_grad * along / tl.where(longer, squared, 1.0), 0.0)
        along = tl.where(longer, 0.0, along)
    grad_weight = scale * along
    if NORMALIZE:
        length = _length(squared)
        nonzero = tl.where(length > 0, length, 1.0)
        of_difference -= tl.where(length > 0, bounded * scale * scale * along / nonzero, 0.0)
    if TANH:
        grad_weight *= 1 - bounded * bounded
    return grad_weight, of_grad, of_difference
