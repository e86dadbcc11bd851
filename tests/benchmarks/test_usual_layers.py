"""The usual formulation of the GNN and EGNN layers."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from pyg_remul.benchmarks.usual_layers import (
    REDUCTIONS,
    UsualEGNN,
    UsualEGNNLayer,
    UsualGNN,
    UsualGNNLayer,
)
from pyg_remul.models import EGNN, GNN
from pyg_remul.models.egnn import EGNNLayer
from pyg_remul.models.gnn import GNNLayer

MODELS = {"GNN": (GNN, UsualGNN), "EGNN": (EGNN, UsualEGNN)}


@pytest.fixture
def graph():
    """Seven nodes, of which one has no edge; edges in no order, one from a node to itself."""
    edges = torch.tensor([[5, 0, 3, 2, 2, 1, 0, 4], [0, 1, 3, 1, 0, 5, 1, 2]])
    vectors = {name: torch.randn(7, 3, dtype=torch.float64) for name in ("pos", "vel")}
    edge_attr, charge = torch.rand(8, 4).double(), torch.rand(7).double()
    return Data(edge_index=edges, edge_attr=edge_attr, charge=charge, **vectors)


@pytest.mark.parametrize("reduce", REDUCTIONS.values(), ids=REDUCTIONS)
@pytest.mark.parametrize(("model", "usual"), MODELS.values(), ids=MODELS)
def test_outputs_and_gradients_are_the_models(graph, model, usual, reduce):
    ours = model(hidden_channels=16, num_layers=3, edge_dim=4).double()
    theirs = usual(ours, reduce)
    torch.testing.assert_close(theirs(graph), ours(graph), rtol=1e-12, atol=1e-12)
    for each in (ours, theirs):
        each(graph).square().sum().backward()
    for name, weight in ours.named_parameters():
        expected = theirs.get_parameter(name).grad
        torch.testing.assert_close(weight.grad, expected, rtol=1e-10, atol=1e-12)


def test_gnn_layer_equals_the_models(graph):
    ours = GNNLayer(8, 4).double()
    theirs = UsualGNNLayer(8, 4).double()
    theirs.load_state_dict(ours.state_dict())
    h = torch.randn(7, 8, dtype=torch.float64)
    inputs = (h, graph.edge_index, graph.edge_attr)
    torch.testing.assert_close(theirs(*inputs), ours(*inputs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["short", "bounded"])
def test_egnn_layer_equals_the_models(graph, scale):
    ours = EGNNLayer(8, 4, num_vectors=1).double()
    theirs = UsualEGNNLayer(8, 4).double()
    theirs.load_state_dict(ours.state_dict())
    h, pos, vel = torch.randn(7, 8).double(), scale * graph.pos, scale * graph.vel
    edges = (graph.edge_index, graph.edge_attr)
    expected_h, expected = ours(h, pos.unsqueeze(1), *edges, vel.unsqueeze(1))
    channels, points = theirs(h, pos, *edges, vel)
    torch.testing.assert_close(channels, expected_h, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(points.unsqueeze(1), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("model", "usual"), MODELS.values(), ids=MODELS)
def test_weights_bear_the_names_of_the_models(model, usual):
    ours = model(hidden_channels=8, num_layers=2, edge_dim=4)
    assert list(usual(ours).state_dict()) == list(ours.state_dict())
