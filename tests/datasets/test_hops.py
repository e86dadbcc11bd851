from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pyg_remul.datasets._hops import hop_graph


@st.composite
def neighbourhoods(draw) -> Tensor:
    num = draw(st.integers(1, 6))
    near = torch.zeros(num, num, dtype=torch.bool)
    for i, j in itertools.combinations(range(num), 2):
        near[i, j] = near[j, i] = draw(st.booleans())
    return near


@given(near=neighbourhoods())
def test_hops_are_the_distances_in_the_graph(near: Tensor) -> None:
    edge_index, hops = hop_graph(near)
    found = dict(zip(map(tuple, edge_index.T.tolist()), hops.flatten().tolist(), strict=True))
    expected = {}
    for i, j in itertools.permutations(range(len(near)), 2):
        if near[i, j]:
            expected[i, j] = 1
        elif any(near[i, k] and near[k, j] for k in range(len(near))):
            expected[i, j] = 2
    assert found == expected


@given(near=neighbourhoods())
def test_no_pair_has_two_edges(near: Tensor) -> None:
    edge_index, _ = hop_graph(near)
    assert edge_index.unique(dim=1).size(1) == edge_index.size(1)


def test_a_node_is_no_neighbour_of_its_own() -> None:
    edge_index, _ = hop_graph(torch.ones(2, 2, dtype=torch.bool))
    assert edge_index.tolist() == [[0, 1], [1, 0]]


def test_one_hop_leaves_the_neighbours() -> None:
    path = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
    edge_index, hops = hop_graph(path, hops=1)
    assert (edge_index.size(1), hops.unique().tolist()) == (4, [1.0])
