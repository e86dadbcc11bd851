"""Reductions of rows by segment, such as of edges by node or of nodes by graph."""

from __future__ import annotations

from torch import Tensor

from pyg_remul.ops._plain_segments import plain_softmax, plain_sum
from pyg_remul.ops._segment_operators import gather_operator, softmax_operator, sum_operator
from pyg_remul.ops.backend import Backend, is_transformed, select_backend
from pyg_remul.ops.segments import Segments

__all__ = ["segment_gather", "segment_mean", "segment_softmax", "segment_sum"]


def segment_sum(x: Tensor, segments: Segments) -> Tensor:
    r"""Sums the rows of every segment.

    .. math::
        y_s = \sum_{e \in s} x_e

    Half precision is summed in float32. The order of the sums is fixed but for ``"torch"`` on a
    GPU: equal inputs give equal bits. All derivatives exist, and have that property as well. So it
    is with the other reductions.

    Args:
        x: Rows of floating point, shape [E, ...].
        segments: The segment of each row, S in all. Several reductions over the same segments
            share what is found out about them.

    Returns:
        Shape [S, ...], in the dtype of `x`; 0 for segments without rows.

    Raises:
        TypeError: If `x` is not of floating point.
        ValueError: If `x` has not one row for each that the segments have, or the chosen backend
            cannot take it.

    Example:
        >>> import torch
        >>> segments = Segments(torch.tensor([2, 0, 2]), num_segments=3)
        >>> segment_sum(torch.tensor([1.0, 2.0, 3.0]), segments)
        tensor([2., 0., 4.])
    """
    return _sum(x, segments).to(x.dtype)


def segment_mean(x: Tensor, segments: Segments) -> Tensor:
    r"""Averages the rows of every segment.

    .. math::
        y_s = \frac{1}{|s|} \sum_{e \in s} x_e

    Args:
        x: As for :func:`segment_sum`.
        segments: As for :func:`segment_sum`.

    Returns:
        As :func:`segment_sum`.

    Raises:
        TypeError: As :func:`segment_sum`.
        ValueError: As :func:`segment_sum`.

    Example:
        >>> import torch
        >>> segments = Segments(torch.tensor([2, 0, 2]), num_segments=3)
        >>> segment_mean(torch.tensor([1.0, 2.0, 3.0]), segments)
        tensor([2., 0., 2.])
    """
    total = _sum(x, segments)
    counts = segments.counts.clamp(min=1).to(total.dtype)
    return (total / counts.view(-1, *[1] * (x.dim() - 1))).to(x.dtype)


def segment_softmax(x: Tensor, segments: Segments) -> Tensor:
    r"""Turns the rows of every segment into weights that sum to one.

    .. math::
        y_e = \frac{\exp(x_e)}{\sum_{k \in s} \exp(x_k)}

    where s is the segment of row e. Every column has a softmax of its own, such as for a head of
    attention.

    Args:
        x: As for :func:`segment_sum`.
        segments: As for :func:`segment_sum`.

    Returns:
        Shape [E, ...], in the dtype of `x`. A row of minus infinity weighs nothing, unless the
        whole segment is such: then all are NaN, as in :func:`torch.softmax`.

    Raises:
        TypeError: As :func:`segment_sum`.
        ValueError: As :func:`segment_sum`.

    Example:
        >>> import torch
        >>> segments = Segments(torch.tensor([2, 0, 2]), num_segments=3)
        >>> segment_softmax(torch.tensor([1.0, 2.0, 1.0]), segments)
        tensor([0.5000, 1.0000, 0.5000])
    """
    if (backend := _backend(x, segments.index.numel())) == "torch":
        return plain_softmax(x, segments.index, segments.num_segments)
    return softmax_operator(x, segments.index, segments.order, segments.pointer, backend)


def segment_gather(x: Tensor, segments: Segments) -> Tensor:
    r"""Hands to every row what its segment has; the gradient is a :func:`segment_sum`.

    .. math::
        y_e = x_{s(e)}

    where s(e) is the segment of row e.

    Args:
        x: Of floating point, shape [S, ...].
        segments: As for :func:`segment_sum`.

    Returns:
        Shape [E, ...].

    Raises:
        TypeError: As :func:`segment_sum`.
        ValueError: If `x` has not one row for each segment, or the chosen backend cannot take it.

    Example:
        >>> import torch
        >>> segments = Segments(torch.tensor([2, 0, 2]), num_segments=3)
        >>> segment_gather(torch.tensor([2.0, 0.0, 4.0]), segments)
        tensor([4., 2., 4.])
    """
    if (backend := _backend(x, segments.num_segments)) == "torch":
        return x.index_select(0, segments.index)
    return gather_operator(x, segments.index, segments.order, segments.pointer, backend)


def _sum(x: Tensor, segments: Segments) -> Tensor:
    """Sums in at least 32 bits, which half precision would overflow before a mean is taken."""
    if (backend := _backend(x, segments.index.numel())) == "torch":
        return plain_sum(x, segments.index, segments.num_segments)
    return sum_operator(x, segments.index, segments.order, segments.pointer, backend)


def _backend(x: Tensor, num_rows: int) -> Backend:
    """PyTorch's own operators suffice where it runs them, and where it exports or transforms."""
    if not x.is_floating_point():
        raise TypeError(f"`x` must be of floating point, got {x.dtype}.")
    if x.shape[:1] != (num_rows,):
        raise ValueError(f"`x` must have {num_rows} rows, got shape {list(x.shape)}.")
    return "torch" if is_transformed() else select_backend(x)
