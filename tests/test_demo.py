"""The demo: its plan, its runs and what it writes."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib.image
import pytest

from pyg_remul import demo, run_pool
from pyg_remul.demo import DemoConfig, run_demo
from pyg_remul.demo_results import DemoRow
from pyg_remul.presets import preset

RESULTS = {"test": {"mse": 0.25, "E": 0.5, "E_prime": 0.75}, "ood": {"mse": 1.0}}


@pytest.fixture
def config(tmp_path):
    return DemoConfig(
        out=tmp_path / "demo", data=tmp_path / "data", betas=(1.0,), seeds=1, steps=10, workers=1
    )


@pytest.fixture
def small_runs(monkeypatch):
    """Makes every run of the demo a short one of a narrow model."""
    options = demo._options

    def shrink(config, row, seed):
        full = options(config, row, seed)
        sizes = {"hidden_channels": 8, "num_layers": 1, "heads": 2, "num_eval": 8}
        return type(full)(**{**vars(full), **sizes})

    monkeypatch.setattr(demo, "_options", shrink)


@pytest.fixture
def planned(monkeypatch):
    """Lists the runs instead of training them."""
    plans = {}

    def train_all(runs, workers):
        plans.update(runs)
        return dict.fromkeys(runs, RESULTS)

    monkeypatch.setattr(demo, "train_all", train_all)
    monkeypatch.setattr(demo, "load_task", lambda _: None)
    return plans


def test_demo_trains_and_shows_every_method_once(config, small_runs, monkeypatch, capsys):
    monkeypatch.setattr(run_pool, "available_cores", lambda: 1)  # threads slow a narrow model down
    rows = run_demo(config)
    out = capsys.readouterr().out
    assert (config.out / "demo.md").read_text() in out
    assert f"figure: {config.out / 'demo.png'}" in out
    assert (config.out / "demo.png").stat().st_size > 10_000
    assert matplotlib.image.imread(config.out / "demo.png").ndim == 3
    assert len(list(config.out.glob("*/results.json"))) == len(rows) == 5

    times = {path: path.stat().st_mtime_ns for path in config.out.glob("*/checkpoints/*")}
    again = run_demo(config)
    assert [row.values for row in again] == [row.values for row in rows]
    assert {path: path.stat().st_mtime_ns for path in config.out.glob("*/checkpoints/*")} == times


def test_plan_holds_every_method(config, planned):
    config = DemoConfig(**{**vars(config), "betas": (0.1, 10.0)})
    rows = [(row.method, row.beta, row.passes) for row in run_demo(config)]
    assert rows == [
        ("plain", None, 1),
        ("augmentation", None, 1),
        ("augmentation", None, 2),
        ("remul", 0.1, 2),
        ("remul", 10.0, 2),
        ("gradnorm", 1.0, 2),
    ]


def test_runs_differ_in_their_method_and_seed_alone(config, planned):
    run_demo(DemoConfig(**{**vars(config), "seeds": 2, "betas": (0.5,), "degrees": 10.0}))
    chosen = ("method", "beta", "num_samples", "seed")
    assert {tuple(getattr(options, name) for name in chosen) for options in planned.values()} == {
        (*method, seed)
        for method in (
            ("plain", 1.0, 1),
            ("augmentation", 1.0, 1),
            ("augmentation", 1.0, 2),
            ("remul", 0.5, 1),
            ("gradnorm", 1.0, 1),
        )
        for seed in (0, 1)
    }
    rest = [
        {name: value for name, value in vars(options).items() if name not in chosen}
        for options in planned.values()
    ]
    assert len(rest) == 10
    assert all(options == rest[0] for options in rest)
    assert (rest[0]["steps"], rest[0]["degrees"], rest[0]["data"]) == (10, 10.0, config.data)


def test_each_run_has_a_folder_of_its_own(config, planned):
    run_demo(DemoConfig(**{**vars(config), "seeds": 2, "betas": (0.1, 1.0)}))
    folders = set(planned)
    assert len(folders) == len(planned) == 12
    assert {folder.parent for folder in folders} == {config.out}


def test_runs_are_those_of_the_small_preset(config):
    row = DemoRow("plain", "plain", None, 1, {})
    options, expected = demo._options(config, row, 0), preset("nbody")
    for name in ("model", "hidden_channels", "num_layers", "batch_size", "lr", "num_train"):
        assert getattr(options, name) == getattr(expected, name), name


def test_results_of_all_seeds_are_in_the_table(config, planned):
    run_demo(DemoConfig(**{**vars(config), "seeds": 2}))
    with (config.out / "demo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1"] * 5
    columns = {(row["id"], row["ood"], row["E"], row["E_prime"]) for row in rows}
    assert columns == {("0.25", "1.0", "0.5", "0.75")}


def test_table_of_one_seed_gives_no_spread(config, planned):
    run_demo(config)
    line = (config.out / "demo.md").read_text().splitlines()[2]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells == ["Transformer", "1", "250.00", "1000.00", "50.00", "75.00"]


def test_table_gives_mean_and_spread_in_its_units(config, planned):
    run_demo(DemoConfig(**{**vars(config), "seeds": 2}))
    lines = (config.out / "demo.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == ["", "passes", "MSE ID (1e-3)", "MSE OOD (1e-3)", "E (1e-2)", "E' (1e-2)"]
    assert cells[2] == [
        "Transformer",
        "1",
        "250.00 ± 0.00",
        "1000.00 ± 0.00",
        "50.00 ± 0.00",
        "75.00 ± 0.00",
    ]


@pytest.mark.parametrize("option", ["seeds", "steps", "workers"])
def test_number_must_be_positive(option):
    with pytest.raises(ValueError, match=f"`{option}` must be positive, got 0."):
        DemoConfig(**{option: 0})


def test_steps_must_be_a_multiple_of_10():
    with pytest.raises(ValueError, match="`steps` must be a multiple of 10, got 25"):
        DemoConfig(steps=25)


def test_demo_has_a_folder_by_default():
    assert DemoConfig().out == Path("runs/demo")


def test_file_is_refused_before_data_are_simulated(config):
    config.out.touch()
    with pytest.raises(NotADirectoryError, match=r"`out` must be a folder, got .*demo is a file"):
        run_demo(config)
    assert not config.data.exists()
