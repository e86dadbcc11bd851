"""Launches the kernels of :mod:`pyg_remul.ops._segment_kernels`."""

from __future__ import annotations

import math

import torch
import triton
from torch import Tensor

from pyg_remul.ops._segment_kernels import chunk_kernel, normalize_kernel, segment_kernel

__all__ = ["softmax_by_kernels", "sum_by_kernels"]

_CHUNK = 1024
"""Rows of a chunk."""

_SEGMENTS, _ROWS, _FEATURES = 32, 16, 128
"""Most segments of a tile, its rows of each, and its most features."""

_ENTRIES = 1024
"""Of a tile, where the bounds above allow it: 8 for every thread of four warps."""

_OPTIONS = {"num_warps": 4, "enable_fp_fusion": True}
"""Said outright, for Triton's defaults change with its version."""


def sum_by_kernels(x: Tensor, index: Tensor, order: Tensor, pointer: Tensor) -> Tensor:
    """Sums rows [E, ...] of at most 32 bits by segment, in float32, shape [S, ...].

    Args:
        x: The rows.
        index: Segment of each row, shape [E].
        order: The rows sorted by segment, shape [E].
        pointer: Where the segments begin and end among the sorted rows, shape [S + 1].
    """
    return _reduce(x.contiguous(), index.contiguous(), order, pointer, softmax=False)[0]


def softmax_by_kernels(x: Tensor, index: Tensor, order: Tensor, pointer: Tensor) -> Tensor:
    """Returns the softmax of every segment's rows [E, ...] in their dtype, shape [E, ...].

    Args:
        x: The rows.
        index: As for :func:`sum_by_kernels`.
        order: As for :func:`sum_by_kernels`.
        pointer: As for :func:`sum_by_kernels`.
    """
    x, index = x.contiguous(), index.contiguous()
    total, peak = _reduce(x, index, order, pointer, softmax=True)
    out, (width, features, blocks) = torch.empty_like(x), _features(x)
    if out.numel():
        rows = _ENTRIES // features
        options = {"ROWS": rows, "FEATURES": features, **_OPTIONS}
        with torch.cuda.device_of(x):
            normalize_kernel[triton.cdiv(x.size(0), rows), blocks](
                x, index, total, peak, out, x.size(0), width, **options
            )
    return out


def _reduce(
    x: Tensor, index: Tensor, order: Tensor, pointer: Tensor, *, softmax: bool
) -> tuple[Tensor, Tensor]:
    """Returns the totals and, for the softmax, the peaks of the segments."""
    width, features, blocks = _features(x)
    num_segments, num_chunks = pointer.numel() - 1, x.size(0) // _CHUNK
    total = x.new_empty(num_segments, *x.shape[1:], dtype=torch.float32)
    chunk_total = total.new_empty(num_chunks, width)
    peak, chunk_peak = (torch.empty_like(t) if softmax else t for t in (total, chunk_total))
    if not total.numel():
        return total, peak
    options = {"CHUNK": _CHUNK, "SOFTMAX": softmax, "FEATURES": features, **_OPTIONS}
    segments = min(max(1, _ENTRIES // (_ROWS * features)), _SEGMENTS)
    chunks, outputs = (chunk_total, chunk_peak), (total, peak)
    with torch.cuda.device_of(x):
        if num_chunks:
            rows = _ENTRIES // features
            chunk_kernel[num_chunks, blocks](x, index, order, *chunks, width, ROWS=rows, **options)
        segment_kernel[triton.cdiv(num_segments, segments), blocks](
            *(x, order, pointer, *chunks, *outputs, num_segments, width),
            **(options | {"SEGMENTS": segments, "ROWS": _ROWS}),
        )
    return total, peak


def _features(x: Tensor) -> tuple[int, int, int]:
    """The number of features, and those of a tile, and how many tiles that makes."""
    width = math.prod(x.shape[1:])
    features = min(triton.next_power_of_2(max(1, width)), _FEATURES)
    return width, features, triton.cdiv(width, features)
