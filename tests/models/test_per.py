from __future__ import annotations

import pytest
import torch
from torch import nn

from pyg_remul.models import PER
from pyg_remul.models._tensor_representation import TensorRepresentation
from pyg_remul.models.per import PenalisedLinear

SMALL = {"num_nodes": 3, "hidden_channels": 33, "num_layers": 2}
TENSORS = TensorRepresentation.evenly(33, "SO3")


def linears(model):
    return [module for module in model.modules() if isinstance(module, PenalisedLinear)]


def distance(layer):
    """The parts of the weight and the bias that are not equivariant."""
    weight, bias = layer.projection(layer.weight, layer.bias)
    return layer.weight - weight, layer.bias - bias


def test_output_is_the_pinned_one(ring, settle_tensors):
    model = settle_tensors(PER(4, hidden_channels=33, num_layers=2).double())
    assert model(ring)[3].tolist() == pytest.approx(
        [1.10506094357, 1.3789604322, 1.65285992082], rel=1e-9
    )


def test_linear_layers_are_not_projected():
    layer, x = PenalisedLinear(TENSORS, TENSORS), torch.randn(4, 33)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_penalty_is_half_the_squared_distance_from_the_equivariant_maps():
    layer = PenalisedLinear(TENSORS, TENSORS).double()
    weight, bias = distance(layer)
    expected = (weight.square().sum() + bias.square().sum()) / 2
    torch.testing.assert_close(layer.penalty(), expected, rtol=1e-12, atol=0)


def test_gradient_of_the_penalty_is_that_of_finite_differences():
    layer = PenalisedLinear(TENSORS, TensorRepresentation(TENSORS.terms[:1])).double()
    (gradient,) = torch.autograd.grad(layer.penalty(), layer.weight)
    direction = torch.randn_like(gradient)
    with torch.no_grad():
        layer.weight += 1e-4 * direction
        ahead = layer.penalty()
        layer.weight -= 2e-4 * direction
        behind = layer.penalty()
    slope = (ahead - behind) / 2e-4
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-8, atol=1e-8)


def test_regularisation_adds_the_penalties_of_maps_and_gates():
    model = PER(**SMALL, penalty=3.0, gate_penalty=0.5).double()
    maps = sum(float(layer.penalty().detach()) for layer in linears(model))
    gates = sum(float(block.nonlinearity.weight.detach().square().sum()) for block in model.blocks)
    assert model.regularisation().item() == pytest.approx(3 * maps + 0.5 * gates, rel=1e-12)


def test_regularisation_covers_all_maps_with_the_last():
    assert len(linears(PER(**SMALL))) == 3


def test_start_halfway_halves_the_distance_and_keeps_the_equivariant_part():
    torch.manual_seed(1)
    free = PER(**SMALL, start_halfway=False).double()
    torch.manual_seed(1)
    halfway = PER(**SMALL).double()
    for far, near in zip(linears(free), linears(halfway), strict=True):
        halved = [part / 2 for part in distance(far)]
        torch.testing.assert_close(list(distance(near)), halved, rtol=0, atol=1e-6)
        equivariant = [layer.weight - distance(layer)[0] for layer in (far, near)]
        torch.testing.assert_close(*equivariant, rtol=0, atol=1e-6)


def test_free_start_is_orthogonal():
    weight = PER(**SMALL, start_halfway=False).blocks[1].linear.weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(33), rtol=0, atol=1e-5)


def test_model_without_distance_is_equivariant(make_graph, train_softly):
    model = PER(**SMALL).double()
    with torch.no_grad():
        for layer in linears(model):
            weight, bias = layer.projection(layer.weight, layer.bias)
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        for block in model.blocks:
            block.nonlinearity.weight.zero_()
    assert model.regularisation() < 1e-25
    assert train_softly(model, make_graph, num_steps=0) < 1e-10


def test_error_of_equivariance_falls_to_zero_as_the_penalty_grows(make_graph, train_softly):
    errors = [
        train_softly(PER(**SMALL, penalty=penalty, gate_penalty=penalty).double(), make_graph)
        for penalty in (1.0, 1e2, 1e4)
    ]
    assert errors[0] > 0.1
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.1 * errors[1]


@pytest.mark.parametrize("name", ["penalty", "gate_penalty"])
def test_negative_penalty_is_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` must not be negative, got -1\.0\."):
        PER(**SMALL, **{name: -1.0})


def test_penalty_has_second_derivatives():
    linear = PER(**SMALL).double().head
    direction = torch.randn_like(linear.weight)
    (gradient,) = torch.autograd.grad(linear.penalty(), linear.weight, create_graph=True)
    (product,) = torch.autograd.grad((gradient * direction).sum(), linear.weight)
    projected, _ = linear.projection(direction, torch.zeros_like(linear.bias))
    torch.testing.assert_close(product, direction - projected, rtol=1e-10, atol=1e-12)
