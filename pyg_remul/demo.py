"""The main job: plain training, augmentation and REMUL side by side on N-body systems."""

from __future__ import annotations

import csv
import io
import multiprocessing
import os
import signal
import statistics
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from tqdm import tqdm

from pyg_remul.config import MethodName, TrainConfig, preset
from pyg_remul.experiment import train
from pyg_remul.figures import plot_demo
from pyg_remul.run_folder import write_text
from pyg_remul.tables import markdown_table
from pyg_remul.tasks import load_task

__all__ = ["DemoConfig", "DemoRow", "run_demo"]

_REPORT_EVERY = 25
_COLUMNS = ("id", "ood", "E", "E_prime")


def _available_cores() -> int:
    """The cores that this process may use, which a batch system may have limited."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Options of the demo.

    Raises:
        ValueError: If a number is not positive.
    """

    out: Path = Path("runs/demo")
    """Folder for the runs, the table and the figure; finished runs in it are not repeated."""
    data: Path = Path("data")
    """Folder of the datasets."""
    betas: tuple[float, ...] = (0.1, 1.0, 10.0)
    """Constant weights of the equivariance loss."""
    degrees: float | None = None
    """Bound of the rotation angle in training; all rotations by default, 10 in the paper."""
    seeds: int = 3
    """Runs of each method."""
    steps: int = 600
    """Optimiser steps of each run, a multiple of 10."""
    workers: int = _available_cores()
    """Runs at a time."""

    def __post_init__(self) -> None:
        for name in ("seeds", "steps", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.steps % 10:
            raise ValueError(f"`steps` must be a multiple of 10, got {self.steps}.")


@dataclass(frozen=True)
class DemoRow:
    """A method and what its runs gave.

    Attributes:
        name: The method, for tables.
        method: The method, as options name it.
        beta: The (initial) weight of the equivariance loss, ``None`` where there is none.
        passes: How often each training graph goes through the model in a step.
        values: By column the results of all seeds.
    """

    name: str
    method: MethodName
    beta: float | None
    passes: int
    values: dict[str, list[float]]

    def mean(self, column: str) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.values[column])

    def spread(self, column: str) -> float:
        """The standard deviation over seeds, 0 for a single one."""
        values = self.values[column]
        return statistics.stdev(values) if len(values) > 1 else 0.0


def run_demo(config: DemoConfig) -> list[DemoRow]:
    """Trains the Transformer by every method, prints a table and draws a figure.

    The runs go in parallel, each in its own folder. Called again after an interruption, it goes on
    where it was.

    Args:
        config: The options.

    Returns:
        A row for each method. ``demo.md``, ``demo.csv`` and ``demo.png`` in ``config.out`` show
        the same.

    Raises:
        ValueError: If ``config.out`` holds runs with other options.
    """
    rows = _plan(config)
    runs = {
        (row.name, seed): _options(config, row, seed)
        for seed in range(config.seeds)
        for row in rows
    }
    load_task(next(iter(runs.values())))  # simulates once what all runs read
    results = _run_all(config, runs)
    for row in rows:
        for seed in range(config.seeds):
            test, ood = (results[row.name, seed][split] for split in ("test", "ood"))
            found = {**test, "id": test["mse"], "ood": ood["mse"]}
            for column in _COLUMNS:
                row.values[column].append(found[column])
    table = _table(rows)
    write_text(config.out / "demo.md", table + "\n")
    write_text(config.out / "demo.csv", _csv(rows))
    plot_demo(rows, config.out / "demo.png")
    print(f"\n{table}\n\nfigure: {config.out / 'demo.png'}")  # noqa: T201
    return rows


def _plan(config: DemoConfig) -> list[DemoRow]:
    def row(name: str, method: MethodName, beta: float | None, passes: int) -> DemoRow:
        return DemoRow(name, method, beta, passes, {column: [] for column in _COLUMNS})

    return [
        row("Transformer", "plain", None, 1),
        row("+ augmentation", "augmentation", None, 1),
        row("+ augmentation, 2 rotations a step", "augmentation", None, 2),
        *(row(f"+ REMUL, beta {beta:g}", "remul", beta, 2) for beta in config.betas),
        row("+ REMUL, GradNorm", "gradnorm", 1.0, 2),
    ]


def _options(config: DemoConfig, row: DemoRow, seed: int) -> TrainConfig:
    return preset(
        "nbody",
        method=row.method,
        beta=1.0 if row.beta is None else row.beta,
        num_samples=row.passes if row.method == "augmentation" else 1,
        degrees=config.degrees,
        clip=None,  # a bound would act on the methods by the sum of their weights
        steps=config.steps,
        val_every=config.steps // 10,
        equivariance_graphs=0,
        seed=seed,
        data=config.data,
    )


def _run_all(
    config: DemoConfig, runs: dict[tuple[str, int], TrainConfig]
) -> dict[tuple[str, int], dict[str, Any]]:
    """Trains all runs in a pool of processes, with a bar over the steps of all of them."""
    context = multiprocessing.get_context("spawn")
    steps: Queue[tuple[str, int]] = context.Queue()
    threads = max(1, _available_cores() // config.workers)
    pool = ProcessPoolExecutor(config.workers, context, _set_up, (steps, threads))
    futures: dict[tuple[str, int], Future[dict[str, Any]]] = {}
    others = multiprocessing.active_children()
    try:
        with _ignored_interrupts():  # which the workers inherit, for the time of their imports
            for key, options in runs.items():
                name = f"{options.method}-{options.beta:g}-{options.num_samples}-{options.seed}"
                futures[key] = pool.submit(_train, options, config.out / name)
        _watch(list(futures.values()), steps, config.steps * len(runs))
        return {key: future.result() for key, future in futures.items()}
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


def _watch(
    futures: Sequence[Future[dict[str, Any]]], steps: Queue[tuple[str, int]], total: int
) -> None:
    done: dict[str, int] = {}
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


_steps: Queue[tuple[str, int]]


def _set_up(steps: Queue[tuple[str, int]], threads: int) -> None:
    """Prepares a worker process."""
    global _steps  # a queue reaches a worker by its initialiser only
    _steps = steps
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    torch.set_num_threads(threads)


def _train(options: TrainConfig, folder: Path) -> dict[str, Any]:
    def report(step: int) -> None:
        if step % _REPORT_EVERY == 0:
            _steps.put((folder.name, step))

    results = train(options, folder, resume=True, report=report)
    _steps.put((folder.name, options.steps))
    return results


def _table(rows: Sequence[DemoRow]) -> str:
    def cell(row: DemoRow, column: str, factor: float) -> str:
        mean, spread = factor * row.mean(column), factor * row.spread(column)
        return f"{mean:.2f} ± {spread:.2f}" if len(row.values[column]) > 1 else f"{mean:.2f}"

    header = ["", "passes", "MSE ID (1e-3)", "MSE OOD (1e-3)", "E (1e-2)", "E' (1e-2)"]
    factors = dict(zip(_COLUMNS, (1e3, 1e3, 1e2, 1e2), strict=True))
    cells = [
        [row.name, str(row.passes), *(cell(row, *column) for column in factors.items())]
        for row in rows
    ]
    return markdown_table(header, cells)


def _csv(rows: Sequence[DemoRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "method", "beta", "passes", "seed", *_COLUMNS])
    for row in rows:
        for seed, values in enumerate(zip(*row.values.values(), strict=True)):
            writer.writerow([row.name, row.method, row.beta, row.passes, seed, *values])
    return text.getvalue()
