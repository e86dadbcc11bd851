"""Timing of alternatives in turns, so that their ratios survive a busy machine."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch_geometric
from torch import Tensor

from pyg_remul.checks import check_choice, check_integers

Case = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to measure."""

    rounds: int = 30
    """Timed runs of every alternative."""
    warm_up: int = 5
    """Runs before these."""
    threads: int = 1
    """Threads of PyTorch."""
    device: str = "cpu"
    """Where the tensors are."""
    max_batch_size: int = 4096
    """Largest batch (complexity)."""
    out: Path = Path("runs/bench")
    """Folder of the tables and figures (complexity)."""

    def __post_init__(self) -> None:
        check_integers(
            rounds=self.rounds,
            warm_up=self.warm_up,
            threads=self.threads,
            max_batch_size=self.max_batch_size,
        )
        known = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
        check_choice("device", self.device.partition(":")[0], known)


def measure(cases: Mapping[str, Case], settings: Settings) -> dict[str, Tensor]:
    """Runs the alternatives in turns, A B A B.

    A turn repeats its alternative for some 20 ms, so that a short one is not timed with the caches
    that a long one left behind.

    Args:
        cases: The alternatives by name.
        settings: The number of rounds and the device.

    Returns:
        The seconds of a run in every round, shape ``[rounds]``.
    """

    def turn(case: Case, repeats: int) -> float:
        start = clock(settings.device)
        for _ in range(repeats):
            case()
        return (clock(settings.device) - start) / repeats

    repeats: dict[str, int] = {}
    for name, case in cases.items():
        fastest = min(turn(case, 1) for _ in range(settings.warm_up))
        repeats[name] = math.ceil(0.02 / fastest)
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(settings.rounds):
        for name, case in cases.items():
            seconds[name].append(turn(case, repeats[name]))
    return {name: torch.tensor(values) for name, values in seconds.items()}


def clock(device: str) -> float:
    """Seconds, when all work on the device so far is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()


def describe_machine(settings: Settings) -> str:
    """The name of the GPU or the kind of the processor, and the number of threads."""
    cuda = settings.device.startswith("cuda")
    name = torch.cuda.get_device_name(settings.device) if cuda else f"CPU ({platform.machine()})"
    return f"{name}, {settings.threads} thread(s)"


def print_setting(settings: Settings) -> None:
    """Prints versions, device and number of threads."""
    print(
        f"Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"PyG {torch_geometric.__version__}; {describe_machine(settings)}; "
        f"{settings.rounds} rounds in turns after {settings.warm_up} to warm up\n"
    )


def print_table(title: str, seconds: Mapping[str, Tensor], reference: str) -> None:
    """Prints median and deciles in milliseconds, and the median ratio to the reference.

    The ratio is taken round by round, between runs next to each other in time.
    """
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    print(f"{title}\n{'':<48}{'median ms':>10}{'10 %':>9}{'90 %':>9}{'ratio':>9}")
    for name, values in seconds.items():
        low, median, high = (1e3 * values.quantile(quantiles)).tolist()
        ratio = float((values / seconds[reference]).median())
        print(f"{name:<48}{median:>10.2f}{low:>9.2f}{high:>9.2f}{ratio:>9.2f}")
    print()
