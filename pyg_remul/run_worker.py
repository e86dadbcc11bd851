"""What a worker process does: one run after the other, each in its folder."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from contextlib import ExitStack
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, TypeAlias

import torch

from pyg_remul.config import TrainConfig
from pyg_remul.divergence import DivergenceError
from pyg_remul.experiment import train
from pyg_remul.files import locked
from pyg_remul.run_folder import RunFolder

__all__ = ["Ending", "Report", "Results", "set_up", "train_run"]

Results: TypeAlias = dict[str, Any]
"""What :func:`~pyg_remul.experiment.train` gives."""
Ending: TypeAlias = Results | DivergenceError
"""How a run can end."""
Report: TypeAlias = tuple[Path, int]
"""The folder of a run and the number of steps done."""

_REPORT_EVERY = 0.5
"""Seconds between two reports of a run."""

_reports: Queue[Report]


def set_up(reports: Queue[Report], threads: int) -> None:
    """Prepares a worker process, which ends with its parent.

    Args:
        reports: Takes the reports of runs.
        threads: Of each operation.
    """
    global _reports  # a queue reaches a worker by its initialiser only
    _reports = reports
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    """Ends this process as soon as its parent has ended, however that came."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def train_run(options: TrainConfig, folder: Path, wait: bool) -> Ending | None:
    """Trains a run, unless another process does so already.

    Args:
        options: The run.
        folder: Its folder; a run that is there goes on.
        wait: Whether to wait for another process.

    Returns:
        The results, how the run diverged, or ``None`` if another process trains it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder, wait=wait))
        except BlockingIOError:
            return None
        RunFolder(folder).remove_leftovers()
        try:
            return train(options, folder, resume=True, report=_Reporter(folder))
        except DivergenceError as error:
            return error


class _Reporter:
    """Tells the parent where a run begins, and now and then how far it is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.last = folder, -math.inf

    def __call__(self, step: int) -> None:
        now = time.monotonic()
        if now - self.last >= _REPORT_EVERY:
            _reports.put((self.folder, step))
            self.last = now
