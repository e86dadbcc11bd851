"""Folders of finished runs that are not whole."""

from __future__ import annotations

import pytest
import torch
from tiny_studies import write_finished

from pyg_remul.presets import preset
from pyg_remul.reproduction.completeness import check_complete
from pyg_remul.run_folder import RunFolder

CONFIG = preset("nbody", "gnn", method="plain", steps=100, val_every=10)


@pytest.fixture
def run(tmp_path):
    return write_finished(RunFolder(tmp_path / "run"), CONFIG)


def refused(fault):
    match = rf"run is refused: the run has finished, but {fault}; remove the folder to repeat"
    return pytest.raises(ValueError, match=match)


def validate(run, *losses):
    run.write_metrics(
        [{"step": 10 * place, "val/loss": loss} for place, loss in enumerate(losses, start=1)]
    )


def test_whole_run_is_taken(run):
    check_complete(run, CONFIG)


@pytest.mark.parametrize("name", ["metrics.csv", "errors.csv", "checkpoints/best.ckpt"])
def test_run_without_a_file_is_refused(run, name):
    (run.path / name).unlink()
    with refused(rf"{name.rpartition('/')[2]} is missing"):
        check_complete(run, CONFIG)


def test_run_with_a_checkpoint_that_is_cut_short_is_refused(run):
    run.best.write_bytes(run.best.read_bytes()[:-20])
    with refused(r"best\.ckpt is cut short"):
        check_complete(run, CONFIG)


def test_run_without_its_last_validations_is_refused(run):
    validate(run, 3.0)
    with refused("metrics.csv ends at step 10 of 100"):
        check_complete(run, CONFIG)


@pytest.mark.parametrize("text", ["", "step,val/loss\n", "step,val/loss\n100,inf\n"])
def test_run_without_a_finite_validation_loss_is_refused(run, text):
    (run.path / "metrics.csv").write_text(text)
    with refused("metrics.csv has no finite validation loss"):
        check_complete(run, CONFIG)


def test_run_whose_patience_was_at_its_end_is_taken(run):
    validate(run, 3.0, 2.0, 2.0, 2.5)
    check_complete(run, preset("nbody", steps=100, val_every=10, patience=2))


def test_run_whose_patience_was_not_at_its_end_is_refused(run):
    validate(run, 3.0, 2.0, 2.5)
    with refused("metrics.csv ends at step 30 of 100"):
        check_complete(run, preset("nbody", steps=100, val_every=10, patience=2))


def test_run_with_errors_of_too_few_graphs_is_refused(run):
    run.write_data({"source": "simulated", "graphs": {"train": 3, "test": 5}})
    with refused("errors.csv has 4 graphs of split 'test', not 5"):
        check_complete(run, CONFIG)


def test_run_with_errors_of_all_graphs_is_taken(run):
    run.write_data({"source": "simulated", "graphs": {"train": 3, "test": 4}})
    check_complete(run, CONFIG)


@pytest.mark.parametrize("split", ["test", "ood"])
def test_older_run_without_errors_of_a_split_is_refused(run, split):
    run.write_errors({"other": torch.ones(4)})
    run.write_results({split: {"mse": 1.0}})
    with refused(f"errors.csv has 0 graphs of split '{split}', not any"):
        check_complete(run, CONFIG)


def test_line_that_is_cut_short_is_refused(run):
    path = run.path / "errors.csv"
    path.write_text(path.read_text() + "test,4")
    with pytest.raises(
        ValueError, match=r"errors\.csv is refused: line 6 must have a cell for each"
    ):
        check_complete(run, CONFIG)
