"""Runs that diverge."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest
import torch

from pyg_remul import experiment
from pyg_remul.checks import NonFiniteError
from pyg_remul.divergence import DivergenceError
from pyg_remul.experiment import train
from pyg_remul.measurement import evaluate_model
from pyg_remul.presets import preset
from pyg_remul.run_folder import RunFolder
from pyg_remul.training import RemulModule


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def tiny(data):
    def build(**options):
        sizes = {"hidden_channels": 8, "num_layers": 1, "steps": 12, "val_every": 4}
        graphs = {"batch_size": 4, "num_train": 8, "num_eval": 4, "equivariance_graphs": 0}
        plain = {"method": "plain", "error_graphs": 2, "data": data}
        return preset("nbody", "gnn", **{**sizes, **graphs, **plain, **options})

    return build


@pytest.fixture
def diverged(tiny, tmp_path):
    """The folder of a run whose weights become infinite at the first step, and its steps."""
    steps = []
    with pytest.raises(DivergenceError, match="after 4 steps, the weights are not finite"):
        train(tiny(lr=1e38, clip=None), tmp_path / "run", report=steps.append)
    return RunFolder(tmp_path / "run"), steps


def ignore(step):
    pass


def test_run_without_finite_weights_ends_at_its_validation(diverged):
    folder, steps = diverged
    assert steps == [1, 2, 3, 4]
    assert len(folder.metrics()) == 1
    assert not folder.last.exists()


def test_run_that_diverged_is_not_repeated(diverged, tiny):
    folder, steps = diverged
    with pytest.raises(DivergenceError, match="run diverged: after 4 steps, the weights are not"):
        train(tiny(lr=1e38, clip=None), folder.path, resume=True, report=steps.append)
    assert steps == [1, 2, 3, 4]


def test_run_that_diverged_has_no_results(diverged):
    folder, _ = diverged
    assert folder.results() is None
    assert folder.errors() == {}
    assert folder.lowest_validation_loss() == math.inf


def test_model_that_refuses_its_numbers_diverges(tiny, tmp_path, monkeypatch):
    def refuse(self, *arguments):
        if self.global_step == 5:
            raise NonFiniteError("outputs up to 1e20 are too large.")
        return self.model.head.weight.sum()

    monkeypatch.setattr(RemulModule, "_step_loss", refuse)
    with pytest.raises(DivergenceError, match="after 5 steps, outputs up to 1e20 are too"):
        train(tiny(), tmp_path, report=ignore)
    assert len(RunFolder(tmp_path).metrics()) == 1


def test_numbers_that_a_model_refuses_before_its_first_step_are_no_divergence(
    tiny, tmp_path, monkeypatch
):
    def refuse(*arguments):
        raise NonFiniteError("outputs up to 1e20 are too large.")

    monkeypatch.setattr(RemulModule, "_step_loss", refuse)
    with pytest.raises(NonFiniteError, match="outputs up to 1e20 are too large"):
        train(tiny(), tmp_path, report=ignore)
    assert RunFolder(tmp_path).divergence() is None


def test_other_error_is_none(tiny, tmp_path, monkeypatch):
    def fail(*arguments):
        raise ValueError("a fault")

    monkeypatch.setattr(RemulModule, "_step_loss", fail)
    with pytest.raises(ValueError, match="a fault"):
        train(tiny(), tmp_path, report=ignore)
    assert RunFolder(tmp_path).divergence() is None


def test_errors_that_are_not_finite_are_a_divergence(tiny, tmp_path, monkeypatch):
    errors = {"test": torch.ones(4), "ood": torch.tensor([1.0, math.inf])}
    monkeypatch.setattr(experiment, "graph_errors", lambda *_: errors)
    with pytest.raises(DivergenceError, match="after 12 steps, errors of graphs of split 'ood' ar"):
        train(tiny(), tmp_path, report=ignore)


def test_errors_that_are_not_finite_leave_the_validation_loss(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "graph_errors", lambda *_: {"test": torch.tensor([math.nan])})
    with pytest.raises(DivergenceError, match="errors of graphs of split 'test' are not finite"):
        train(tiny(), tmp_path, report=ignore)
    losses = [row["val/loss"] for row in RunFolder(tmp_path).metrics()]
    assert RunFolder(tmp_path).lowest_validation_loss() == min(losses) < math.inf


def spoil(monkeypatch, name, value):
    """Has the evaluation give a value."""

    def evaluate(*arguments, **options):
        results = evaluate_model(*arguments, **options)
        results["test"][name] = value
        return results

    monkeypatch.setattr(experiment, "evaluate_model", evaluate)


@pytest.mark.parametrize("value", [math.nan, math.inf], ids=str)
@pytest.mark.parametrize("name", ["mse", "E", "E_prime"])
def test_results_that_are_not_finite_are_a_divergence(tiny, tmp_path, monkeypatch, name, value):
    spoil(monkeypatch, name, value)
    match = f"after 12 steps, `{name}` of split 'test' is {value}"
    with pytest.raises(DivergenceError, match=match):
        train(tiny(), tmp_path, report=ignore)
    assert RunFolder(tmp_path).results() is None


@pytest.mark.parametrize("name", ["E_relative", "E_prime_relative", "E_se"])
def test_relative_error_of_a_prediction_of_zero_is_no_divergence(tiny, tmp_path, monkeypatch, name):
    spoil(monkeypatch, name, math.nan)
    train(tiny(), tmp_path, report=ignore)
    assert RunFolder(tmp_path).divergence() is None


@pytest.mark.parametrize("losses", [[math.nan], [1.0, math.nan]], ids=["all", "one of two"])
def test_validation_loss_that_is_never_finite_is_a_divergence(tiny, tmp_path, monkeypatch, losses):
    def validation_step(self, batch, index):
        for loss in losses:
            self.val_loss.update(torch.tensor(loss), 1)

    monkeypatch.setattr(RemulModule, "validation_step", validation_step)
    with pytest.raises(DivergenceError, match="after 12 steps, the validation loss was never fin"):
        train(tiny(), tmp_path, report=ignore)


def test_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(DivergenceError(Path("run"), "after 4 steps")))
    assert str(error) == "The run in run diverged: after 4 steps"
    assert (error.path, error.reason) == (Path("run"), "after 4 steps")
