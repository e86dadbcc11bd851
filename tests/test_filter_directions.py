"""Directions on the scale of filters."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from helpers import seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pyg_remul.filter_directions import filter_normalised_direction
from pyg_remul.models import EMLP, PER, RPP, FlatMLP, GATr, GraphTransformer, SE3Transformer


def direction(model, seed=1):
    return filter_normalised_direction(model, seeded(seed))


def norms(tensor, *axes):
    inner = [axis for axis in range(tensor.dim()) if axis not in axes]
    return torch.linalg.vector_norm(tensor, dim=inner)


@given(st.integers(1, 6), st.integers(1, 6), st.floats(1e-3, 1e3))
def test_each_row_has_the_norm_of_the_weights(rows, columns, scale):
    layer = nn.Linear(columns, rows).double()
    with torch.no_grad():
        layer.weight.mul_(scale)
    drawn = direction(layer)["weight"]
    torch.testing.assert_close(drawn.norm(dim=1), layer.weight.norm(dim=1), rtol=1e-12, atol=0)


def test_filter_of_a_convolution_has_all_its_other_axes():
    layer = nn.Conv2d(3, 4, 5)
    drawn = direction(layer)["weight"]
    torch.testing.assert_close(norms(drawn, 0), norms(layer.weight, 0), rtol=1e-5, atol=0)
    assert not torch.allclose(norms(drawn, 0, 1), norms(layer.weight, 0, 1), rtol=1e-2)


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_parameters_of_one_axis_are_held(name):
    assert not direction(nn.LayerNorm(4))[name].any()


def test_parameter_without_an_axis_is_held():
    model = nn.Module()
    model.register_parameter("scale", nn.Parameter(torch.tensor(2.0)))
    assert direction(model)["scale"] == 0


def test_parameter_that_is_not_trained_is_held():
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    assert not direction(layer)["weight"].any()


def test_filter_of_zeros_is_held():
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight[1].zero_()
    assert direction(layer)["weight"].any(dim=1).tolist() == [True, False]


def test_entries_are_drawn_from_a_normal_distribution():
    layer = nn.Linear(100_000, 1).double()
    drawn = direction(layer)["weight"]
    drawn = drawn / drawn.square().mean().sqrt()
    assert drawn.mean().abs() < 0.02
    assert drawn.pow(4).mean() == pytest.approx(3, abs=0.1)


def test_equal_seeds_give_equal_directions():
    layer = nn.Linear(3, 2)
    assert direction(layer)["weight"].equal(direction(layer)["weight"])


def test_different_seeds_give_different_directions():
    layer = nn.Linear(3, 2)
    assert not direction(layer)["weight"].allclose(direction(layer, seed=2)["weight"])


def test_precision_does_not_change_the_draw():
    layer = nn.Linear(3, 2)
    single, double = direction(layer)["weight"], direction(layer.double())["weight"]
    torch.testing.assert_close(single.double(), double, rtol=1e-6, atol=0)


def test_direction_has_the_type_of_each_parameter():
    assert direction(nn.Linear(3, 2).half())["weight"].dtype == torch.float16


def test_model_does_not_change():
    layer = nn.Linear(3, 2)
    before = layer.weight.clone()
    direction(layer)
    assert layer.weight.equal(before)


class Stack(nn.Module):
    """Matrices side by side, [K, in, out], in a list, and gains in the layout of weights."""

    filter_axes: ClassVar = {"matrices": (0, 2), "gains": ()}

    def __init__(self):
        super().__init__()
        self.matrices = nn.ParameterList([torch.randn(3, 4, 5)])
        self.gains = nn.Parameter(torch.randn(3, 5))
        self.head = nn.Linear(2, 2)


@pytest.mark.parametrize("wrap", [nn.Identity(), nn.Sequential], ids=["alone", "within another"])
def test_module_declares_its_layout(wrap):
    stack = Stack()
    model = nn.Sequential(stack) if wrap is nn.Sequential else stack
    found = {name.removeprefix("0."): value for name, value in direction(model).items()}
    expected = norms(stack.matrices[0], 0, 2)
    torch.testing.assert_close(norms(found["matrices.0"], 0, 2), expected, rtol=1e-5, atol=0)
    assert not found["gains"].any()


def test_declaration_leaves_the_modules_within_alone():
    stack = Stack()
    drawn = direction(stack)["head.weight"]
    torch.testing.assert_close(drawn.norm(dim=1), stack.head.weight.norm(dim=1), rtol=1e-5, atol=0)


MODELS = {
    "transformer": lambda: GraphTransformer(7, 8, num_layers=1, heads=2),
    "gatr": lambda: GATr(4, num_layers=1, hidden_scalars=8, heads=2),
    "se3": lambda: SE3Transformer(4, num_layers=1, num_degrees=2),
    "mlp": lambda: FlatMLP(3, 6, hidden_channels=8, num_layers=1),
    "emlp": lambda: EMLP(3, hidden_channels=8, num_layers=1),
    "rpp": lambda: RPP(3, hidden_channels=8, num_layers=1),
    "per": lambda: PER(3, hidden_channels=8, num_layers=1),
}


@pytest.mark.parametrize("model", MODELS)
def test_direction_is_as_long_as_the_weights_of_a_model_that_move(model):
    built = MODELS[model]()
    drawn = direction(built)
    for name, weights in built.named_parameters():
        if drawn[name].any():
            torch.testing.assert_close(drawn[name].norm(), weights.norm(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("model", MODELS)
def test_biases_and_gains_of_a_model_are_held(model):
    words = ("bias", "gains", "shifts", "log_scale")
    built = MODELS[model]()
    for parameter in built.parameters():
        nn.init.normal_(parameter)  # some are zero at first
    found = direction(built)
    held = {name for name in found if any(word in name for word in words)}
    assert held
    assert not any(found[name].any() for name in held)


def test_filter_of_gatr_is_what_an_output_multivector_takes_by_all_maps():
    model = MODELS["gatr"]()
    weights = model.readout.weight
    drawn = direction(model)["readout.weight"]
    torch.testing.assert_close(norms(drawn, 1), norms(weights, 1), rtol=1e-5, atol=0)
    assert not torch.allclose(norms(drawn, 0, 1), norms(weights, 0, 1), rtol=1e-2)
