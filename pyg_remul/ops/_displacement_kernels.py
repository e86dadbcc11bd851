"""What the Triton kernels of messages do with points, as :mod:`pyg_remul.ops.displacement` does.

A displacement is a multiple of the difference of two points, and so is its gradient but for a
multiple of that of a loss. All but these multiples is found axis by axis: vectors would be held by
many threads each.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = [
    "displacement",
    "displacement_backward",
    "load_axis",
    "load_difference",
    "on_axis",
]


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
    return tl.where(square < 0.0625, series, 2 * tl.sigmoid(2 * x) - 1)


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

    where h is g, or :math:`\kappa (g - \langle g, d \rangle d / |d|^2)` where
    :math:`\kappa < 1` shortens the displacement; `squared` is that of d, `along` its scalar product
    with g.

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
