"""Several runs at a time."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import ClassVar

import pytest
from in_process import InProcess

from pyg_remul import run_pool, run_worker
from pyg_remul.divergence import DivergenceError
from pyg_remul.files import locked
from pyg_remul.presets import preset
from pyg_remul.run_folder import RunFolder
from pyg_remul.run_pool import Plan, available_cores, train_all, train_by_plan
from pyg_remul.run_progress import RunProgress

METHODS = ("plain", "remul")
RUNS = {Path(name): preset("nbody", method=name, steps=20, val_every=10) for name in METHODS}


@pytest.fixture
def in_process(monkeypatch, tmp_path):
    """Lists the runs instead of training them."""
    trained = []
    monkeypatch.chdir(tmp_path)

    def train(options, folder, *, report, resume):
        trained.append((folder, options, resume))
        report(options.steps)
        return {"test": {"mse": float(len(trained))}}

    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", InProcess)
    monkeypatch.setattr(run_worker, "train", train)
    return trained


def test_each_run_is_trained_in_its_folder_and_gives_its_results(in_process):
    results = train_all(RUNS, 1)
    assert in_process == [(folder, options, True) for folder, options in RUNS.items()]
    assert results == {Path("plain"): {"test": {"mse": 1.0}}, Path("remul"): {"test": {"mse": 2.0}}}


def test_error_of_a_run_surfaces(in_process, monkeypatch):
    def fail(options, folder, **arguments):
        raise ValueError(f"{folder.name} holds a run with other options")

    monkeypatch.setattr(run_worker, "train", fail)
    with pytest.raises(ValueError, match="plain holds a run with other options"):
        train_all(RUNS, 1)


@pytest.mark.usefixtures("in_process")
def test_worker_that_is_ended_from_outside_is_told(monkeypatch):
    def end(options, folder, **arguments):
        raise BrokenProcessPool("A process was terminated abruptly.")

    monkeypatch.setattr(run_worker, "train", end)
    with pytest.raises(ChildProcessError, match=r"ended from outside, .* the same command goes on"):
        train_all(RUNS, 1)


def test_divergence_of_a_run_surfaces_after_the_others(in_process, monkeypatch):
    begun = []

    def diverge(options, folder, **arguments):
        begun.append(folder.name)
        if folder.name == "plain":
            raise DivergenceError(folder, "after 4 steps, the weights are not finite.")
        return {}

    monkeypatch.setattr(run_worker, "train", diverge)
    with pytest.raises(DivergenceError, match=r"run in plain diverged: after 4 steps, the weights"):
        train_all(RUNS, 1)
    assert begun == ["plain", "remul"]


def follow(runs, *, after=None, workers=1):
    """Trains by a plan that has further runs once others have ended; gives the endings."""
    endings = {}

    def plan():
        known = dict(runs) | ((after or {}) if len(endings) >= len(runs) else {})
        return Plan({folder: known[folder] for folder in known if folder not in endings})

    train_by_plan(plan, workers, finish=endings.__setitem__)
    return endings


def test_plan_may_grow_with_what_has_ended(in_process):
    later = {Path("later"): preset("nbody", method="plain", steps=20, val_every=10, seed=1)}
    assert list(follow(RUNS, after=later)) == [*RUNS, Path("later")]
    assert [folder for folder, _, _ in in_process] == [*RUNS, Path("later")]


def test_divergence_is_an_ending(in_process, monkeypatch):
    def diverge(options, folder, **arguments):
        raise DivergenceError(folder, "at once")

    monkeypatch.setattr(run_worker, "train", diverge)
    assert [str(ending) for ending in follow(RUNS).values()] == [
        "The run in plain diverged: at once",
        "The run in remul diverged: at once",
    ]


def test_nothing_is_started_for_an_empty_plan(monkeypatch, capsys):
    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", None)
    train_by_plan(lambda: Plan({}), 1)
    assert capsys.readouterr().err == ""


def test_run_that_another_process_trains_comes_last(in_process, monkeypatch):
    with ExitStack() as other:
        other.enter_context(locked(Path("plain")))
        train = run_worker.train

        def release(options, folder, **arguments):
            other.close()
            return train(options, folder, **arguments)

        monkeypatch.setattr(run_worker, "train", release)
        follow(RUNS)
    assert [folder.name for folder, _, _ in in_process] == ["remul", "plain"]


def test_leftovers_of_a_process_that_was_killed_are_removed(in_process):
    leftover = Path("plain") / "checkpoints" / f".last.{'0' * 32}.ckpt"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    train_all(RUNS, 1)
    assert not leftover.exists()


def test_end_of_a_run_comes_with_the_step_of_its_last_validation(in_process, monkeypatch):
    ends = []
    monkeypatch.setattr(RunProgress, "finish", lambda _, *end: ends.append(end))
    for folder in RUNS:
        RunFolder(folder).write_metrics([{"step": 10, "val/loss": 1.0}])
    train_all(RUNS, 1)
    assert ends == [(folder, options, 10) for folder, options in RUNS.items()]


def test_bar_counts_the_runs(in_process, capsys):
    train_all(RUNS, 1)
    assert "2/2 runs" in capsys.readouterr().err


class Held:
    """A pool of processes whose runs end together, as soon as it is asked whether one has."""

    made: ClassVar = []

    def __init__(self, _workers, _context, set_up, arguments):
        self.set_up, self.reports, self.threads = set_up, *arguments
        self.under_way, self.most = [], 0
        self.made.append(self)

    def submit(self, _function, _options, folder, _late):
        self.reports.put((folder, 5))
        self.under_way.append(folder)
        self.most = max(self.most, len(self.under_way))
        return self

    def done(self):
        return True

    def result(self):
        self.under_way.pop()
        return {"test": {"mse": 0.0}}

    def shutdown(self, **options):
        pass


@pytest.fixture
def held(monkeypatch, tmp_path):
    """The pools that were made, whose runs are under way together."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Held, "made", [])
    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", Held)
    return Held.made


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_as_many_runs_as_workers_are_under_way(held, workers):
    runs = {Path(f"{n}"): preset("nbody", seed=n) for n in range(4)}
    follow(runs, workers=workers)
    assert [pool.most for pool in held] == [workers]


@pytest.mark.parametrize(("workers", "threads"), [(1, 6), (2, 3), (4, 1), (9, 1)])
def test_workers_share_the_cores(held, monkeypatch, workers, threads):
    monkeypatch.setattr(run_pool, "available_cores", lambda: 6)
    follow(RUNS, workers=workers)
    assert [(pool.set_up, pool.threads) for pool in held] == [(run_worker.set_up, threads)]


def test_bar_shows_what_is_under_way_and_all_that_is_left(held, monkeypatch):
    shown, noted = [], []
    monkeypatch.setattr(
        RunProgress, "show", lambda _, running, left: shown.append((list(running), list(left)))
    )
    monkeypatch.setattr(RunProgress, "note", lambda _, *report: noted.append(report))
    plain, remul = RUNS.values()
    other = preset("nbody", seed=1)
    plans = iter([Plan(RUNS, {Path("remul"): remul, Path("other"): other})])
    train_by_plan(lambda: next(plans, Plan({})), 1)
    assert shown[0] == ([Path("plain")], [remul, other])
    assert noted[0] == (Path("plain"), plain, 5)


@pytest.mark.usefixtures("in_process")
def test_pool_that_breaks_between_runs_is_told(monkeypatch):
    class Broken(InProcess):
        def submit(self, *_arguments):
            raise BrokenProcessPool("A child process terminated abruptly.")

    monkeypatch.setattr(run_pool, "ProcessPoolExecutor", Broken)
    with pytest.raises(ChildProcessError, match=r"ended from outside, .* in or beside plain; the"):
        train_all(RUNS, 1)


@pytest.mark.usefixtures("in_process")
def test_full_disk_is_told_with_the_run(monkeypatch):
    def fail(options, folder, **arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_worker, "train", fail)
    with pytest.raises(OSError, match=r"No space left on device: 'plain'"):
        train_all(RUNS, 1)


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
