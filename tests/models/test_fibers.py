"""Features of several degrees."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul import SO3
from pyg_remul.irreps import wigner_matrices
from pyg_remul.models._fibers import FiberLinear, concatenate, join_heads, split_heads

FIBER = {0: 4, 1: 2, 3: 6}


def draw(fiber, num=3):
    return {d: torch.randn(num, 2 * d + 1, c, dtype=torch.float64) for d, c in fiber.items()}


def turn(features, matrices):
    return {d: matrices[d] @ x for d, x in features.items()}


@given(st.dictionaries(st.integers(0, 3), st.integers(1, 3), min_size=1), st.integers(1, 3))
def test_joining_heads_inverts_splitting_them(counts, heads):
    fiber = {degree: heads * count for degree, count in sorted(counts.items())}
    features = draw(fiber)
    joined = join_heads(split_heads(features, heads), fiber)
    assert list(joined) == list(fiber)
    assert all(torch.equal(joined[degree], x) for degree, x in features.items())


def test_each_head_has_neighbouring_channels_of_every_degree():
    features = draw(FIBER)
    first = split_heads({d: x[..., : x.size(-1) // 2] for d, x in features.items()}, 1)[:, 0]
    assert torch.equal(split_heads(features, 2)[:, 0], first)


def test_linear_map_mixes_the_channels_of_each_degree():
    layer, features = FiberLinear(FIBER, {1: 5, 3: 2}).double(), draw(FIBER)
    for degree, out in layer(features).items():
        weight = layer.weight[str(degree)]
        expected = torch.einsum("oi,nmi->nmo", weight, features[degree])
        torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)


def test_linear_map_commutes_with_rotations():
    layer, features = FiberLinear(FIBER, FIBER).double(), draw(FIBER)
    matrices = wigner_matrices(SO3().sample(1, dtype=torch.float64).matrix, 3)
    actual, expected = layer(turn(features, matrices)), turn(layer(features), matrices)
    for degree in FIBER:
        torch.testing.assert_close(actual[degree], expected[degree], rtol=0, atol=1e-13)


def test_linear_weights_start_normal_with_the_variance_of_one_over_the_inputs():
    weight = FiberLinear({0: 100}, {0: 400}).weight["0"]
    assert float(weight.detach().std()) == pytest.approx(0.1, rel=0.02)


def test_concatenation_keeps_the_degrees_of_the_first():
    first, second = draw({0: 1, 1: 2}), draw({1: 3, 2: 4})
    out = concatenate(first, second)
    assert list(out) == [0, 1]
    assert torch.equal(out[0], first[0])
    assert torch.equal(out[1], torch.cat([first[1], second[1]], dim=-1))
