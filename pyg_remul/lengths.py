"""Lengths and directions of vectors, with finite gradients where they vanish."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["direction_and_length", "length", "squared_length"]


def squared_length(vector: Tensor) -> Tensor:
    """Returns the squared length [*, 1] of vectors [*, d]."""
    return vector.square().sum(dim=-1, keepdim=True)


def length(vector: Tensor) -> Tensor:
    """Returns the length [*, 1] of vectors [*, d], with gradient zero where it is zero.

    The root alone would give NaN there.
    """
    return _length_over_tiny(vector)[0]


def direction_and_length(vector: Tensor) -> tuple[Tensor, Tensor]:
    """Returns unit vectors and lengths, both zero and without gradient for a vector of length zero.

    Args:
        vector: Shape [*, d].

    Returns:
        Shapes [*, d] and [*, 1].

    Example:
        >>> direction_and_length(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))[0]
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    value, positive = _length_over_tiny(vector)
    return (vector / value.where(positive, 1)).where(positive, 0), value


def _length_over_tiny(vector: Tensor) -> tuple[Tensor, Tensor]:
    """The length, and where its square is a normal number; the others are no basis to divide by."""
    squared = squared_length(vector)
    positive = squared > torch.finfo(vector.dtype).tiny
    return squared.where(positive, 1).sqrt().where(positive, 0), positive
