from __future__ import annotations

import pytest
import torch
from torch.nn.functional import silu
from torch_geometric.data import Batch

from pyg_remul.models import FlatMLP


def test_output_follows_the_formula(make_graph):
    model, data = FlatMLP(5, hidden_channels=8, num_layers=2).double(), make_graph()
    first, second, last = (m for m in model.modules() if isinstance(m, torch.nn.Linear))
    h = torch.cat([data.pos, data.vel], dim=1).flatten()
    for layer in (first, second):
        h = silu(layer.weight @ h + layer.bias)
    expected = (last.weight @ h + last.bias).view(5, 3)
    torch.testing.assert_close(model(data), expected, rtol=1e-12, atol=1e-12)


def test_biases_start_at_zero():
    biases = [value for name, value in FlatMLP().named_parameters() if name.endswith("bias")]
    assert len(biases) == 4
    assert not any(bias.any() for bias in biases)


def test_weights_start_with_the_standard_deviation_of_xavier():
    for name, value in FlatMLP().named_parameters():
        if name.endswith("weight"):
            assert value.std().item() == pytest.approx((2 / sum(value.shape)) ** 0.5, rel=0.03)


def test_weights_start_normal_and_not_uniform():
    weight = FlatMLP().layers[2].weight
    bound_if_uniform = (6 / sum(weight.shape)) ** 0.5
    assert weight.abs().max() > 1.5 * bound_if_uniform


def test_features_have_one_row_per_graph(make_graph):
    model = FlatMLP(5, hidden_channels=8).double()
    batch = Batch.from_data_list([make_graph(), make_graph(seed=1)])
    assert model.features(batch).shape == (2, 8)


def test_lone_graph_of_another_size_is_refused(make_graph):
    with pytest.raises(ValueError, match=r"`num_nodes` must be .*, 5, got 10 in graph 0\."):
        FlatMLP(5).double()(make_graph(10))


def test_ragged_batch_with_the_right_total_is_refused(make_graph):
    batch = Batch.from_data_list([make_graph(5), make_graph(6), make_graph(4)])
    with pytest.raises(ValueError, match=r"`num_nodes` must be .*, 5, got 6 in graph 1\."):
        FlatMLP(5).double()(batch)


def test_number_of_nodes_below_one_is_refused():
    with pytest.raises(ValueError, match=r"`num_nodes` must be positive, got 0\."):
        FlatMLP(0)
