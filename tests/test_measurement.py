"""Errors of single graphs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pyg_remul.config import TrainConfig
from pyg_remul.measurement import evaluate_model, graph_errors
from pyg_remul.presets import preset
from pyg_remul.tasks import load_task


class Still(nn.Module):
    """Predicts that nothing moves."""

    def forward(self, batch):
        return batch.pos


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    sizes = {"num_train": 4, "num_eval": 6}
    root = tmp_path_factory.mktemp("data")
    return load_task(preset("nbody", "gnn", data=root, **sizes), progress=False)


def test_error_of_a_graph_is_its_own(data):
    expected = [(graph.pos - graph.y).double().square().mean() for graph in data.tests["ood"]]
    errors = graph_errors(Still(), data)["ood"]
    torch.testing.assert_close(errors, torch.stack(expected), rtol=1e-12, atol=0)


def test_errors_are_those_of_every_test_split(data):
    errors = graph_errors(Still(), data)
    assert {split: value.shape for split, value in errors.items()} == {"test": (6,), "ood": (6,)}


def test_mean_error_is_that_of_the_nodes(data):
    results = evaluate_model(Still(), data, num_samples=2, num_graphs=2)
    nodes = torch.cat([(graph.pos - graph.y).double().square() for graph in data.tests["test"]])
    assert results["test"]["mse"] == pytest.approx(float(nodes.mean()), rel=1e-12)


def test_known_errors_are_not_measured_again(data):
    errors = {split: torch.full((6,), 2.0, dtype=torch.float64) for split in data.tests}
    results = evaluate_model(Still(), data, num_samples=2, num_graphs=2, errors=errors)
    assert results["ood"] == {"mse": 2.0}


def test_number_of_graphs_of_the_final_errors_is_an_option():
    with pytest.raises(ValueError, match="`error_graphs` must be positive, got 0"):
        TrainConfig(task="nbody", error_graphs=0)
