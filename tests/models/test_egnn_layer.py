"""The layer of EGNN, with one point and vector of a node or several."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.models.egnn import EGNNLayer

PAIR = torch.tensor([[0, 1], [1, 0]])
APART = torch.eye(2, 3, dtype=torch.float64).unsqueeze(1)  # two nodes, sqrt(2) apart
ONES = torch.ones(2, dtype=torch.float64)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def lengths(points):
    return points.norm(dim=-1).flatten()


@pytest.mark.parametrize("attention", [False, True], ids=["plain", "attention"])
@pytest.mark.parametrize(("num_points", "num_vectors"), [(1, 1), (3, 2)])
def test_layer_follows_the_formula(num_points, num_vectors, attention, amplify):
    sizes = {"num_points": num_points, "num_vectors": num_vectors}
    layer = amplify(EGNNLayer(4, edge_dim=2, attention=attention, **sizes)).double()
    h, points, vectors = normal(3, 4), normal(3, num_points, 3), normal(3, num_vectors, 3)
    edges, edge_attr = [(0, 1), (2, 1), (1, 0)], normal(3, 2)
    total, moves = torch.zeros(3, 4).double(), [[], [], []]
    for (j, i), attribute in zip(edges, edge_attr, strict=True):
        difference = points[i] - points[j]
        squared = difference.square().sum(dim=1)
        message = layer.edge_mlp(torch.cat([h[i], h[j], squared, attribute]))
        message = message * layer.attention(message) if attention else message
        total[i] += message
        moves[i].append(layer.position_mlp(message).view(num_points, num_points) @ difference)
    nowhere = torch.zeros(num_points, 3)
    mean = torch.stack([sum(move) / len(move) if move else nowhere for move in moves])
    new_h, new_points = layer(h, points, torch.tensor(edges).T, edge_attr, vectors)
    weights = layer.velocity_mlp(h).view(3, num_points, num_vectors)
    expected_h = h + layer.node_mlp(torch.cat([h, total], dim=1))
    torch.testing.assert_close(new_h, expected_h, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(new_points, points + mean + weights @ vectors, rtol=1e-12, atol=1e-8)


@pytest.mark.parametrize("num_points", [1, 3])
def test_displacement_weights_start_within_the_small_xavier_bound(num_points):
    weight = EGNNLayer(64, num_points=num_points).position_mlp[2].weight
    bound = 0.001 * (6 / (64 + num_points**2)) ** 0.5
    assert 0.8 * bound < weight.abs().max() <= bound


def test_closed_attention_silences_the_messages():
    layer = EGNNLayer(4, attention=True).double()
    layer.attention[0].bias.data.fill_(-1e9)
    h, no_edges = normal(2, 4), PAIR[:, :0]
    assert torch.equal(layer(h, APART, PAIR)[0], layer(h, APART, no_edges)[0])


def test_attention_reaches_the_displacements(amplify):
    layer = amplify(EGNNLayer(4, attention=True)).double()
    h = normal(2, 4)
    before = layer(h, APART, PAIR)[1]
    layer.attention[0].bias.data.add_(1)
    assert (layer(h, APART, PAIR)[1] - before).abs().max() > 1e-3


@pytest.mark.parametrize("num_points", [1, 3])
def test_clamp_bounds_the_length_of_a_displacement(num_points, amplify):
    layer = amplify(EGNNLayer(4, num_points=num_points, clamp=0.25), 1e9).double()
    points = normal(2, num_points, 3)
    moved = lengths(layer(normal(2, 4), points, PAIR)[1] - points)
    torch.testing.assert_close(moved, torch.full_like(moved, 0.25), rtol=1e-12, atol=0)


def test_clamp_bounds_the_length_of_the_vectors_term():
    layer = EGNNLayer(4, num_vectors=1, clamp=0.25).double()
    start, edges = torch.zeros(2, 1, 3).double(), PAIR[:, :0]
    moved = layer(normal(2, 4), start, edges, vectors=1e9 * APART)[1]
    torch.testing.assert_close(
        lengths(moved), torch.full((2,), 0.25, dtype=torch.float64), rtol=1e-12, atol=0
    )


def test_clamp_leaves_short_displacements_alone(amplify):
    layer = amplify(EGNNLayer(4, clamp=None)).double()
    bounded = EGNNLayer(4).double()
    bounded.load_state_dict(layer.state_dict())
    h = normal(2, 4)
    torch.testing.assert_close(
        bounded(h, APART, PAIR)[1], layer(h, APART, PAIR)[1], rtol=1e-12, atol=0
    )


def test_clamp_that_acts_keeps_the_equivariance(amplify, orthogonal):
    layer = amplify(EGNNLayer(4, clamp=0.25)).double()
    h, points, matrix = normal(2, 4), 1000 * APART, orthogonal(2)[1]
    turned = layer(h, points @ matrix.T, PAIR)[1]
    torch.testing.assert_close(turned, layer(h, points, PAIR)[1] @ matrix.T, rtol=0, atol=1e-10)


def test_tanh_bounds_a_displacement_by_the_difference(amplify):
    layer = amplify(EGNNLayer(4, tanh=True, clamp=None), 1e9).double()
    moved = layer(normal(2, 4), APART, PAIR)[1] - APART
    torch.testing.assert_close(
        lengths(moved), torch.full((2,), 2**0.5, dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_normalize_divides_the_difference_by_its_length_plus_one(amplify):
    plain = amplify(EGNNLayer(4, clamp=None)).double()
    normalized = EGNNLayer(4, clamp=None, normalize=True).double()
    normalized.load_state_dict(plain.state_dict())
    h = normal(2, 4)
    move, shorter = plain(h, APART, PAIR)[1] - APART, normalized(h, APART, PAIR)[1] - APART
    torch.testing.assert_close(shorter, move / (2**0.5 + 1), rtol=1e-10, atol=0)


def test_points_are_not_rounded_by_autocast():
    layer = EGNNLayer(4, num_points=2, num_vectors=3)
    for mlp in (layer.position_mlp, layer.velocity_mlp):
        torch.nn.init.zeros_(mlp[2].weight)
    torch.nn.init.ones_(layer.velocity_mlp[2].bias)
    h, points, vectors = torch.randn(2, 4), torch.randn(2, 2, 3), torch.randn(2, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        moved = layer(h, points, PAIR, vectors=vectors)[1]
    expected = points + vectors.sum(dim=1, keepdim=True)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-6)


def test_layer_with_vectors_refuses_to_go_without():
    with pytest.raises(ValueError, match="`vectors` must be given to a layer with `num_vectors`"):
        EGNNLayer(4, num_vectors=1)(torch.ones(2, 4), torch.ones(2, 1, 3), PAIR)


@pytest.mark.parametrize("clamp", [0.0, -1.0, float("nan")])
def test_clamp_that_is_not_positive_is_refused(clamp):
    with pytest.raises(ValueError, match=f"`clamp` must be (positive|finite), got {clamp}"):
        EGNNLayer(4, clamp=clamp)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("channels", 0, "be positive"),
        ("num_points", 0, "be positive"),
        ("num_vectors", -1, "not be negative"),
        ("edge_dim", -1, "not be negative"),
    ],
)
def test_size_out_of_range_is_refused(name, value, wanted):
    with pytest.raises(ValueError, match=f"`{name}` must {wanted}, got {value}"):
        EGNNLayer(**{"channels": 4, name: value})
