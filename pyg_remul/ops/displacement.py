"""How far an edge moves the points of the node where it ends."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_remul.lengths import length

__all__ = ["DisplacementOptions", "bounded", "combine", "displacement", "displacement_backward"]


class DisplacementOptions(NamedTuple):
    """Variants of the displacement.

    Attributes:
        normalize: Whether to divide the difference of two points by its length plus one.
        tanh: Whether to bound the weights by a hyperbolic tangent.
        clamp: Longest displacement, infinite for no bound.
    """

    normalize: bool = False
    tanh: bool = False
    clamp: float = math.inf


def displacement(weights: Tensor, difference: Tensor, options: DisplacementOptions) -> Tensor:
    """Returns the displacements that weighted differences make.

    Args:
        weights: Shape [E, C * C].
        difference: Differences of the points of both nodes, shape [E, C, d].
        options: The variant.

    Returns:
        Shape [E, C, d].
    """
    if options.tanh:
        weights = weights.tanh()
    if options.normalize:
        difference = difference / (length(difference) + 1)
    return bounded(combine(weights, difference), options.clamp)


def combine(weights: Tensor, vectors: Tensor) -> Tensor:
    """Makes C combinations [*, C, d] of vectors [*, P, d] with weights [*, C * P].

    Not as a matrix product, which autocast and TF32 would round, and with it the points.
    """
    weights = weights.unflatten(-1, (-1, vectors.size(-2)))
    return (weights.unsqueeze(-1) * vectors.unsqueeze(-3)).sum(dim=-2)


def bounded(vectors: Tensor, clamp: float) -> Tensor:
    """Shortens vectors [*, d] that are longer than `clamp`."""
    if clamp == math.inf:
        return vectors
    return vectors * (clamp / length(vectors).clamp(min=clamp))


def displacement_backward(
    weights: Tensor, difference: Tensor, options: DisplacementOptions, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the gradients of the weights and differences, for where autograd does not reach.

    Args:
        weights: As for :func:`displacement`.
        difference: As for :func:`displacement`.
        options: The variant.
        grad: Gradient of the displacements, shape [E, C, d].
    """
    if options.tanh:
        weights = weights.tanh()
    scale = 1 / (length(difference) + 1) if options.normalize else None
    vectors = difference if scale is None else difference * scale
    if options.clamp < math.inf:
        grad = _bounded_backward(combine(weights, vectors), options.clamp, grad)
    matrix = weights.unflatten(-1, (-1, vectors.size(-2)))
    grad_weights = (grad.unsqueeze(-2) * vectors.unsqueeze(-3)).sum(dim=-1).flatten(-2)
    if options.tanh:
        grad_weights = grad_weights * (1 - weights.square())
    grad_vectors = (matrix.unsqueeze(-1) * grad.unsqueeze(-2)).sum(dim=-3)
    if scale is None:
        return grad_weights, grad_vectors
    # With the scale s = 1 / (r + 1): d(s v) = s dv - s^2 v dr, and r is as long as v s + s r = 1.
    norm = length(difference)
    unit = torch.where(norm > 0, difference / norm, 0)
    along = (unit * grad_vectors).sum(dim=-1, keepdim=True)
    return grad_weights, scale * (grad_vectors - along * vectors)


def _bounded_backward(vectors: Tensor, clamp: float, grad: Tensor) -> Tensor:
    """Of a vector that is too long only turning it changes its shortened form."""
    norm = length(vectors).clamp(min=clamp)
    unit = vectors / norm
    along = (unit * grad).sum(dim=-1, keepdim=True)
    return torch.where(norm > clamp, (grad - along * unit) * (clamp / norm), grad)
