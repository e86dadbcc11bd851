from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from pyg_remul.datasets._hops import all_pairs, hop_graph


@st.composite
def neighbourhoods(draw) -> Tensor:
    num = draw(st.integers(1, 6))
    near = torch.zeros(num, num, dtype=torch.bool)
    for i, j in itertools.combinations(range(num), 2):
        near[i, j] = near[j, i] = draw(st.booleans())
    return near


@given(near=neighbourhoods(), limit=st.integers(1, 8))
def test_hops_are_the_distances_in_the_graph(near: Tensor, limit: int) -> None:
    edge_index, hops = hop_graph(near, limit)
    found = dict(zip(map(tuple, edge_index.T.tolist()), hops.flatten().tolist(), strict=True))
    apart = shortest_path(near.numpy())
    pairs = itertools.permutations(range(len(near)), 2)
    assert found == {pair: apart[pair] for pair in pairs if apart[pair] <= limit}


@given(near=neighbourhoods(), limit=st.integers(1, 8))
def test_no_pair_has_two_edges(near: Tensor, limit: int) -> None:
    edge_index, _ = hop_graph(near, limit)
    assert edge_index.unique(dim=1).size(1) == edge_index.size(1)


@given(near=neighbourhoods())
def test_more_hops_add_edges_at_the_end(near: Tensor) -> None:
    few, many = hop_graph(near, 2)[0], hop_graph(near, 6)[0]
    assert torch.equal(many[:, : few.size(1)], few)


def test_a_node_is_no_neighbour_of_its_own() -> None:
    edge_index, _ = hop_graph(torch.ones(2, 2, dtype=torch.bool))
    assert edge_index.tolist() == [[0, 1], [1, 0]]


def test_one_hop_leaves_the_neighbours() -> None:
    path = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
    edge_index, hops = hop_graph(path, hops=1)
    assert (edge_index.size(1), hops.unique().tolist()) == (4, [1.0])


@given(st.integers(0, 6))
def test_all_pairs_link_each_node_with_every_other_one(num_nodes):
    source, target = all_pairs(num_nodes).tolist()
    pairs = [*zip(source, target, strict=True)]
    assert pairs == [*itertools.permutations(range(num_nodes), 2)]
