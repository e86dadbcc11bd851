"""Single layers on a random graph."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.benchmarks.single_layers import (
    OURS,
    RandomGraph,
    egnn_layers,
    gnn_layers,
    layer_cases,
)

LAYERS = {"GNN": gnn_layers, "EGNN": egnn_layers}


@pytest.fixture(params=LAYERS.values(), ids=LAYERS)
def layers(request):
    return request.param(RandomGraph.draw(20, 64, 8, torch.float32, "cpu"))


def test_formulations_have_the_same_gradients(layers):
    for case in layer_cases(layers, torch.float32).values():
        case()
    for layer in layers.values():
        for name, weight in layer.named_parameters():
            expected = layers[OURS].get_parameter(name).grad.view_as(weight)
            torch.testing.assert_close(weight.grad, expected, rtol=1e-3, atol=1e-6)


def test_inputs_have_gradients(layers):
    layer_cases(layers, torch.float32)[OURS]()
    assert all(x.grad.abs().sum() > 0 for x in layers[OURS].nodes)


def test_layers_that_disagree_are_not_measured(layers):
    *_, usual = layers.values()
    with torch.no_grad():
        usual.layer.node_mlp[2].bias.add_(1.0)
    with pytest.raises(AssertionError, match="not close"):
        layer_cases(layers, torch.float32)


def test_half_precision_is_autocast(layers):
    assert layer_cases(layers, torch.bfloat16)[OURS].loss().isfinite()
