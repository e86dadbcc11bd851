"""Several training runs at a time, each in a process and a folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty

from pyg_remul.config import TrainConfig
from pyg_remul.divergence import DivergenceError
from pyg_remul.run_costs import RunCosts
from pyg_remul.run_folder import RunFolder
from pyg_remul.run_progress import RunProgress
from pyg_remul.run_worker import Ending, Report, Results, set_up, train_run

__all__ = ["Plan", "available_cores", "train_all", "train_by_plan"]


@dataclass(frozen=True)
class Plan:
    """What is left to train."""

    ready: Mapping[Path, TrainConfig]
    """Runs that can begin, by their folders, the first ones first."""
    later: Mapping[Path, TrainConfig] = field(default_factory=dict)
    """About what will follow when these have finished, some of these perhaps among it."""


def available_cores() -> int:
    """The cores that this process may use, which a batch system may have limited."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def train_all(runs: Mapping[Path, TrainConfig], workers: int) -> dict[Path, Results]:
    """Trains all runs in a pool of processes, with a bar over all of them.

    Interrupted and called again, it goes on where it was. An interruption, or the error of one
    run, ends all processes at once.

    Args:
        runs: The options of each run by its folder.
        workers: Runs at a time.

    Returns:
        The results of each run by its folder, as :func:`~pyg_remul.experiment.train` gives them.

    Raises:
        DivergenceError: If runs diverged, after the others have finished.
        ValueError: If a folder holds a run with other options.
    """
    results: dict[Path, Results] = {}
    diverged: dict[Path, DivergenceError] = {}

    def plan() -> Plan:
        done = results.keys() | diverged.keys()
        return Plan({folder: runs[folder] for folder in runs if folder not in done})

    def finish(folder: Path, ending: Ending) -> None:
        if isinstance(ending, DivergenceError):
            diverged[folder] = ending
        else:
            results[folder] = ending

    train_by_plan(plan, workers, finish=finish)
    for error in diverged.values():
        raise error
    return {folder: results[folder] for folder in runs}


def train_by_plan(
    plan: Callable[[], Plan],
    workers: int,
    costs: RunCosts | None = None,
    finish: Callable[[Path, Ending], object] | None = None,
) -> None:
    """Trains runs of which some depend on the results of others, until none is left.

    Several processes may do so in the same folders: a run that another one trains is put off, and
    waited for at the end.

    Args:
        plan: Says what is left; called after every run that has finished.
        workers: Runs at a time.
        costs: Where the time of steps is noted.
        finish: Called with the folder of each run and its results, or how it diverged.

    Raises:
        ChildProcessError: If a worker is ended from outside.
        ValueError: If a folder holds a run with other options.
    """
    current = plan()
    if not current.ready:
        return
    with _processes(workers) as (pool, reports), closing(RunProgress(costs or RunCosts())) as bar:
        crew = _Crew(pool, workers)
        while current.ready or crew.running:
            crew.begin(current.ready)
            left = {**current.ready, **current.later}
            bar.show(crew.running, [left[folder] for folder in left if folder not in crew])
            with suppress(Empty):
                folder, step = reports.get(timeout=0.2)
                if folder in crew:  # not a report that its end has overtaken
                    bar.note(folder, crew.running[folder], step)
            for folder, options, ending in crew.ended():
                bar.finish(folder, options, RunFolder(folder).last_step())
                if finish is not None:
                    finish(folder, ending)
                current = plan()
        bar.show({}, [])


class _Crew:
    """The runs under way.

    Args:
        pool: The processes.
        workers: Runs at a time.
    """

    def __init__(self, pool: ProcessPoolExecutor, workers: int) -> None:
        self.pool, self.workers = pool, workers
        self.running: dict[Path, TrainConfig] = {}
        self._futures: dict[Path, Future[Ending | None]] = {}
        self._put_off: set[Path] = set()

    def __contains__(self, folder: Path) -> bool:
        return folder in self.running

    def begin(self, ready: Mapping[Path, TrainConfig]) -> None:
        """Gives the first runs to free workers; those that other processes train come last."""
        waiting = sorted((folder for folder in ready if folder not in self), key=self._late)
        for folder in waiting[: self.workers - len(self.running)]:
            self.running[folder] = ready[folder]
            # a worker inherits that interrupts are ignored, for the time of its imports
            with _ignored_interrupts(), _named_failures(folder):
                self._futures[folder] = self.pool.submit(
                    train_run, ready[folder], folder, self._late(folder)
                )

    def ended(self) -> Iterator[tuple[Path, TrainConfig, Ending]]:
        """Gives the runs that have ended; raises what a run raised."""
        for folder in [folder for folder, future in self._futures.items() if future.done()]:
            options = self.running.pop(folder)
            with _named_failures(folder):
                ending = self._futures.pop(folder).result()
            if ending is None:
                self._put_off.add(folder)
            else:
                yield folder, options, ending

    def _late(self, folder: Path) -> bool:
        return folder in self._put_off


@contextmanager
def _named_failures(folder: Path) -> Iterator[None]:
    """Has failures of the machine say in which run they were."""
    try:
        yield
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "A process that trained was ended from outside, as when memory runs out, in or beside "
            f"{folder}; the same command goes on."
        ) from error
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error


@contextmanager
def _processes(workers: int) -> Iterator[tuple[ProcessPoolExecutor, Queue[Report]]]:
    """A pool of processes and the queue of their reports; an error ends them at once."""
    context = multiprocessing.get_context("spawn")
    reports: Queue[Report] = context.Queue()
    threads = max(1, available_cores() // workers)
    pool = ProcessPoolExecutor(workers, context, set_up, (reports, threads))
    others = multiprocessing.active_children()
    try:
        yield pool, reports
    except BaseException:
        for worker in multiprocessing.active_children():
            if worker not in others:
                worker.kill()  # Lightning would answer a gentler signal at its next step
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Ignores Ctrl-C, as far as this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
