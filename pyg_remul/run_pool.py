"""Several training runs at a time, each in a process and a folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any, TypeAlias

import torch
from tqdm import tqdm

from pyg_remul.config import TrainConfig
from pyg_remul.experiment import train

__all__ = ["available_cores", "train_all"]

_REPORT_EVERY = 25
_Results: TypeAlias = dict[str, Any]


def available_cores() -> int:
    """The cores that this process may use, which a batch system may have limited."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def train_all(runs: Mapping[Path, TrainConfig], workers: int) -> dict[Path, _Results]:
    """Trains all runs in a pool of processes, with a bar over the steps of all of them.

    Interrupted and called again, it goes on where it was. An interruption, or the error of one
    run, ends all processes at once.

    Args:
        runs: The options of each run by its folder.
        workers: Runs at a time.

    Returns:
        The results of each run by its folder, as :func:`~pyg_remul.experiment.train` gives them.

    Raises:
        ValueError: If a folder holds a run with other options.
    """
    context = multiprocessing.get_context("spawn")
    steps: Queue[tuple[Path, int]] = context.Queue()
    threads = max(1, available_cores() // workers)
    pool = ProcessPoolExecutor(workers, context, _set_up, (steps, threads))
    others = multiprocessing.active_children()
    try:
        with _ignored_interrupts():  # which the workers inherit, for the time of their imports
            futures = {folder: pool.submit(_train, runs[folder], folder) for folder in runs}
        _watch(list(futures.values()), steps, sum(options.steps for options in runs.values()))
        return {folder: future.result() for folder, future in futures.items()}
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


def _watch(futures: Sequence[Future[_Results]], steps: Queue[tuple[Path, int]], total: int) -> None:
    done: dict[Path, int] = {}
    with tqdm(total=total, desc=f"{len(futures)} runs", unit="step", dynamic_ncols=True) as bar:
        while True:
            finished = [future for future in futures if future.done()]
            for future in finished:
                future.result()  # raises what a run raised, at once
            try:
                run, step = steps.get(timeout=0.2)
            except Empty:
                if len(finished) == len(futures):
                    bar.update(total - bar.n)
                    return
                continue
            bar.update(step - done.get(run, 0))
            done[run] = step


_steps: Queue[tuple[Path, int]]


def _set_up(steps: Queue[tuple[Path, int]], threads: int) -> None:
    """Prepares a worker process."""
    global _steps  # a queue reaches a worker by its initialiser only
    _steps = steps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    torch.set_num_threads(threads)


def _train(options: TrainConfig, folder: Path) -> _Results:
    def report(step: int) -> None:
        if step % _REPORT_EVERY == 0:
            _steps.put((folder, step))

    results = train(options, folder, resume=True, report=report)
    _steps.put((folder, options.steps))
    return results
