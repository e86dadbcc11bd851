from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.ops import RaggedLayout

batches = st.lists(st.integers(0, 40), max_size=30)
by_sizes = pytest.mark.parametrize(
    "sizes", [[3, 3], [2, 0, 3, 1], [4], [0, 0], [], [0, 5], [600, 3, 0, 1]], ids=str
)


def owners(sizes):
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.long))


@by_sizes
def test_rows_come_back_from_blocks(sizes):
    layout, x = RaggedLayout(sizes), torch.randn(sum(sizes), 2, 3)
    assert torch.equal(layout.to_rows(layout.to_blocks(x)), x)


@given(batches)
def test_rows_of_packed_graphs_come_back_from_blocks(sizes):
    layout, x = RaggedLayout(sizes), torch.randn(sum(sizes), 2)
    assert torch.equal(layout.to_rows(layout.to_blocks(x)), x)


@given(batches)
def test_node_sees_its_graph_and_nothing_else(sizes):
    layout = RaggedLayout(sizes)
    graph = layout.to_blocks(owners(sizes) + 1)  # zero where a slot is empty
    mask = torch.ones(*layout.shape, layout.shape[1]) if layout.mask is None else layout.mask
    others = graph.unsqueeze(1) * mask
    assert ((others == graph.unsqueeze(2)) | (others == 0) | (graph == 0).unsqueeze(2)).all()
    seen = layout.to_rows((others > 0).sum(dim=2))
    assert torch.equal(seen, torch.tensor(sizes, dtype=torch.long)[owners(sizes)])


@given(batches)
def test_packed_blocks_that_follow_each_other_are_more_than_half_full(sizes):
    layout = RaggedLayout(sizes)
    used = (layout.to_blocks(owners(sizes) + 1) > 0).sum(dim=1)
    assert (used[1:] + used[:-1] > layout.shape[1]).all()


@pytest.mark.parametrize("sizes", [[3, 3], [0, 3, 3], [3]], ids=str)
def test_graphs_of_one_size_are_a_view_without_mask(sizes):
    layout, x = RaggedLayout(sizes), torch.randn(sum(sizes), 2)
    assert layout.mask is None
    assert layout.to_blocks(x).data_ptr() == x.data_ptr()


def test_small_graphs_share_blocks():
    assert RaggedLayout([6, 27, 5, 20, 6]).shape == (2, 32)


def test_large_graphs_have_a_block_each_and_a_mask_of_keys():
    layout = RaggedLayout([513, 2, 3])
    assert layout.shape == (3, 513)
    assert layout.mask.shape == (3, 1, 513)


def test_bias_is_minus_infinity_where_the_mask_is_false():
    layout = RaggedLayout([2, 3])
    assert torch.equal(layout.bias == 0, layout.mask)
    assert torch.equal(layout.bias == -torch.inf, ~layout.mask)


def test_offsets_are_those_of_graphs_with_nodes():
    offsets = RaggedLayout([2, 0, 3]).offsets
    assert offsets.tolist() == [0, 2, 5]
    assert offsets.dtype == torch.int32


@by_sizes
def test_mean_is_that_of_every_graph(sizes):
    x = torch.randn(sum(sizes), 2, dtype=torch.float64)
    means = [graph.mean(dim=0).expand(len(graph), -1) for graph in x.split(sizes)]
    expected = torch.cat([*means, x[:0]])
    torch.testing.assert_close(RaggedLayout(sizes).mean(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sizes", [[2, 3, 1], [513, 2]], ids=["packed", "large"])
def test_mean_does_not_mix_graphs(sizes):
    x = torch.ones(sum(sizes), 1)
    x[0] = torch.nan
    assert RaggedLayout(sizes).mean(x).isnan().squeeze(1).sum() == sizes[0]


@pytest.mark.parametrize("sizes", [[4, 4], [4, 6], [513, 6]], ids=["equal", "packed", "large"])
def test_layout_needs_no_value_from_the_device(sizes):
    layout = RaggedLayout(sizes, "meta")
    x = torch.empty(sum(sizes), 2, device="meta")
    assert layout.to_rows(layout.to_blocks(x)).shape == layout.mean(x).shape == x.shape
