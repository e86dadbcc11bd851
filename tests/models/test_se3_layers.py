"""Layers of the SE(3)-Transformer."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.lengths import direction_and_length
from pyg_remul.models._fibers import split_heads
from pyg_remul.models._kernel_basis import EquivariantKernels
from pyg_remul.models._se3_layers import (
    AttentiveMixing,
    Edges,
    NormNonlinearity,
    SE3AttentionLayer,
)
from pyg_remul.ops import Topology

FIBER = {0: 4, 1: 4}


def make_edges(pairs=((1, 0), (2, 0), (0, 1)), num_nodes=4):
    """Edges among nodes, of which the last ones have none."""
    pos = torch.randn(num_nodes, 3).double()
    topology = Topology(torch.tensor(pairs).T, num_nodes)
    source, target = topology.edge_index
    difference = pos[target] - pos[source]
    direction, length = direction_and_length(difference)
    kernels = EquivariantKernels(2).to(direction)(direction)
    return Edges(topology, difference, length, kernels)


def draw(fiber, num=4):
    return {d: torch.randn(num, 2 * d + 1, c).double() for d, c in fiber.items()}


def attend(layer, features, edges):
    """The layer's keys, values and their mixture, edge by edge."""
    sources = {d: x[edges.topology.source] for d, x in features.items()}
    if features[1].size(-1) > 1:
        sources[1][..., 0] += edges.difference
    values, keys = layer.kernels(sources, edges.invariants, edges.basis)
    query, key, value = (split_heads(x, layer.heads) for x in (layer.query(features), keys, values))
    size = layer.heads * key.size(-1)
    out = torch.zeros(4, *value.shape[1:]).double()
    for node in range(4):
        incoming = (edges.topology.target == node).nonzero().flatten()
        for head in range(layer.heads):
            scores = key[incoming, head] @ query[node, head] / size**0.5
            out[node, head] = scores.softmax(dim=0) @ value[incoming, head]
    return out


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize(
    ("fiber_in", "size"),
    [({0: 4, 1: 4}, 8), ({1: 1}, 6), ({0: 2, 1: 3}, 8)],
    ids=["all", "lone-vector", "uneven"],
)
def test_layer_attends_to_the_sources_of_incoming_edges(fiber_in, size, heads):
    layer = SE3AttentionLayer(fiber_in, FIBER, 1, div=2, heads=heads).double()
    features, edges = draw(fiber_in), make_edges()
    assert layer.scale == pytest.approx(size**-0.5)
    attended = attend(layer, features, edges)
    for degree, out in layer(features, edges).items():
        columns = slice(0, 2 // heads) if degree == 0 else slice(2 // heads, None)
        parts = attended[..., columns].unflatten(-1, (2 * degree + 1, -1))
        joined = parts.transpose(1, 2).flatten(2)
        if degree in fiber_in:
            joined = torch.cat([joined, features[degree]], dim=-1)
        expected = joined @ layer.mix.weight[str(degree)].T
        torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)


def test_lone_vector_is_read_without_the_difference():
    layer, features, edges = (
        SE3AttentionLayer({1: 1}, FIBER, 1).double(),
        draw({1: 1}),
        make_edges(),
    )
    shifted = edges._replace(difference=edges.difference + 1)
    assert torch.equal(layer(features, shifted)[1], layer(features, edges)[1])


def test_difference_is_added_to_the_first_of_several_vectors():
    layer, features, edges = SE3AttentionLayer(FIBER, FIBER, 1).double(), draw(FIBER), make_edges()
    shifted = edges._replace(difference=edges.difference + 1)
    assert (layer(features, shifted)[1] - layer(features, edges)[1]).abs().max() > 1e-3


def test_node_without_incoming_edges_keeps_only_its_own_part():
    layer, features = SE3AttentionLayer(FIBER, FIBER, 1).double(), draw(FIBER)
    out = layer(features, make_edges())
    for degree, x in features.items():
        own = x[3] @ layer.mix.weight[str(degree)][:, 4:].T
        torch.testing.assert_close(out[degree][3], own, rtol=1e-12, atol=1e-12)


def test_large_scores_do_not_overflow():
    layer, features, edges = SE3AttentionLayer(FIBER, FIBER, 1).double(), draw(FIBER), make_edges()
    huge = {degree: 1e8 * x for degree, x in features.items()}
    assert all(x.isfinite().all() for x in layer(huge, edges).values())


# Norm nonlinearity


def test_norm_nonlinearity_changes_the_length_alone():
    layer, x = NormNonlinearity({1: 6}).double(), torch.randn(5, 3, 6).double()
    length = x.norm(dim=1, keepdim=True)
    expected = (length + layer.bias["1"]).relu() * x / length
    torch.testing.assert_close(layer({1: x})[1], expected, rtol=1e-12, atol=1e-12)


def test_norm_nonlinearity_keeps_the_sign_of_scalars():
    layer = NormNonlinearity({0: 2})
    layer.bias["0"].data.fill_(1.0)
    assert layer({0: torch.tensor([[[2.0, -3.0]]])})[0].tolist() == [[[3.0, -4.0]]]


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(0.0, torch.float64), (1e-13, torch.float64), (1e-7, torch.float32)],
    ids=["zero", "rounding-float64", "rounding-float32"],
)
@pytest.mark.parametrize("unit", [1.0, 1e-6, 1e6])
def test_vector_of_no_length_stays_zero_without_gradient(scale, dtype, unit):
    layer = NormNonlinearity({0: 1, 1: 2}).to(dtype)
    layer.bias["1"].data.fill_(1.0)
    scalar = torch.full((1, 1, 1), unit, dtype=dtype)
    x = torch.full((1, 3, 2), scale * unit, dtype=dtype, requires_grad=True)
    out = layer({0: scalar, 1: x})[1]
    out.sum().backward()
    assert not out.any()
    assert not x.grad.any()


def test_what_counts_as_zero_is_judged_node_by_node():
    layer = NormNonlinearity({1: 1}).double()
    layer.bias["1"].data.fill_(1.0)
    out = layer({1: torch.tensor([1.0, 1e-15]).double().view(2, 1, 1).expand(2, 3, 1)})[1]
    torch.testing.assert_close(out.norm(dim=1).flatten().tolist(), [1 + 3**0.5, 1.0])


def test_biases_start_normal():
    bias = NormNonlinearity({0: 4000}).bias["0"]
    assert float(bias.detach().std()) == pytest.approx(1, rel=0.05)


# Mixing


def test_mixing_follows_the_formula():
    layer, x = AttentiveMixing({1: 3}, {1: 2}).double(), torch.randn(4, 3, 3).double()
    norm, activation, linear = layer.logits["1"]
    norm.weight.data.uniform_()
    gram = torch.einsum("nmi,nmj->nij", x, x)
    weights = linear(activation(norm(gram.flatten(1)))).view(4, 2, 3).softmax(dim=-1)
    expected = torch.einsum("noi,nmi->nmo", weights, x)
    torch.testing.assert_close(layer({1: x})[1], expected, rtol=1e-12, atol=1e-12)


def test_mixing_of_equal_vectors_gives_them_back():
    layer, x = AttentiveMixing({1: 3}, {1: 2}).double(), torch.randn(4, 3, 1).double()
    out = layer({1: x.expand(-1, -1, 3)})[1]
    torch.testing.assert_close(out, x.expand(-1, -1, 2), rtol=1e-12, atol=1e-12)


def test_mixing_weights_start_kaiming_uniform():
    weight = AttentiveMixing({1: 10}, {1: 2}).logits["1"][2].weight
    bound = (6 / 100) ** 0.5
    assert 0.98 * bound < float(weight.detach().abs().max()) <= bound
