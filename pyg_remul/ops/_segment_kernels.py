r"""Triton kernels of segment reductions: no atomics, every sum in one fixed order.

.. math::
    t_s = \sum_{e \in s} x_e \qquad \text{or} \qquad
    p_s = \max_{e \in s} x_e, \quad t_s = \sum_{e \in s} \exp(x_e - p_s)

for every feature of the rows e of segment s, in float32. A program takes some segments and reads
their rows through the sorted order, tile by tile. So that a long segment does not keep one program
busy while the others have ended, the sorted rows are cut into chunks, and those that lie within one
segment have programs of their own; the program of the segment adds what they found to the rows
before and after. Where chunks lie follows from the number of rows alone, so the host need not know
the segments, and the order of the sums does not depend on the device.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["chunk_kernel", "normalize_kernel", "segment_kernel"]


@triton.jit
def _accumulate(
    total: tl.tensor, peak: tl.tensor, weights: tl.tensor, values: tl.tensor, SOFTMAX: tl.constexpr
) -> tl.tensor:
    """Adds weights [s, r, f] along r to totals [s, f], or weighted exponentials of values.

    Exponentials are relative to the peak, the largest value so far, -inf before the first one.
    """
    if SOFTMAX:
        higher = tl.maximum(peak, tl.max(values, axis=1))
        base = tl.where(higher == float("-inf"), 0.0, higher)
        terms = weights * tl.exp(values - base[:, None, :])
        return total * tl.exp(peak - base) + tl.sum(terms, axis=1), higher
    return total + tl.sum(weights, axis=1), peak


@triton.jit
def _accumulate_rows(
    total: tl.tensor,
    peak: tl.tensor,
    x: tl.tensor,
    order: tl.tensor,
    row: tl.tensor,
    kept: tl.tensor,
    feature: tl.tensor,
    num_features: tl.tensor,
    SOFTMAX: tl.constexpr,
) -> tl.tensor:
    """Adds the sorted rows [s, r] of x, where kept."""
    source = tl.load(order + row, mask=kept, other=0)[:, :, None]
    mask = kept[:, :, None] & (feature < num_features)[None, None, :]
    entry = x + source * num_features + feature[None, None, :]
    values = tl.load(entry, mask=mask, other=float("-inf") if SOFTMAX else 0.0).to(tl.float32)
    weights = tl.full(values.shape, 1.0, tl.float32) if SOFTMAX else values
    return _accumulate(total, peak, weights, values, SOFTMAX)


@triton.jit
def _accumulate_chunks(
    total: tl.tensor,
    peak: tl.tensor,
    chunk_total: tl.tensor,
    chunk_peak: tl.tensor,
    chunk: tl.tensor,
    kept: tl.tensor,
    feature: tl.tensor,
    num_features: tl.tensor,
    SOFTMAX: tl.constexpr,
) -> tl.tensor:
    """Adds what the kernel of the chunks found for chunks [s, r], where kept."""
    mask = kept[:, :, None] & (feature < num_features)[None, None, :]
    entry = chunk[:, :, None] * num_features + feature[None, None, :]
    weights = tl.load(chunk_total + entry, mask=mask, other=0.0)
    values = weights
    if SOFTMAX:
        values = tl.load(chunk_peak + entry, mask=mask, other=float("-inf"))
    return _accumulate(total, peak, weights, values, SOFTMAX)


@triton.jit
def chunk_kernel(
    x: tl.tensor,
    index: tl.tensor,
    order: tl.tensor,
    chunk_total: tl.tensor,
    chunk_peak: tl.tensor,
    num_features: tl.tensor,
    CHUNK: tl.constexpr,
    SOFTMAX: tl.constexpr,
    ROWS: tl.constexpr,
    FEATURES: tl.constexpr,
) -> None:
    """Sums a chunk of sorted rows; one that lies in two segments is left to their programs."""
    chunk = tl.program_id(0).to(tl.int64)
    first, last = tl.load(order + chunk * CHUNK), tl.load(order + (chunk + 1) * CHUNK - 1)
    if tl.load(index + first) == tl.load(index + last):
        feature = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
        total = tl.full([1, FEATURES], 0.0, tl.float32)
        peak = tl.full([1, FEATURES], float("-inf"), tl.float32)
        for start in range(0, CHUNK, ROWS):
            position = (start + tl.arange(0, ROWS))[None, :]
            row, kept = chunk * CHUNK + position, position < CHUNK
            total, peak = _accumulate_rows(
                total, peak, x, order, row, kept, feature, num_features, SOFTMAX
            )
        entry = chunk * num_features + feature[None, :]
        mask = (feature < num_features)[None, :]
        tl.store(chunk_total + entry, total, mask=mask)
        if SOFTMAX:
            tl.store(chunk_peak + entry, peak, mask=mask)


@triton.jit
def segment_kernel(
    x: tl.tensor,
    order: tl.tensor,
    pointer: tl.tensor,
    chunk_total: tl.tensor,
    chunk_peak: tl.tensor,
    out_total: tl.tensor,
    out_peak: tl.tensor,
    num_segments: tl.tensor,
    num_features: tl.tensor,
    CHUNK: tl.constexpr,
    SOFTMAX: tl.constexpr,
    SEGMENTS: tl.constexpr,
    ROWS: tl.constexpr,
    FEATURES: tl.constexpr,
) -> None:
    """Sums some segments: the rows before and after their chunks, then the chunks."""
    segment = tl.program_id(0).to(tl.int64) * SEGMENTS + tl.arange(0, SEGMENTS)
    feature = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    begin = tl.load(pointer + segment, mask=segment < num_segments, other=0)
    end = tl.load(pointer + segment + 1, mask=segment < num_segments, other=0)
    first_chunk = (begin + CHUNK - 1) // CHUNK
    num_chunks = tl.maximum(end // CHUNK - first_chunk, 0)
    skipped = num_chunks * CHUNK
    before = tl.where(num_chunks > 0, first_chunk * CHUNK, end) - begin
    length = end - begin - skipped

    total = tl.full([SEGMENTS, FEATURES], 0.0, tl.float32)
    peak = tl.full([SEGMENTS, FEATURES], float("-inf"), tl.float32)
    for start in range(0, tl.max(length, axis=0), ROWS):
        position = (start + tl.arange(0, ROWS))[None, :]
        row = begin[:, None] + position + tl.where(position < before[:, None], 0, skipped[:, None])
        kept = position < length[:, None]
        total, peak = _accumulate_rows(
            total, peak, x, order, row, kept, feature, num_features, SOFTMAX
        )
    for start in range(0, tl.max(num_chunks, axis=0), ROWS):
        position = (start + tl.arange(0, ROWS))[None, :]
        chunk, kept = first_chunk[:, None] + position, position < num_chunks[:, None]
        total, peak = _accumulate_chunks(
            total, peak, chunk_total, chunk_peak, chunk, kept, feature, num_features, SOFTMAX
        )
    entry = segment[:, None] * num_features + feature[None, :]
    mask = (segment < num_segments)[:, None] & (feature < num_features)[None, :]
    tl.store(out_total + entry, total, mask=mask)
    if SOFTMAX:
        tl.store(out_peak + entry, peak, mask=mask)


@triton.jit
def normalize_kernel(
    x: tl.tensor,
    index: tl.tensor,
    total: tl.tensor,
    peak: tl.tensor,
    out: tl.tensor,
    num_rows: tl.tensor,
    num_features: tl.tensor,
    ROWS: tl.constexpr,
    FEATURES: tl.constexpr,
) -> None:
    r"""Computes :math:`\exp(x_e - p_s) / t_s` of rows e in any order, s being their segments."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    feature = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    mask = (row < num_rows)[:, None] & (feature < num_features)[None, :]
    segment = tl.load(index + row, mask=row < num_rows, other=0)
    source = segment[:, None] * num_features + feature[None, :]
    entry = row[:, None] * num_features + feature[None, :]
    values = tl.load(x + entry, mask=mask, other=0.0).to(tl.float32)
    values = tl.exp(values - tl.load(peak + source, mask=mask, other=0.0))
    values /= tl.load(total + source, mask=mask, other=1.0)
    tl.store(out + entry, values.to(out.dtype.element_ty), mask=mask)
