"""Operands of messages that are refused."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.ops import DisplacementOptions, EdgeNetwork, Topology, edge_messages

EDGES = torch.tensor([[0, 1, 2], [1, 2, 0]])
NETWORK = EdgeNetwork(
    target=torch.ones(3, 4),
    source=torch.ones(3, 4),
    weight=torch.eye(4),
    bias=torch.zeros(4),
    edge_attr=torch.ones(3, 2),
    edge_weight=torch.ones(4, 2),
    gate_weight=torch.ones(1, 4),
    gate_bias=torch.zeros(1),
    points=torch.ones(3, 1, 3),
    distance_weight=torch.ones(4, 1),
    position_weight=torch.eye(4),
    position_bias=torch.zeros(4),
    position_out=torch.ones(1, 4),
)
OPTIONAL = list(EdgeNetwork._field_defaults)


def test_complete_network_is_taken():
    assert edge_messages(Topology(EDGES, 3), NETWORK)[1].shape == (3, 1, 3)


@pytest.mark.parametrize("name", EdgeNetwork._fields)
def test_other_shape_is_refused(name):
    wrong = torch.ones([2 * size + 3 for size in getattr(NETWORK, name).shape])
    with pytest.raises(ValueError, match=r"must have shape|must have as many nodes"):
        edge_messages(Topology(EDGES, 3), NETWORK._replace(**{name: wrong}))


@pytest.mark.parametrize("name", OPTIONAL)
def test_half_of_what_belongs_together_is_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be given with the rest of"):
        edge_messages(Topology(EDGES, 3), NETWORK._replace(**{name: None}))


@pytest.mark.parametrize("name", ["target", "edge_attr", "points"])
def test_other_number_of_axes_is_refused(name):
    flat = getattr(NETWORK, name).flatten()
    with pytest.raises(ValueError, match=rf"`{name}` must have . axes, got shape"):
        edge_messages(Topology(EDGES, 3), NETWORK._replace(**{name: flat}))


@pytest.mark.parametrize("name", ["target", "points"])
def test_integers_are_refused(name):
    integers = getattr(NETWORK, name).long()
    with pytest.raises(TypeError, match=rf"`{name}` must be of floating point, got torch\.int64"):
        edge_messages(Topology(EDGES, 3), NETWORK._replace(**{name: integers}))


@pytest.mark.parametrize("name", EdgeNetwork._fields)
def test_other_device_is_refused(name):
    elsewhere = getattr(NETWORK, name).to("meta")
    with pytest.raises(ValueError, match=rf"`{name}` must be where the edges are, cpu, got meta"):
        edge_messages(Topology(EDGES, 3), NETWORK._replace(**{name: elsewhere}))


def test_topology_of_other_nodes_is_refused():
    with pytest.raises(ValueError, match=r"as many nodes as `target` has rows, 3, got 4"):
        edge_messages(Topology(EDGES, 4), NETWORK)


def test_bound_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"`clamp` must be positive, got -1\.0"):
        edge_messages(Topology(EDGES, 3), NETWORK, DisplacementOptions(clamp=-1.0))


def test_bare_edges_are_refused():
    with pytest.raises(TypeError, match=r"`topology` must be a Topology, got Tensor"):
        edge_messages(EDGES, NETWORK)


@pytest.mark.parametrize("edges", [EDGES.T, EDGES[0], EDGES[:1]], ids=["transposed", "flat", "one"])
def test_edges_of_other_shape_are_refused(edges):
    with pytest.raises(ValueError, match=r"`edge_index` must have shape \[2, E\], got"):
        Topology(edges, 3)


def test_short_indices_are_refused():
    with pytest.raises(TypeError, match=r"`edge_index` must be of torch\.int64, got torch\.int32"):
        Topology(EDGES.int(), 3)


def test_number_of_nodes_must_be_on_the_host():
    with pytest.raises(TypeError, match=r"`num_nodes` must be an integer, got None"):
        Topology(EDGES, None)
