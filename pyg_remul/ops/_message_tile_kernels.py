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
    "edge_ends",
    "load_matrix",
    "load_rows",
    "load_vector",
    "node_rows",
    "product",
    "row_sum",
    "sigmoid",
    "silu",
    "silu_slope",
    "store_part",
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
def load_vector(
    vector: tl.tensor, WIDTH: tl.constexpr, BLOCK: tl.constexpr, STRIDE: tl.constexpr = 1
) -> tl.tensor:
    """Loads a vector as a row [1, BLOCK], padded by zeros."""
    columns = tl.arange(0, BLOCK)
    values = tl.load(vector + columns * STRIDE, mask=columns < WIDTH, other=0.0)
    return values.to(tl.float32)[None, :]


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
def store_part(
    part: tl.tensor,
    first: tl.constexpr,
    values: tl.tensor,
    HEIGHT: tl.constexpr,
    BLOCK_F: tl.constexpr,
) -> None:
    """Stores rows [HEIGHT, BLOCK_F] of a program's part of the gradients of weights."""
    rows = first + tl.arange(0, HEIGHT)
    tl.store(part + rows[:, None] * BLOCK_F + tl.arange(0, BLOCK_F)[None, :], values)


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
