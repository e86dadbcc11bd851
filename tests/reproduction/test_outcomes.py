"""What the runs of a setting gave."""

from __future__ import annotations

import dataclasses
import math
import statistics

import pytest
import torch
from synthetic import ETHANOL, NBODY, XTB, make_diverged, make_method, make_outcome, write_run

from pyg_remul.experiment import train
from pyg_remul.presets import preset
from pyg_remul.reproduction.outcomes import Outcome
from pyg_remul.run_folder import RunFolder


@pytest.fixture
def outcome(tmp_path):
    return make_outcome(tmp_path, NBODY, splits=("test", "ood"), error=0.5)


@pytest.fixture
def older(tmp_path, outcome):
    """An outcome whose run says nothing of its data."""
    sizes = {"steps": 2, "val_every": 2, "num_train": 4, "num_eval": 3, "equivariance_graphs": 0}
    config = preset("nbody", "gnn", data=tmp_path / "data", error_graphs=1, **sizes)
    train(config, tmp_path / "run", report=print)
    (tmp_path / "run" / "data.json").unlink()
    return dataclasses.replace(outcome, runs=(RunFolder(tmp_path / "run"),))


@pytest.mark.parametrize(
    ("quantity", "split", "name"),
    [("mse", "test", "mse"), ("ood", "ood", "mse"), ("E_prime", "test", "E_prime")],
)
def test_quantities_are_those_of_the_results(outcome, quantity, split, name):
    assert outcome.values(quantity) == [run.results()[split][name] for run in outcome.runs]


def test_mean_and_standard_deviation_are_over_seeds(outcome):
    values = [run.results()["test"]["mse"] for run in outcome.runs]
    assert outcome.mean("mse") == statistics.fmean(values)
    assert outcome.spread("mse") == statistics.stdev(values)


@pytest.mark.parametrize(("kind", "passes"), [("plain", 1), ("augmentation", 4), ("remul", 5)])
def test_passes_are_those_of_the_setting(kind, passes):
    method = make_method(kind, num_samples=2)
    assert make_diverged(method=method, setting={"num_samples": 4}).passes == passes


def test_one_seed_has_no_spread(tmp_path):
    assert make_outcome(tmp_path, seeds=1).spread("mse") == 0.0


def test_diverged_setting_has_no_mean():
    assert math.isnan(make_diverged().mean("mse"))


def test_errors_of_graphs_are_those_of_each_seed(outcome):
    errors = outcome.graph_errors("ood")
    assert errors.shape == (3, 24)
    assert errors.mean(dim=1).tolist() == pytest.approx(outcome.values("ood"), rel=1e-12)


def test_origins_are_those_of_the_run(tmp_path):
    origins = {"frame": torch.arange(24) * 7}
    assert make_outcome(tmp_path, origins=origins).graph_origins()["frame"].equal(origins["frame"])


def test_provenance_is_that_of_the_run(tmp_path):
    assert make_outcome(tmp_path).provenance() == XTB


def test_older_run_is_described_by_its_datasets(older):
    assert older.provenance().source == "simulated by the published recipe"
    assert older.provenance().graphs == {"train": 4, "val": 3, "test": 3, "ood": 3}
    assert older.graph_origins() == {}


def test_older_run_of_another_machine_is_described_by_the_data_here(older, tmp_path):
    run = older.runs[0]
    run.claim(dataclasses.replace(run.config(), data=tmp_path / "elsewhere"))
    here = dataclasses.replace(older, data=tmp_path / "data")
    assert here.provenance().graphs["train"] == 4
    assert here.graph_origins() == {}
    assert not (tmp_path / "elsewhere").exists()


def test_older_run_without_options_is_refused(tmp_path):
    run = write_run(tmp_path / "one", ETHANOL, {"test": [1.0]}, provenance=None)
    (run.path / "config.json").unlink()
    outcome = make_diverged()
    outcome = Outcome(**{**vars(outcome), "runs": (run,)})
    with pytest.raises(ValueError, match=r"one must hold a run; it has no config\.json\."):
        outcome.provenance()
