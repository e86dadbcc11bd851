"""The engine that carries out studies."""

from __future__ import annotations

import dataclasses
import logging
import math
import re
import shutil

import pytest
from in_process import InProcess
from synthetic import XTB
from tiny_studies import NBODY, SWEPT, TUNED, tiny_study, write_finished

from pyg_remul import run_pool, run_worker
from pyg_remul.reproduction import engine
from pyg_remul.reproduction.engine import carry_out
from pyg_remul.reproduction.shared_runs import SharedRuns
from pyg_remul.reproduction.study import Case, Method
from pyg_remul.run_folder import RunFolder

SINGLE = Method(name="GNN", kind="plain", options={"model": "gnn", "method": "plain"})
GATR = Method(name="GATr", kind="rival", options={"model": "gatr", "method": "plain"})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def trained(monkeypatch):
    """Trains in this process and lists the runs."""
    calls, train = [], run_worker.train

    def note(options, folder, **arguments):
        calls.append((options, folder))
        return train(options, folder, **arguments)

    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", InProcess)
    monkeypatch.setattr(run_worker, "train", note)
    return calls


@pytest.fixture
def planned(monkeypatch):
    """Finishes runs without training them and lists them."""
    calls = []

    def finish(options, folder, **arguments):
        calls.append(options)
        return write_finished(RunFolder(folder), options, options.lr).results()

    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", InProcess)
    monkeypatch.setattr(run_worker, "train", finish)
    monkeypatch.setattr(engine, "load_task", lambda _: None)
    monkeypatch.setattr(engine, "provenance_of", lambda _: XTB)
    return calls


def summary(outcomes):
    return [
        (o.method, o.setting, o.validation, o.chosen, [run.path for run in o.runs], o.values("E"))
        for o in outcomes
    ]


def test_study_has_the_outcomes_of_its_runs(trained, data, tmp_path):
    outcomes = carry_out(tiny_study(), tmp_path, data, workers=1)
    assert len(trained) == (2 + 2) + (2 + 4)  # trials and full runs of both methods
    assert [(o.method, o.setting) for o in outcomes] == [
        (method, setting) for method in (TUNED, SWEPT) for setting in method.settings
    ]
    for chosen in (outcome for outcome in outcomes if outcome.chosen):
        assert len(chosen.values("ood")) == len(chosen.values("E")) == 2
        assert chosen.graph_errors().shape == (2, 4)


def test_outcomes_read_the_data_of_the_study(planned, data, tmp_path):
    outcomes = carry_out(tiny_study(SINGLE), tmp_path, data, workers=1)
    assert [outcome.data for outcome in outcomes] == [data]


def test_finished_study_is_not_repeated(trained, data, tmp_path, capsys):
    first = carry_out(tiny_study(TUNED), tmp_path, data, workers=1)
    trained.clear()
    capsys.readouterr()
    again = carry_out(tiny_study(TUNED), tmp_path, data, workers=1)
    assert summary(again) == summary(first)
    assert not trained
    assert capsys.readouterr().err == ""


def test_runs_that_are_there_are_taken_over(trained, data, tmp_path):
    carry_out(tiny_study(SINGLE), tmp_path / "theirs", data, workers=1)
    shutil.copytree(tmp_path / "theirs", tmp_path / "ours" / "copied")
    trained.clear()
    study = tiny_study(SINGLE, seeds=3)
    (outcome,) = carry_out(study, tmp_path / "ours", data, workers=1)
    assert [options.seed for options, _ in trained] == [2]
    places = [run.path.parent.name for run in outcome.runs]
    assert places == ["copied", "copied", "ours"]


def test_run_that_diverges_does_not_end_the_study(trained, data, tmp_path, caplog):
    settings = ({"lr": 1e38}, {"lr": 1e-3})
    study = tiny_study(dataclasses.replace(TUNED, settings=settings))
    with caplog.at_level(logging.WARNING):
        outcomes = carry_out(study, tmp_path, data, workers=1)
    assert [(o.chosen, len(o.runs)) for o in outcomes] == [(False, 0), (True, 2)]
    assert outcomes[0].validation == math.inf
    assert "diverged: after 2 steps, the weights are not finite." in caplog.text
    trained.clear()
    assert summary(carry_out(study, tmp_path, data, workers=1)) == summary(outcomes)
    assert not trained


def test_other_error_ends_the_study(trained, data, tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ValueError("bad data")

    monkeypatch.setattr(run_worker, "train", fail)
    with pytest.raises(ValueError, match="bad data"):
        carry_out(tiny_study(), tmp_path, data, workers=1)


def test_trials_come_first_and_the_longest_runs_next(planned, data, tmp_path):
    carry_out(tiny_study(SWEPT, GATR, TUNED, seeds=1), tmp_path, data, workers=1)
    assert [(options.model, options.method, options.steps) for options in planned] == [
        *[("gnn", "remul", 4)] * 2,
        *[("gnn", "plain", 4)] * 2,
        ("gatr", "plain", 8),
        ("gnn", "remul", 8),
        ("gnn", "remul", 8),
        ("gnn", "plain", 8),
    ]


def change_data(folder, source):
    folder.write_data({**(folder.data() or {}), "source": source})


def test_trial_of_other_data_is_refused(planned, data, tmp_path):
    outcomes = carry_out(tiny_study(TUNED), tmp_path, data, workers=1)
    trial = tiny_study(TUNED).trial(NBODY, TUNED, {"lr": 1e-2}, data=data)
    change_data(outcomes[0].runs[0], "simulated")
    change_data(SharedRuns(tmp_path).folder(trial), "recorded")
    with pytest.raises(ValueError, match=r"of N-body must be of the same data, but `source` is 'r"):
        carry_out(tiny_study(TUNED), tmp_path, data, workers=1)


def test_runs_of_other_data_than_those_at_hand_are_refused_before_training(planned, data, tmp_path):
    (outcome,) = carry_out(tiny_study(SINGLE), tmp_path, data, workers=1)
    change_data(outcome.runs[0], "recorded")
    planned.clear()
    with pytest.raises(
        ValueError, match=r"`source` is 'recorded' in .*-plain-.* and \"GFN2-xTB .* in the data"
    ):
        carry_out(tiny_study(SINGLE, seeds=3), tmp_path, data, workers=1)
    assert not planned


def test_cases_may_be_of_different_data(planned, data, tmp_path):
    other = Case(name="larger", options={"task": "nbody", "num_train": 9})
    study = dataclasses.replace(tiny_study(SINGLE), cases=(NBODY, other), options={})
    outcomes = carry_out(study, tmp_path, data, workers=1)
    for outcome in outcomes:
        for run in outcome.runs:
            change_data(run, outcome.case.name)
    carry_out(study, tmp_path, data, workers=1)


def test_runs_that_cases_share_are_counted_once(planned, data, tmp_path, capsys):
    study = tiny_study(TUNED, SWEPT, tuning=1.0)
    copy = dataclasses.replace(NBODY, name="the same again")
    carry_out(dataclasses.replace(study, cases=(NBODY, copy)), tmp_path, data, workers=1)
    shown = capsys.readouterr().err
    assert len(planned) == len({id(options) for options in planned}) == 2 + 1 + 2 + 2
    assert set(re.findall(r"/(\d+) runs", shown)) == {"7"}


def test_data_are_prepared_once(planned, data, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(engine, "load_task", loaded.append)
    other = Case(name="larger", options={"task": "nbody", "num_train": 9})
    study = dataclasses.replace(tiny_study(), cases=(NBODY, other), options={})
    carry_out(study, tmp_path, data, workers=1)
    assert [config.num_train for config in loaded] == [None, 9]
    loaded.clear()
    carry_out(study, tmp_path, data, workers=1)
    assert not loaded
