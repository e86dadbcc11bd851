from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from motors import random_motor, sandwich
from torch.nn.functional import gelu, layer_norm

from pyg_remul.models._gatr_layers import GeometricMLP, equi_norm
from pyg_remul.models._multivectors import geometric_product, inner_product, join

seeds = st.integers(0, 1000)


def draw(channels=4, scalars=6):
    x = torch.randn(16, 2, 5, channels, dtype=torch.float64)
    return x, torch.randn(2, 5, scalars, dtype=torch.float64)


def close(x, y, tolerance=1e-12):
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def test_norm_makes_the_mean_square_of_the_multivectors_one():
    x, _ = equi_norm(*draw())
    close(inner_product(x, x).mean(dim=-1), torch.ones(2, 5).double())


def test_norm_of_scalars_is_layer_norm():
    x, s = draw()
    assert torch.equal(equi_norm(x, s)[1], layer_norm(s, (6,)))


def test_norm_magnifies_small_multivectors_tenfold_at_most():
    x, s = draw()
    close(equi_norm(1e-6 * x, s)[0], 1e-5 * x, 1e-16)


def test_norm_of_ideal_multivectors_has_finite_gradients():
    x, s = draw()
    x[:8] = 0
    equi_norm(x.requires_grad_(), s)[0].sum().backward()
    assert x.grad.isfinite().all()


@given(seed=seeds)
def test_norm_commutes_with_motors(seed):
    (x, s), motor = draw(), random_motor(seed)
    close(equi_norm(sandwich(motor, x), s)[0], sandwich(motor, equi_norm(x, s)[0]))


@given(seed=seeds)
def test_mlp_commutes_with_motors(seed):
    mlp, (x, s), motor = GeometricMLP(4, 6).double(), draw(), random_motor(seed)
    (y, t), (moved, u) = mlp(x, s), mlp(sandwich(motor, x), s)
    close(moved, sandwich(motor, y), 1e-10)
    close(u, t, 1e-10)


def test_mlp_follows_the_formula():
    mlp, (x, s) = GeometricMLP(4, 6).double(), draw()
    a, b, c, d = mlp.factors(x, s)[0].split(4, dim=-1)
    z, t = mlp.hidden(torch.cat([geometric_product(a, b), join(c, d)], dim=-1), s)
    gate = 0.5 * z[0] * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (z[0] + 0.044715 * z[0] ** 3)))
    expected = mlp.out(gate * z, gelu(t))
    for found, wanted in zip(mlp(x, s), expected, strict=True):
        close(found, wanted)


def test_second_factor_starts_near_the_scalar_one():
    factors = GeometricMLP(50, 100).factors
    bias, weight = factors.bias.view(4, 50), factors.weight.view(9, 4, 50, 50)
    bounds = weight.abs().amax(dim=(0, 2, 3))
    torch.testing.assert_close(bias.mean(dim=1), torch.tensor([0.0, 1, 0, 0]), rtol=0, atol=0.05)
    torch.testing.assert_close(bounds / bounds[0], torch.tensor([1, 0.5, 1, 1]), rtol=0.01, atol=0)
