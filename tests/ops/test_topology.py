"""The edges of a graph, grouped by the nodes at their ends."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.ops import Topology
from tests.ops.message_cases import GRAPHS

graphs = pytest.mark.parametrize("graph", GRAPHS)


def make_topology(graph="unsorted"):
    return Topology(*GRAPHS[graph])


def test_edges_run_from_source_to_target():
    topology = Topology(torch.tensor([[0, 1], [2, 2]]), num_nodes=3)
    assert topology.source.tolist() == [0, 1]
    assert topology.target.tolist() == [2, 2]
    assert topology.num_edges == 2


@graphs
@pytest.mark.parametrize("name", ["by_source", "by_target"])
def test_sorted_edges_of_a_node_are_its_own_in_their_order(graph, name):
    segments = getattr(make_topology(graph), name)
    assert segments.pointer.numel() == segments.num_segments + 1
    for node in range(segments.num_segments):
        rows = segments.order[segments.pointer[node] : segments.pointer[node + 1]]
        assert torch.equal(rows, (segments.index == node).nonzero().squeeze(1))


@graphs
def test_counts_are_the_steps_of_the_pointer(graph):
    segments = make_topology(graph).by_target
    assert torch.equal(segments.counts, segments.pointer.diff())


def test_degrees_are_at_least_one():
    edges = torch.tensor([[0, 1, 1], [2, 2, 0]])
    degrees = Topology(edges, num_nodes=4).degrees(torch.float32)
    assert degrees.tolist() == [1, 1, 2, 1]
    assert degrees.dtype == torch.float32


def test_layers_share_a_topology():
    topology = make_topology()
    assert Topology.of(topology, topology.num_nodes) is topology


def test_edges_become_a_topology():
    topology = Topology.of(torch.tensor([[0], [1]]), 5)
    assert (topology.num_nodes, topology.num_edges) == (5, 1)


def test_groupings_are_computed_once():
    topology = make_topology()
    first, second = topology.groupings("triton"), topology.groupings("triton")
    assert all(x is y for x, y in zip(first, second, strict=True))


def test_groupings_are_restored():
    topology = make_topology()
    groupings = topology.groupings("triton")
    restored = Topology(topology.edge_index, topology.num_nodes, groupings)
    assert all(x is y for x, y in zip(groupings, restored.groupings("triton"), strict=True))


def test_plain_pytorch_needs_no_groupings():
    assert make_topology().groupings("torch") == [None] * 4


def test_groupings_do_not_wait_for_the_device():
    edges = torch.empty(2, 10, dtype=torch.long, device="meta")
    groupings = Topology(edges, num_nodes=3).groupings("triton")
    assert [len(x) for x in groupings] == [10, 4, 10, 4]
