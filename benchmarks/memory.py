"""Peak memory, and work in a process of its own, which may run out of it."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch
from torch.autograd.profiler import profile

from pyg_remul.benchmarks.harness import Case, Passes

__all__ = ["limit_memory", "peak_bytes", "peak_of_process", "run_apart"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def peak_bytes(case: Case, device: str) -> dict[str, int]:
    """The most bytes of tensors that a run holds at once, beside those held before it.

    Gradients count: a training step holds them at its end. On a GPU PyTorch's allocator keeps the
    figure. On a CPU its profiler reports every allocation and release, those inside of operations
    and of compiled code included; the scratch memory of libraries such as oneDNN is not among them.

    Args:
        case: What to run, twice.
        device: Where its tensors are.

    Returns:
        The bytes of ``"run"``, or of ``"both"`` passes of training and of ``"inference"``.

    Example:
        >>> peak_bytes(lambda: torch.ones(1000).neg().exp(), "cpu")
        {'run': 8000}
    """
    if not isinstance(case, Passes):
        _peak(case, device)  # from now on the profiler knows what a run leaves to the next
        return {"run": _peak(case, device)}
    case.model.zero_grad()
    both = _peak(case, device)
    case.model.zero_grad()
    return {"both": both, "inference": _peak(case.infer, device)}


def _peak(run: Case, device: str) -> int:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with _silent(), profile(profile_memory=True) as profiler:
        run()
    results = profiler.kineto_results
    events = [] if results is None else results.events()
    changes = (event.nbytes() for event in events if event.name() == "[memory]")
    return max(accumulate(changes), default=0)


@contextmanager
def _silent() -> Iterator[None]:
    """Keeps from the terminal that the profiler starts and stops, which some versions log."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def peak_of_process() -> int:
    """The most bytes that this process has held so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def limit_memory() -> None:
    """Lets allocations fail before the system runs out of memory, where it says how much it has."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not on every system
        return
    (available,) = (1024 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable"))
    resource.setrlimit(resource.RLIMIT_DATA, (int(0.97 * available),) * 2)


def run_apart(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Calls a function in a fresh process.

    Args:
        function: What to call; it and its arguments can be pickled.
        *args: Its arguments.
        **kwargs: Its named arguments.

    Raises:
        BrokenProcessPool: If the process was killed, for its memory or for another reason.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(function, *args, **kwargs).result()
