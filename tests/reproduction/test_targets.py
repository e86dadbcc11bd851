"""Every table and figure, at the smallest scale."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from typing import get_args

import ase.build
import numpy as np
import pytest
from in_process import InProcess
from synthetic import make_diverged, make_outcome

from pyg_remul import run_pool
from pyg_remul.datasets._mocap_splits import MOTIONS
from pyg_remul.reproduction import targets
from pyg_remul.reproduction.catalogue import nbody_study
from pyg_remul.reproduction.engine import carry_out
from pyg_remul.reproduction.landscape import LandscapeOptions
from pyg_remul.reproduction.settings import Reproduction, TargetName
from pyg_remul.reproduction.targets import TARGETS

TABLES = {"table.md", "table.csv"}
FIGURES = {f"{name}.{kind}" for name in ("figure", "figure-E-prime") for kind in ("png", "svg")}
FILES = {
    "table1-run": TABLES,
    "table1-walk": TABLES,
    "table1-mlp": TABLES,
    "table2": TABLES,
    "fig-nbody": TABLES | FIGURES,
    "fig-mocap": TABLES | FIGURES,
    "fig-md17": TABLES | FIGURES,
    "fig-samples": TABLES | FIGURES,
}
PARENTS = {6: 0, 11: 0, 17: 13, 24: 13, 23: 20, 30: 27}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all targets find data and share their runs."""
    root = tmp_path_factory.mktemp("reproduce")
    random = np.random.default_rng(0)
    bones = [[child, PARENTS.get(child, child - 1)] for child in range(1, 31)]
    for motion in MOTIONS.values():
        frames = (motion.window + 40, 31, 3)
        trials = [random.normal(size=frames).cumsum(axis=0) for _ in range(23)]
        path = root / "data" / "mocap" / "raw" / motion.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps((bones, trials)))
    atoms = ase.build.molecule("CH3CH2OH")
    moving = atoms.positions + 0.02 * random.normal(size=(1000, len(atoms), 3))
    content = {"R": moving, "E": np.zeros((1000, 1)), "z": atoms.numbers}
    (root / "data" / "md17" / "raw").mkdir(parents=True)
    np.savez(root / "data" / "md17" / "raw" / "ethanol_xtb.npz", **content)
    return root


def with_first_settings(study, *arguments):
    """Carries out a study without a choice among settings."""
    methods = [
        dataclasses.replace(method, settings=method.settings[:1]) for method in study.methods
    ]
    return carry_out(dataclasses.replace(study, methods=tuple(methods)), *arguments)


@pytest.fixture
def settings(folder, own_recordings, monkeypatch):
    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", InProcess)
    monkeypatch.setattr(targets, "carry_out", with_first_settings)
    return Reproduction(
        scale="smoke",
        out=folder / "out",
        data=folder / "data",
        source="xtb",
        molecules=("ethanol",),
        delta=30,
        workers=1,
    )


def test_every_target_has_its_entry():
    assert list(TARGETS) == list(get_args(TargetName))


@pytest.mark.parametrize("name", FILES)
def test_study_gives_tables_and_figures(settings, tmp_path, capsys, name):
    TARGETS[name](settings, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES[name]
    assert (tmp_path / "table.md").read_text() in capsys.readouterr().out


def test_figure_against_the_weight_has_no_model_with_rates_of_its_own(
    settings, tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr(targets, "plot_beta", lambda outcomes, *_: shown.extend(outcomes))
    TARGETS["fig-nbody"](settings, tmp_path)
    plain = [outcome.method.control for outcome in shown if outcome.method.kind == "plain"]
    assert plain
    assert all(plain)
    assert {"remul", "gradnorm", "rival"} < {outcome.method.kind for outcome in shown}


def test_loss_surfaces_are_those_of_all_seeds(settings, tmp_path, monkeypatch):
    calls = []

    def report(checkpoints, folder, **options):
        calls.append((checkpoints, folder, options))
        return ""

    monkeypatch.setattr(targets, "report_loss_surfaces", report)
    TARGETS["fig-loss-surface"](settings, tmp_path)
    ((checkpoints, folder, options),) = calls
    assert list(checkpoints) == ["Transformer", "+ augmentation", "+ REMUL", "GATr"]
    assert all(path.is_file() and path.name == "best.ckpt" for (path,) in checkpoints.values())
    assert options["surface_seeds"] == 1
    assert folder == tmp_path
    assert options["data"] == settings.data
    assert options["options"] == LandscapeOptions(num_points=5, num_pairs=1)
    for said in ("all rotations. Data: simulated", "; + REMUL: beta ", "; GATr: lr "):
        assert said in options["caption"]


@pytest.fixture
def surfaces(monkeypatch):
    """Gives what is reported, and the cases that were carried out, when methods have no runs."""

    def draw(settings, folder, *diverged):
        calls, cases = [], []

        def carry(study, *_):
            cases.extend(study.cases)
            return [
                make_diverged(case, method, chosen=True)
                if method.name in diverged
                else make_outcome(folder / "runs", case, method, seeds=1)
                for case in study.cases
                for method in study.methods
            ]

        monkeypatch.setattr(targets, "carry_out", carry)
        monkeypatch.setattr(
            targets, "report_loss_surfaces", lambda found, *_, **__: calls.append(found)
        )
        TARGETS["fig-loss-surface"](settings, folder)
        return calls, cases

    return draw


def test_loss_surfaces_are_those_of_the_first_case(settings, tmp_path, surfaces):
    _, cases = surfaces(settings, tmp_path)
    assert cases == list(nbody_study(settings.scale, settings.seeds).cases[:1])


def test_method_whose_runs_diverged_has_no_loss_surface(settings, tmp_path, surfaces, caplog):
    with caplog.at_level(logging.WARNING):
        ((found,), _) = surfaces(settings, tmp_path, "+ REMUL")
    assert list(found) == ["Transformer", "+ augmentation", "GATr"]
    assert "+ REMUL has no loss surface: runs of all its settings diverged." in caplog.text


def test_no_loss_surface_is_drawn_where_all_runs_diverged(settings, tmp_path, surfaces):
    calls, _ = surfaces(settings, tmp_path, "Transformer", "+ augmentation", "+ REMUL", "GATr")
    assert calls == []


@pytest.mark.parametrize(
    ("target", "report"),
    [("fig-complexity", "report_complexity"), ("fig-molecules", "draw_molecules")],
)
def test_target_without_training_has_its_folder(settings, tmp_path, monkeypatch, target, report):
    folders = []
    monkeypatch.setattr(targets, report, lambda folder, *_, **__: folders.append(folder))
    TARGETS[target](settings, tmp_path)
    assert folders == [tmp_path]


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_compilation_leaves_the_runs_what_they_are(settings, tmp_path, monkeypatch, compiled):
    studies = []

    def note(study, *places):
        studies.append((study, places))
        return []

    monkeypatch.setattr(targets, "carry_out", note)
    monkeypatch.setattr(targets, "write_tables", lambda *_: "")
    TARGETS["table2"](dataclasses.replace(settings, compile=compiled), tmp_path)
    ((study, places),) = studies
    case, method = study.cases[0], study.methods[0]
    config = study.config(case, method, method.settings[0], seed=0, data=settings.data)
    assert config.compile is compiled
    assert "compile" not in config.identity()
    assert places == (settings.runs, settings.data, 1)
