from __future__ import annotations

import pytest
import torch

from pyg_remul.models._padding import Padding

CPU = torch.device("cpu")


@pytest.mark.parametrize("sizes", [[3, 3], [2, 0, 3, 1], [4], [0, 0], [], [0, 5]], ids=str)
def test_unpad_inverts_pad(sizes):
    padding, x = Padding(sizes, CPU), torch.randn(sum(sizes), 2)
    assert torch.equal(padding.unpad(padding.pad(x)), x)


def test_nodes_of_a_graph_lie_in_its_row_behind_each_other():
    padded = Padding([2, 0, 1], CPU).pad(torch.tensor([[1], [2], [3]]))
    assert padded.squeeze(-1).tolist() == [[1, 2], [3, 0]]


def test_mask_is_true_for_nodes():
    mask = Padding([2, 0, 1], CPU).mask
    assert mask.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("sizes", [[3, 3], [0, 3, 3], [3]], ids=str)
def test_graphs_of_one_size_are_a_view_without_mask(sizes):
    padding, x = Padding(sizes, CPU), torch.randn(sum(sizes), 2)
    assert padding.mask is None
    assert padding.pad(x).data_ptr() == x.data_ptr()


def test_inner_axes_are_kept():
    padding = Padding([1, 2], CPU)
    assert padding.pad(torch.ones(3, 4, 5)).shape == (2, 2, 4, 5)
    assert padding.unpad(torch.ones(2, 2, 4, 5)).shape == (3, 4, 5)
