"""The demo: its plan, its runs and what it writes."""

from __future__ import annotations

import csv
import os
import signal
import statistics
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import matplotlib.image
import pytest
import torch

from pyg_remul import demo
from pyg_remul.config import preset
from pyg_remul.demo import DemoConfig, DemoRow, run_demo

RESULTS = {"test": {"mse": 0.25, "E": 0.5, "E_prime": 0.75}, "ood": {"mse": 1.0}}


class InProcess:
    """A pool that runs one task after the other in this process."""

    def __init__(self, _workers, _context, set_up, arguments):
        handler = signal.getsignal(signal.SIGINT)
        set_up(*arguments[:1], torch.get_num_threads())
        signal.signal(signal.SIGINT, handler)

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **options):
        pass


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
def in_process(monkeypatch):
    """Lists the runs instead of training them."""
    trained = []

    def train(options, folder, **arguments):
        trained.append((options, folder))
        return RESULTS

    monkeypatch.setattr(demo, "ProcessPoolExecutor", InProcess)
    monkeypatch.setattr(demo, "train", train)
    monkeypatch.setattr(demo, "load_task", lambda _: None)
    return trained


def make_row(*values):
    return DemoRow("name", "remul", 1.0, 2, {"id": list(values)})


def test_demo_trains_and_shows_every_method_once(config, small_runs, monkeypatch, capsys):
    monkeypatch.setattr(
        demo, "_available_cores", lambda: 1
    )  # more threads slow a narrow model down
    rows = run_demo(config)
    out = capsys.readouterr().out
    assert (config.out / "demo.md").read_text() in out
    assert f"figure: {config.out / 'demo.png'}" in out
    assert (config.out / "demo.png").stat().st_size > 10_000
    assert matplotlib.image.imread(config.out / "demo.png").ndim == 3
    assert len(list(config.out.glob("*/results.json"))) == len(rows) == 5

    times = {path: path.stat().st_mtime_ns for path in config.out.glob("*/checkpoints/*")}
    monkeypatch.setattr(demo, "ProcessPoolExecutor", InProcess)
    again = run_demo(config)
    assert [row.values for row in again] == [row.values for row in rows]
    assert {path: path.stat().st_mtime_ns for path in config.out.glob("*/checkpoints/*")} == times


def test_plan_holds_every_method(config, in_process):
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


def test_runs_differ_in_their_method_and_seed_alone(config, in_process):
    run_demo(DemoConfig(**{**vars(config), "seeds": 2, "betas": (0.5,), "degrees": 10.0}))
    chosen = ("method", "beta", "num_samples", "seed")
    assert {tuple(getattr(options, name) for name in chosen) for options, _ in in_process} == {
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
        for options, _ in in_process
    ]
    assert len(rest) == 10
    assert all(options == rest[0] for options in rest)
    assert (rest[0]["steps"], rest[0]["degrees"], rest[0]["data"]) == (10, 10.0, config.data)


def test_each_run_has_a_folder_of_its_own(config, in_process):
    run_demo(DemoConfig(**{**vars(config), "seeds": 2, "betas": (0.1, 1.0)}))
    folders = {folder for _, folder in in_process}
    assert len(folders) == len(in_process) == 12
    assert {folder.parent for folder in folders} == {config.out}


def test_runs_are_those_of_the_small_preset(config):
    row = DemoRow("plain", "plain", None, 1, {})
    options, expected = demo._options(config, row, 0), preset("nbody")
    for name in ("model", "hidden_channels", "num_layers", "batch_size", "lr", "num_train"):
        assert getattr(options, name) == getattr(expected, name), name


def test_results_of_all_seeds_are_in_the_table(config, in_process):
    run_demo(DemoConfig(**{**vars(config), "seeds": 2}))
    with (config.out / "demo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1"] * 5
    columns = {(row["id"], row["ood"], row["E"], row["E_prime"]) for row in rows}
    assert columns == {("0.25", "1.0", "0.5", "0.75")}


def test_table_of_one_seed_gives_no_spread(config, in_process):
    run_demo(config)
    line = (config.out / "demo.md").read_text().splitlines()[2]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells == ["Transformer", "1", "250.00", "1000.00", "50.00", "75.00"]


def test_table_gives_mean_and_spread_in_its_units(config, in_process):
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


def test_error_of_a_run_surfaces(config, in_process, monkeypatch):
    def fail(options, folder, **arguments):
        if options.method == "remul":
            raise ValueError(f"{folder.name} holds a run with other options")
        return RESULTS

    monkeypatch.setattr(demo, "train", fail)
    with pytest.raises(ValueError, match="remul-1-1-0 holds a run with other options"):
        run_demo(config)
    assert not (config.out / "demo.md").exists()


def test_bar_counts_the_steps_of_all_runs(config, in_process, capsys):
    run_demo(config)
    assert "50/50" in capsys.readouterr().err


@pytest.mark.parametrize("values", [(1.0, 2.0, 6.0), (0.5, 0.25)], ids=["three", "two"])
def test_row_gives_mean_and_standard_deviation(values):
    row = make_row(*values)
    assert row.mean("id") == pytest.approx(sum(values) / len(values), rel=1e-12)
    assert row.spread("id") == pytest.approx(statistics.stdev(values), rel=1e-12)


def test_one_seed_has_no_spread():
    assert make_row(3.0).spread("id") == 0.0


@pytest.mark.parametrize("option", ["seeds", "steps", "workers"])
def test_number_must_be_positive(option):
    with pytest.raises(ValueError, match=f"`{option}` must be positive, got 0."):
        DemoConfig(**{option: 0})


def test_steps_must_be_a_multiple_of_10():
    with pytest.raises(ValueError, match="`steps` must be a multiple of 10, got 25"):
        DemoConfig(steps=25)


def test_workers_are_the_cores_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert demo._available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert demo._available_cores() == 7


def test_workers_start_while_interrupts_are_ignored(config, in_process, monkeypatch):
    handlers = []

    class Watched(InProcess):
        def submit(self, *arguments):
            handlers.append(signal.getsignal(signal.SIGINT))
            return super().submit(*arguments)

    monkeypatch.setattr(demo, "ProcessPoolExecutor", Watched)
    before = signal.getsignal(signal.SIGINT)
    run_demo(config)
    assert set(handlers) == {signal.SIG_IGN}
    assert signal.getsignal(signal.SIGINT) is before


def test_handler_of_interrupts_is_left_alone_outside_the_main_thread():
    def handler():
        with demo._ignored_interrupts():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(handler).result() is signal.getsignal(signal.SIGINT)


def test_interruption_ends_all_processes_at_once(tmp_path):
    arguments = ["--steps", "100000", "--seeds", "1", "--workers", "1"]
    folders = ["--out", str(tmp_path / "out"), "--data", str(tmp_path / "data")]
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += f"from pyg_remul.cli import main; main({['demo', *arguments, *folders]})"
    with subprocess.Popen(
        [sys.executable, "-c", script], stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while not list(tmp_path.glob("out/*/config.json")):
            assert process.poll() is None
            process.stderr.read1()  # the bar, which moves a few times a second
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=60)  # ends when the last of the processes has ended
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_demo_has_a_folder_by_default():
    assert DemoConfig().out == Path("runs/demo")
