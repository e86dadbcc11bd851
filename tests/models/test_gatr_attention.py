from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from motors import random_motor, sandwich

from pyg_remul.models._equivariant_linear import EquiLinear
from pyg_remul.models._gatr_attention import (
    GeometricAttention,
    key_features,
    query_features,
)
from pyg_remul.models._multivectors import embed_point, embed_translation
from pyg_remul.models._projective_algebra import POSITIONS
from pyg_remul.ops import RaggedLayout

NUM_NODES, CHANNELS, SCALARS, HEADS = 5, 4, 6, 2
WIDTH, SCALAR_WIDTH = 4, 6
ONE_GRAPH = RaggedLayout([NUM_NODES])
IDEAL = [POSITIONS[blade] for blade in ((0, 1, 2), (0, 1, 3), (0, 2, 3))]
WEIGHT = POSITIONS[1, 2, 3]


def make():
    attention = GeometricAttention(CHANNELS, SCALARS, HEADS).double()
    torch.nn.init.normal_(attention.log_scale)
    return attention


def draw(num_nodes=NUM_NODES):
    x = torch.randn(16, num_nodes, CHANNELS, dtype=torch.float64)
    return x, torch.randn(num_nodes, SCALARS, dtype=torch.float64)


def close(x, y, tolerance=1e-12):
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def regular(x):
    weight = x[WEIGHT]
    factor = weight / (weight**2 + 1e-3)
    return x[IDEAL] * factor, weight * factor


def logit(query, key, query_scalars, key_scalars, log_scale):
    """Of one head, a node and another, from multivectors [16, c] and scalars [d]."""
    (t, w), (u, v) = regular(query), regular(key)
    distance = (t * v - u * w).square().sum(dim=0)
    total = (query[:7] * key[:7]).sum() - (log_scale.exp() * distance).sum()
    return (total + query_scalars @ key_scalars) / math.sqrt(12 * WIDTH + SCALAR_WIDTH)


def plain_attention(attention, x, s):
    """The layer on one graph, pair by pair."""
    x, s = attention.qkv(x, s)
    rows, scalar_rows = [], []
    for node in range(x.size(1)):
        for head in range(HEADS):
            columns = slice(head * WIDTH, (head + 1) * WIDTH)
            scalar_columns = slice(head * SCALAR_WIDTH, (head + 1) * SCALAR_WIDTH)
            logits = [
                logit(
                    x[:, node, columns],
                    x[:, other, HEADS * WIDTH : -WIDTH],
                    s[node, scalar_columns],
                    s[other, HEADS * SCALAR_WIDTH : -SCALAR_WIDTH],
                    attention.log_scale[0, head],
                )
                for other in range(x.size(1))
            ]
            weights = torch.stack(logits).softmax(dim=0)
            rows.append(torch.einsum("j,kjc->kc", weights, x[..., -WIDTH:]))
            scalar_rows.append(weights @ s[:, -SCALAR_WIDTH:])
    y = torch.stack(rows, dim=1).view(16, -1, HEADS * WIDTH)
    return attention.out(y, torch.stack(scalar_rows).view(-1, HEADS * SCALAR_WIDTH))


def test_attention_follows_the_formula():
    attention, (x, s) = make(), draw()
    found, expected = attention(x, s, ONE_GRAPH), plain_attention(attention, x, s)
    close(found[0], expected[0])
    close(found[1], expected[1])


@given(seed=st.integers(0, 1000))
def test_attention_commutes_with_motors(seed):
    attention, (x, s), motor = make(), draw(), random_motor(seed)
    y, t = attention(x, s, ONE_GRAPH)
    moved, u = attention(sandwich(motor, x), s, ONE_GRAPH)
    close(moved, sandwich(motor, y), 1e-10)
    close(u, t, 1e-10)


def test_logits_of_points_are_minus_their_squared_distances():
    points = torch.randn(NUM_NODES, 3, dtype=torch.float64)
    x, none = embed_point(points).unsqueeze(-1), points[:, :0]
    logits = query_features(x, none, torch.zeros(1)) @ key_features(x, none).T
    close(logits, -torch.cdist(points, points).square() / (1 + 1e-3) ** 4, 1e-10)


def test_logits_do_not_depend_on_the_origin():
    x, none = torch.randn(16, NUM_NODES, 3).double(), torch.zeros(NUM_NODES, 0).double()
    moved, scale = sandwich(embed_translation(torch.ones(3).double()), x), torch.randn(3).double()
    logits = query_features(x, none, scale) @ key_features(x, none).T
    close(query_features(moved, none, scale) @ key_features(moved, none).T, logits, 1e-8)


def test_other_graphs_are_not_attended_to():
    attention, (x, s) = make(), draw()
    both = attention(x, s, RaggedLayout([3, 2]))
    alone = attention(x[:, :3], s[:3], RaggedLayout([3]))
    close(both[0][:, :3], alone[0])
    close(both[1][:3], alone[1])


def test_output_starts_with_a_tenth_of_the_usual_weights():
    out = GeometricAttention(16, 128, 8).out
    usual = EquiLinear(32, 16, 256, 128)
    for name in ("weight", "from_scalars", "to_scalars"):
        ratio = getattr(out, name).abs().max() / getattr(usual, name).abs().max()
        torch.testing.assert_close(ratio.item(), 0.1, rtol=0.05, atol=0)
    assert out.bias[:16].abs().max() > 3 * out.bias[16:].abs().max()
