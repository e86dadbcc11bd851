from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from motors import random_motor, sandwich

from pyg_remul.models._equivariant_linear import EquiLinear
from pyg_remul.models._multivectors import geometric_product
from pyg_remul.models._projective_algebra import GRADES


def make(in_channels=3, out_channels=4, in_scalars=2, out_scalars=5):
    return EquiLinear(in_channels, out_channels, in_scalars, out_scalars).double()


def draw(layer, *rows):
    x = torch.randn(16, *rows, layer.weight.size(2), dtype=torch.float64)
    return x, torch.randn(*rows, layer.from_scalars.size(1), dtype=torch.float64)


def close(x, y, tolerance=1e-12):
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def unit_maps():
    """The nine maps as matrices [9, 16, 16] of Frobenius norm one, found by multiplying blades."""
    grades = torch.tensor(GRADES)
    one = torch.eye(16, dtype=torch.float64)
    e0 = one[GRADES.index(1, 8)].unsqueeze(1).expand(16, 16)
    projections = [one * (grades == grade) for grade in range(5)]
    lifts = [geometric_product(e0, projection) for projection in projections[:4]]
    maps = torch.stack(projections + lifts)
    return maps / maps.norm(dim=(1, 2), keepdim=True)


@given(seed=st.integers(0, 1000))
def test_map_commutes_with_motors(seed):
    layer = make()
    (x, s), motor = draw(layer, 6), random_motor(seed)
    (y, t), (moved, u) = layer(x, s), layer(sandwich(motor, x), s)
    close(moved, sandwich(motor, y))
    close(u, t)


def test_map_is_that_of_nine_tables_of_unit_norm():
    layer = make()
    x, s = draw(layer, 6)
    y, t = layer(x, s)
    bias, scalar_bias = layer.bias.split([4, 5])
    expected = torch.einsum("koi,kab,bni->ano", layer.weight, unit_maps(), x)
    expected[0] += s @ layer.from_scalars[:4].T + bias
    close(y, expected)
    close(t, s @ layer.from_scalars[4:].T + x[0] @ layer.to_scalars.T + scalar_bias)


def test_map_without_scalars_out_gives_none():
    layer = make(out_scalars=0)
    y, t = layer(*draw(layer, 2, 6))
    assert y.shape == (16, 2, 6, 4)
    assert t.shape == (2, 6, 0)
    assert layer.to_scalars is None


def test_weights_start_within_the_bounds_of_their_grade():
    layer = EquiLinear(25, 200, 50, 100)
    factors = [
        1 / math.sqrt(2),
        2,
        6**0.5,
        2**0.5,
        0.5**0.5,
        0.5**0.5,
        1.5**0.5,
        1.5**0.5,
        0.5**0.5,
    ]
    found = layer.weight.abs().amax(dim=(1, 2))
    torch.testing.assert_close(found, torch.tensor(factors) / 5, rtol=2e-3, atol=0)


@pytest.mark.parametrize(
    ("name", "bound"),
    [("from_scalars", 100**-0.5), ("to_scalars", 50**-0.5), ("bias", 75**-0.5)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_maps_of_scalars_start_within_their_bounds(name, bound):
    found = getattr(EquiLinear(25, 800, 50, 800), name).abs().max().item()
    assert bound * 0.99 < found <= bound


def test_change_of_dtype_leaves_no_rounding_of_single_precision():
    layer, maps = make(1, 1, 1, 1), unit_maps()
    with torch.no_grad():
        layer.weight.fill_(1.0)
    x = torch.eye(16, dtype=torch.float64).unsqueeze(-1)
    y, _ = layer(x, x.new_zeros(16, 1))
    expected = maps.sum(dim=0)
    expected[0] += layer.bias[0]
    close(y.squeeze(-1), expected, 1e-15)


def test_state_holds_the_weights_alone():
    assert set(make().state_dict()) == {"weight", "from_scalars", "to_scalars", "bias"}


def test_second_derivatives_are_right():
    layer = make(1, 2, 1, 1)
    x, s = (t.requires_grad_() for t in draw(layer, 1))
    assert torch.autograd.gradgradcheck(lambda *inputs: layer(*inputs)[0], (x, s))
