"""Segment reductions in plain PyTorch, of which all derivatives exist."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["accumulated", "normalized", "plain_softmax", "plain_sum"]


def accumulated(x: Tensor) -> Tensor:
    """Returns a tensor in the dtype that its sums are taken in, which has at least 32 bits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def plain_sum(x: Tensor, index: Tensor, num_segments: int) -> Tensor:
    """Sums rows by segment.

    Args:
        x: Shape [E, ...].
        index: Segment of each row, shape [E].
        num_segments: Number S of segments.

    Returns:
        Shape [S, ...], in at least 32 bits.
    """
    x = accumulated(x)
    return x.new_zeros(num_segments, *x.shape[1:]).index_add_(0, index, x)


def plain_softmax(x: Tensor, index: Tensor, num_segments: int) -> Tensor:
    """Returns the softmax of every segment's rows, shape [E, ...], in the dtype of `x`.

    Args:
        x: Shape [E, ...].
        index: As for :func:`plain_sum`.
        num_segments: As for :func:`plain_sum`.
    """
    # PyTorch has no fast maximum along an index, but one along an index as large as the rows.
    entries = index.view(-1, *[1] * (x.dim() - 1)).expand_as(x)
    peak = x.new_full((num_segments, *x.shape[1:]), -torch.inf)
    peak.scatter_reduce_(0, entries, x.detach(), "amax")
    return normalized(x, index, peak, lambda terms: plain_sum(terms, index, num_segments))


def normalized(x: Tensor, index: Tensor, peak: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
    """Returns the softmax of every segment's rows, given the largest ones.

    Args:
        x: Shape [E, ...].
        index: Segment of each row, shape [E].
        peak: Largest value in every segment, shape [S, ...].
        total: Sums rows by segment.
    """
    terms = (accumulated(x) - peak.index_select(0, index)).exp()
    return (terms / total(terms).index_select(0, index)).to(x.dtype)
