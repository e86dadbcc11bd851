"""Graphs, networks and comparisons that the tests of the messages share."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_remul.ops import DisplacementOptions, EdgeNetwork, Topology, plain_messages


def random_edges(num_nodes, num_edges, *, seed=1):
    """Edges in no order, with self loops and repetitions."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(num_nodes, (2, num_edges), generator=generator)


def hub_edges(num_nodes, num_edges):
    """Most edges end at one node."""
    edges = random_edges(num_nodes, num_edges)
    edges[1, : num_edges * 9 // 10] = num_nodes // 2
    return edges[:, torch.randperm(num_edges, generator=torch.Generator().manual_seed(2))]


GRAPHS = {
    "no-edges": (random_edges(4, 0), 4),
    "one-node": (random_edges(1, 0), 1),
    "self-loops-of-one-node": (random_edges(1, 3), 1),
    "isolated-nodes": (2 * random_edges(7, 30), 14),
    "sorted-by-target": (torch.stack([torch.arange(60) % 7, torch.arange(60) // 7]), 9),
    "unsorted": (random_edges(9, 90), 9),
    "hub": (hub_edges(12, 150), 12),
    "nodes-without-sources": (random_edges(3, 50), 20),
}
"""Edges and numbers of nodes, small enough for Triton's interpreter."""

VARIANTS = {
    "bare": ({}, {}),
    "edge-attributes": ({"edge_dim": 5}, {}),
    "no-columns": ({"edge_dim": 0}, {}),
    "gate": ({"gate": True}, {}),
    "points": ({"points": 1}, {}),
    "points-in-plane": ({"points": 1, "dim": 2}, {}),
    "normalize": ({"points": 1}, {"normalize": True}),
    "tanh": ({"points": 1}, {"tanh": True}),
    "clamp": ({"points": 1}, {"clamp": 0.3}),
    "everything": (
        {"edge_dim": 2, "gate": True, "points": 1},
        {"normalize": True, "tanh": True, "clamp": 0.2},
    ),
    "two-points": ({"points": 2, "edge_dim": 1}, {"clamp": 0.3}),
    "three-points": (
        {"points": 3, "gate": True},
        {"normalize": True, "tanh": True, "clamp": 0.2},
    ),
}
"""Keywords of :func:`make_network`, and options."""


def make_network(
    topology,
    channels=16,
    *,
    edge_dim=None,
    gate=False,
    points=0,
    dim=3,
    dtype=torch.float64,
    points_dtype=None,
    device="cpu",
):
    """A network whose values are of the order of one, and those in `dtype` exactly."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape, fan_in=1):
        values = torch.randn(shape, generator=generator, dtype=torch.float64) / fan_in**0.5
        return values.to(device, dtype)

    num, square = topology.num_nodes, (channels, channels)
    network = EdgeNetwork(
        target=draw(num, channels),
        source=draw(num, channels),
        weight=draw(*square, fan_in=channels),
        bias=draw(channels),
    )
    if edge_dim is not None:
        network = network._replace(
            edge_attr=draw(topology.num_edges, edge_dim),
            edge_weight=draw(channels, edge_dim, fan_in=max(edge_dim, 1)),
        )
    if gate:
        network = network._replace(
            gate_weight=draw(1, channels, fan_in=channels), gate_bias=draw(1)
        )
    if points:
        network = network._replace(
            points=draw(num, points, dim).to(points_dtype or dtype),
            distance_weight=draw(channels, points, fan_in=4 * points),
            position_weight=draw(*square, fan_in=channels),
            position_bias=draw(channels),
            position_out=draw(points * points, channels, fan_in=channels),
        )
    return network


def make_case(graph="unsorted", variant="everything", *, device="cpu", **keywords):
    """A topology, a network and options by name."""
    edges, num_nodes = GRAPHS[graph] if isinstance(graph, str) else graph
    topology = Topology(edges.to(device), num_nodes)
    network, options = VARIANTS[variant]
    network = make_network(topology, device=device, **{**network, **keywords})
    return topology, network, DisplacementOptions(**options)


def doubled(topology, network, options):
    """The same case in double precision."""
    return topology, network.map(Tensor.double), options


def present(function, topology, network, options):
    """What a function returns, without displacements where there are no points."""
    outputs = function(topology, network, options)
    return outputs if network.points is not None else outputs[:1]


def variables(network):
    """A copy whose operands ask for gradients."""
    return network.map(lambda x: x.detach().clone().requires_grad_())


def operands(network):
    return [x for x in network if x is not None]


def seeds(outputs):
    """Numbers to weigh outputs with, the same for every dtype."""
    generator = torch.Generator().manual_seed(4)
    draws = (torch.randn(x.shape, generator=generator).bfloat16() for x in outputs)
    return [draw.to(x) for draw, x in zip(draws, outputs, strict=True)]


def weigh(outputs):
    """The sum of all outputs, each entry with its own weight."""
    pairs = zip(outputs, seeds(outputs), strict=True)
    return sum((x * seed).sum(dtype=torch.float64) for x, seed in pairs)


def first_derivatives(function, topology, network, options):
    """The outputs, and the gradient of every operand."""
    network = variables(network)
    outputs = present(function, topology, network, options)
    gradients = torch.autograd.grad(outputs, operands(network), seeds(outputs))
    return [*outputs, *gradients]


def second_derivatives(function, topology, network, options):
    """Gradients of a sum of gradients, for every operand on which they depend."""
    network = variables(network)
    outputs = present(function, topology, network, options)
    weights = [seed.requires_grad_() for seed in seeds(outputs)]
    leaves = operands(network)
    gradients = torch.autograd.grad(outputs, leaves, weights, create_graph=True)
    return torch.autograd.grad(
        weigh(gradients), [*leaves, *weights], allow_unused=True, materialize_grads=True
    )


def assert_near(actual, expected, tolerance):
    """Compares tensors by an absolute tolerance, in units of the largest entry or of 0.01."""
    for x, reference in zip(actual, expected, strict=True):
        scale = max(reference.abs().flatten().tolist(), default=0.0)
        torch.testing.assert_close(
            x.double(), reference.double(), rtol=0, atol=tolerance * max(scale, 0.01)
        )


def assert_equals_plain(function, case, tolerance, derivatives=first_derivatives):
    """Compares with the plain formulation in double precision."""
    assert_near(
        derivatives(function, *case), derivatives(plain_messages, *doubled(*case)), tolerance
    )
