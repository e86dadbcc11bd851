"""Runs that studies share."""

from __future__ import annotations

import json
import logging
import math
import shutil
from pathlib import Path

import pytest
from tiny_studies import write_diverged, write_finished

from pyg_remul.presets import preset
from pyg_remul.reproduction import shared_runs
from pyg_remul.reproduction.shared_runs import SharedRuns, digest
from pyg_remul.run_folder import RunFolder

CONFIG = preset("nbody", "gnn", method="plain")


@pytest.fixture
def pool(tmp_path):
    return tmp_path / "runs"


def validations(last, *losses):
    return [{"step": last, "val/loss": loss} for loss in losses]


def folder_of(pool, config=CONFIG):
    return SharedRuns(pool).folder(config)


def test_name_of_a_new_folder_is_that_of_earlier_versions(pool):
    assert folder_of(pool, preset("md17", "egnn", beta=0.5)).path == (
        pool / f"md17-egnn-remul-{digest(preset('md17', 'egnn', beta=0.5))}"
    )
    assert digest(preset("nbody", "gnn", method="plain", seed=2)) == "8a91f2bd52"


@pytest.mark.parametrize(
    "options",
    [{"data": Path("elsewhere")}, {"compile": True}, {"beta": 3.0}],
    ids=["data folder", "compilation", "weight that plain training does not read"],
)
def test_runs_of_one_result_share_a_folder(pool, options):
    other = preset("nbody", "gnn", method="plain", **options)
    assert folder_of(pool, other).path == folder_of(pool).path


@pytest.mark.parametrize("options", [{"seed": 1}, {"lr": 0.5}, {"steps": 300}], ids=str)
def test_runs_of_other_results_have_folders_of_their_own(pool, options):
    other = preset("nbody", "gnn", method="plain", **options)
    assert folder_of(pool, other).path != folder_of(pool).path


@pytest.mark.parametrize("name", ["renamed", "from-elsewhere/2024/run"], ids=["renamed", "nested"])
def test_run_is_found_whatever_its_name(pool, name):
    RunFolder(pool / name).claim(CONFIG)
    assert folder_of(pool).path == pool / name


@pytest.mark.parametrize("names", ["ab", "ba"], ids=["finished first", "finished last"])
@pytest.mark.parametrize("write", [write_finished, write_diverged], ids=["finished", "diverged"])
def test_of_equal_runs_one_that_has_ended_wins(pool, names, write):
    ended, begun = names
    write(RunFolder(pool / ended), CONFIG)
    RunFolder(pool / begun).claim(CONFIG)
    assert folder_of(pool).path == pool / ended


@pytest.mark.parametrize("names", ["ab", "ba"], ids=["finished first", "finished last"])
def test_of_equal_runs_one_that_has_finished_wins_over_one_that_diverged(pool, names):
    finished, diverged = names
    write_diverged(RunFolder(pool / diverged), CONFIG)
    write_finished(RunFolder(pool / finished), CONFIG, 0.5)
    runs = SharedRuns(pool)
    assert runs.folder(CONFIG).path == pool / finished
    assert runs.loss(CONFIG) == 0.5
    assert runs.diverged() == []


def test_finished_run_has_its_lowest_loss(pool):
    run = write_finished(folder_of(pool), CONFIG)
    run.write_metrics(validations(CONFIG.steps, 3.0, 0.5, 2.0))
    assert SharedRuns(pool).loss(CONFIG) == 0.5


def test_run_has_no_loss_until_it_has_ended(pool):
    runs = SharedRuns(pool)
    assert runs.loss(CONFIG) is None
    runs.folder(CONFIG).claim(CONFIG)
    runs.folder(CONFIG).write_metrics([{"val/loss": 0.5}])
    assert runs.loss(CONFIG) is None
    write_finished(runs.folder(CONFIG), CONFIG, 0.25)
    assert runs.loss(CONFIG) == 0.25


def test_run_that_diverged_is_named_and_has_an_infinite_loss(pool):
    write_diverged(RunFolder(pool / "run"), CONFIG)
    runs = SharedRuns(pool)
    assert runs.diverged() == []
    assert runs.loss(CONFIG) == math.inf
    assert [folder.path for folder in runs.diverged()] == [pool / "run"]


def test_finished_run_that_is_not_whole_is_refused(pool):
    run = write_finished(folder_of(pool), CONFIG)
    (run.path / "metrics.csv").unlink()
    match = r"gnn-plain-\w+ is refused: the run has finished, but metrics\.csv is missing; remove"
    with pytest.raises(ValueError, match=match):
        SharedRuns(pool).loss(CONFIG)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "config.json is not readable as JSON"),
        (json.dumps({"model_type": "bert"}), "must be those of this version, got unknown"),
        (json.dumps([1, 2]), "it must hold an object, got a list"),
        (json.dumps({"task": "nbody", "lr": "high"}), "`lr` must be a number"),
    ],
    ids=["not JSON", "another program", "a list", "wrong type"],
)
def test_foreign_folder_is_passed_over_with_a_warning(pool, caplog, content, reason):
    (pool / "foreign").mkdir(parents=True)
    (pool / "foreign" / "config.json").write_text(content)
    RunFolder(pool / "run").claim(CONFIG)
    with caplog.at_level(logging.WARNING):
        runs = SharedRuns(pool)
    assert runs.folder(CONFIG).path == pool / "run"
    assert "foreign is passed over: " in caplog.text
    assert reason in caplog.text


def test_passed_over_folder_is_not_given_out(pool):
    run = write_finished(folder_of(pool), CONFIG)
    (run.path / "results.json").write_text("{")
    runs = SharedRuns(pool)
    match = (
        r"gnn-plain-\w+ is refused: .*results\.json is not readable as JSON.* Remove the folder to"
    )
    with pytest.raises(ValueError, match=match):
        runs.loss(CONFIG)


def test_whole_copy_stands_for_a_passed_over_one(pool):
    run = write_finished(folder_of(pool), CONFIG, 0.5)
    shutil.copytree(run.path, pool / "copy")
    (run.path / "results.json").write_text("{")
    assert SharedRuns(pool).loss(CONFIG) == 0.5


@pytest.mark.parametrize("names", ["ab", "ba"], ids=["whole first", "whole last"])
def test_of_equal_finished_runs_one_that_is_whole_wins(pool, names):
    for name in names:
        write_finished(RunFolder(pool / name), CONFIG)
    whole, cut = names
    (pool / cut / "errors.csv").unlink()
    assert folder_of(pool).path == pool / whole


def test_only_runs_that_are_there_twice_are_read_whole_at_the_start(pool, monkeypatch):
    checked = []
    monkeypatch.setattr(shared_runs, "check_complete", lambda run, _: checked.append(run.path.name))
    other = preset("nbody", "gnn", method="plain", seed=1)
    write_finished(RunFolder(pool / "single"), other)
    for name in "ab":
        write_finished(RunFolder(pool / name), CONFIG)
    SharedRuns(pool)
    assert checked == ["a"]


def test_moved_pool_is_the_same(pool, tmp_path):
    write_finished(folder_of(pool), CONFIG, 0.5)
    shutil.move(pool, tmp_path / "moved")
    assert SharedRuns(tmp_path / "moved").loss(CONFIG) == 0.5
