from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from pyg_remul.models import EMLP, RPP
from pyg_remul.models._tensor_representation import TensorRepresentation
from pyg_remul.models.rpp import ResidualLinear

SMALL = {"num_nodes": 3, "hidden_channels": 33, "num_layers": 2}
TENSORS = TensorRepresentation.evenly(33, "SO3")


def test_output_is_the_pinned_one(ring, settle_tensors):
    model = settle_tensors(RPP(4, hidden_channels=33, num_layers=2).double())
    assert model(ring)[3].tolist() == pytest.approx(
        [-0.645806263415, -0.466708631922, -0.455492040275], rel=1e-9
    )


def test_linear_layer_adds_both_paths():
    layer = ResidualLinear(TENSORS, TENSORS).double()
    x = torch.randn(4, 33, dtype=torch.float64)
    equivariant = layer.projection(layer.equivariant_weight, layer.equivariant_bias)
    expected = linear(x, *equivariant) + linear(x, layer.basic_weight, layer.basic_bias)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_free_path_starts_at_a_thousandth_of_the_other():
    layer = ResidualLinear(TENSORS, TENSORS)
    torch.testing.assert_close(layer.basic_weight, 1e-3 * layer.equivariant_weight)
    torch.testing.assert_close(layer.basic_bias, 1e-3 * layer.equivariant_bias)


def test_regularisation_is_the_weighted_sum_of_squares():
    model = RPP(**SMALL, basic_prior=3.0, equivariant_prior=0.5, bias_prior=7.0).double()
    squares = {"basic_weight": 0.0, "equivariant_weight": 0.0, "basic_bias": 0.0, "gate": 0.0}
    for name, parameter in model.named_parameters():
        kind = "gate" if name.endswith("nonlinearity.weight") else name.rpartition(".")[-1]
        if kind in squares:
            squares[kind] += float(parameter.detach().square().sum())
    expected = (
        3 * (squares["basic_weight"] + squares["gate"])
        + 0.5 * squares["equivariant_weight"]
        + 7 * squares["basic_bias"]
    )
    assert model.regularisation().item() == pytest.approx(expected, rel=1e-12)


def test_default_prior_leaves_biases_and_quadratic_maps_free():
    model = RPP(**SMALL)
    model.regularisation().backward()
    for name, parameter in model.named_parameters():
        free = "bias" in name or "bilinear" in name
        assert free is (parameter.grad is None or not parameter.grad.any()), name


def test_without_its_free_path_it_is_an_emlp(make_graph):
    model, strict = RPP(**SMALL).double(), EMLP(**SMALL).double()
    state = {
        name.replace("equivariant_", ""): value
        for name, value in model.state_dict().items()
        if "basic" not in name and not name.endswith("nonlinearity.weight")
    }
    strict.load_state_dict(state)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "basic" in name or name.endswith("nonlinearity.weight"):
                parameter.zero_()
    data = make_graph(3)
    torch.testing.assert_close(model(data), strict(data), rtol=0, atol=1e-12)


def test_error_of_equivariance_falls_to_zero_as_the_priors_grow(make_graph, train_softly):
    errors = [
        train_softly(RPP(**SMALL, basic_prior=prior, bias_prior=prior).double(), make_graph)
        for prior in (1.0, 1e2, 1e4)
    ]
    assert errors[0] > 0.1
    assert errors[1] < 0.1 * errors[0]
    assert errors[2] < 0.1 * errors[1]


def test_biases_without_a_prior_keep_it_off_equivariance(make_graph, train_softly):
    assert train_softly(RPP(**SMALL, basic_prior=1e4).double(), make_graph) > 0.01


@pytest.mark.parametrize("name", ["basic_prior", "equivariant_prior", "bias_prior"])
def test_negative_prior_is_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` must not be negative, got -1\.0\."):
        RPP(**SMALL, **{name: -1.0})
