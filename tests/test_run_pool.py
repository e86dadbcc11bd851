"""Several runs at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from pyg_remul import run_pool
from pyg_remul.presets import preset
from pyg_remul.run_pool import available_cores, train_all

METHODS = ("plain", "remul")
RUNS = {Path(name): preset("nbody", method=name, steps=20, val_every=10) for name in METHODS}


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
def in_process(monkeypatch):
    """Lists the runs instead of training them."""
    trained = []

    def train(options, folder, *, report, resume):
        trained.append((folder, options, resume))
        report(options.steps)
        return {"test": {"mse": float(len(trained))}}

    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", InProcess)
    monkeypatch.setattr(run_pool, "train", train)
    return trained


def test_each_run_is_trained_in_its_folder_and_gives_its_results(in_process):
    results = train_all(RUNS, 1)
    assert in_process == [(folder, options, True) for folder, options in RUNS.items()]
    assert results == {Path("plain"): {"test": {"mse": 1.0}}, Path("remul"): {"test": {"mse": 2.0}}}


def test_error_of_a_run_surfaces(in_process, monkeypatch):
    def fail(options, folder, **arguments):
        raise ValueError(f"{folder.name} holds a run with other options")

    monkeypatch.setattr(run_pool, "train", fail)
    with pytest.raises(ValueError, match="plain holds a run with other options"):
        train_all(RUNS, 1)


def test_bar_counts_the_runs(in_process, capsys):
    train_all(RUNS, 1)
    assert "2/2 runs" in capsys.readouterr().err


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert available_cores() == 7


def test_workers_start_while_interrupts_are_ignored(in_process, monkeypatch):
    handlers = []

    class Watched(InProcess):
        def submit(self, *arguments):
            handlers.append(signal.getsignal(signal.SIGINT))
            return super().submit(*arguments)

    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", Watched)
    before = signal.getsignal(signal.SIGINT)
    train_all(RUNS, 1)
    assert set(handlers) == {signal.SIG_IGN}
    assert signal.getsignal(signal.SIGINT) is before


def test_handler_of_interrupts_is_left_alone_outside_the_main_thread():
    def handler():
        with run_pool._ignored_interrupts():
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
    assert len(list(tmp_path.glob("out/*/config.json"))) == 1
