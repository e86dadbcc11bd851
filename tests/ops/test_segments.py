"""Rows grouped by segment."""

from __future__ import annotations

import pytest
import torch
from segment_cases import SMALL, make_segments

from pyg_remul.ops import Segments

all_small = pytest.mark.parametrize("case", SMALL)


@all_small
def test_sorted_rows_of_a_segment_are_its_own_in_their_order(case):
    segments = make_segments(case)
    bounds = segments.pointer.tolist()
    assert len(bounds) == segments.num_segments + 1
    for segment in range(segments.num_segments):
        rows = segments.order[bounds[segment] : bounds[segment + 1]]
        assert torch.equal(rows, (segments.index == segment).nonzero().squeeze(1))


@all_small
def test_counts_are_the_lengths_of_the_segments(case):
    segments = make_segments(case)
    assert torch.equal(segments.counts, segments.pointer.diff())


@pytest.mark.parametrize("name", ["order", "pointer", "counts"])
def test_what_was_found_out_is_kept(name):
    segments = make_segments("unsorted")
    assert getattr(segments, name) is getattr(segments, name)


@pytest.mark.parametrize("name", ["order", "pointer", "counts"])
def test_nothing_needs_the_values_on_the_host(name):
    segments = Segments(torch.empty(10, dtype=torch.long, device="meta"), 3)
    assert getattr(segments, name).device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.bool], ids=str)
def test_index_of_another_dtype_is_refused(dtype):
    with pytest.raises(TypeError, match=rf"`index` must be of torch\.int64, got {dtype}"):
        Segments(torch.zeros(2, dtype=dtype), 1)


@pytest.mark.parametrize("shape", [(), (2, 1)], ids=str)
def test_index_of_another_number_of_axes_is_refused(shape):
    with pytest.raises(ValueError, match=r"`index` must have one axis, got shape \["):
        Segments(torch.zeros(shape, dtype=torch.long), 1)


def test_negative_number_of_segments_is_refused():
    with pytest.raises(ValueError, match="`num_segments` must not be negative, got -1"):
        Segments(torch.zeros(2, dtype=torch.long), -1)


def test_number_of_segments_on_a_device_is_refused():
    index = torch.tensor([0, 2])
    with pytest.raises(TypeError, match=r"`num_segments` must be an integer, got tensor\(3\)"):
        Segments(index, index.max() + 1)
