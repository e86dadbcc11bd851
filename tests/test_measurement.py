"""Errors and equivariance of trained models."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch

from pyg_remul import SO3, equivariance_error, measurement
from pyg_remul.config import TrainConfig
from pyg_remul.measurement import evaluate_model, graph_errors
from pyg_remul.presets import preset
from pyg_remul.stacked_loader import StackedLoader
from pyg_remul.tasks import build_model, load_task


class Still(nn.Module):
    """Predicts that nothing moves."""

    def forward(self, batch):
        return batch.pos


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    sizes = {"num_train": 4, "num_eval": 6}
    root = tmp_path_factory.mktemp("data")
    return load_task(preset("nbody", "gnn", data=root, **sizes), progress=False)


def small(name, data):
    sizes = {"hidden_channels": 8, "num_layers": 1}
    return build_model(preset("nbody", name, **sizes), data)


def test_error_of_a_graph_is_its_own(data):
    expected = [(graph.pos - graph.y).double().square().mean() for graph in data.tests["ood"]]
    errors = graph_errors(Still(), data)["ood"]
    torch.testing.assert_close(errors, torch.stack(expected), rtol=1e-12, atol=0)


def test_errors_are_those_of_every_test_split(data):
    errors = graph_errors(Still(), data)
    assert {split: value.shape for split, value in errors.items()} == {"test": (6,), "ood": (6,)}


def test_mean_error_is_that_of_the_nodes(data):
    results = evaluate_model(Still(), data, num_samples=2, num_graphs=2)
    for split, dataset in data.tests.items():
        nodes = torch.cat([(graph.pos - graph.y).double().square() for graph in dataset])
        assert results[split]["mse"] == pytest.approx(float(nodes.mean()), rel=1e-12)


def test_known_errors_are_not_measured_again(data):
    errors = {split: torch.full((6,), 2.0, dtype=torch.float64) for split in data.tests}
    results = evaluate_model(Still(), data, num_samples=2, num_graphs=2, errors=errors)
    assert results["ood"] == {"mse": 2.0}


def test_number_of_graphs_of_the_final_errors_is_an_option():
    with pytest.raises(ValueError, match="`error_graphs` must be positive, got 0"):
        TrainConfig(task="nbody", error_graphs=0)


def test_evaluation_holds_the_graphs_on_the_device_of_the_model(data, monkeypatch):
    devices = []

    class Loader(StackedLoader):
        def __init__(self, *args, device):
            devices.append(device)
            super().__init__(*args)

    monkeypatch.setattr(measurement, "StackedLoader", Loader)
    evaluate_model(small("gnn", data), data, num_samples=2)
    assert devices
    assert set(devices) == {torch.device("cpu")}


def test_equivariance_is_measured_in_double_precision(data):
    results = evaluate_model(small("egnn", data), data, num_samples=5)
    assert results["test"]["E_prime_relative"] < 1e-12


def test_equivariance_is_that_of_the_test_split(data):
    model = small("gnn", data)
    results = evaluate_model(model, data, num_samples=7, num_graphs=5)
    expected = equivariance_error(
        model,
        [Batch.from_data_list(data.tests["test"][:5])],
        SO3(),
        reps=data.reps,
        num_samples=7,
        dtype=torch.float64,
    )
    for name, value in expected.items():
        assert results["test"][name] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_mode_of_each_module(data, training):
    model = small("gnn", data).train(training)
    model.head.train(not training)
    evaluate_model(model, data, num_samples=2)
    assert model.training is training
    assert model.head.training is not training
