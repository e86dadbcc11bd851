"""Timing of alternatives in turns, so that their ratios survive a busy machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pyg_remul.checks import check_choice, check_integers

__all__ = ["Case", "Passes", "Seconds", "Settings", "clock", "measure"]

Case: TypeAlias = Callable[[], object]
"""One of the alternatives; calling it does the work once."""

Seconds: TypeAlias = dict[str, Tensor]
"""Seconds of a run in every round by phase, shape [rounds]: ``"run"``, or those of a model."""

MIN_ROUNDS = 3


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
    compile: bool = False
    """Measure models compiled by torch.compile beside the others (messages)."""
    max_batch_size: int = 4096
    """Largest batch (complexity)."""
    out: Path = Path("runs/bench")
    """Folder of the results: a line of NAME.jsonl for each, and complexity's table and figure."""

    def __post_init__(self) -> None:
        check_integers(
            rounds=self.rounds,
            warm_up=self.warm_up,
            threads=self.threads,
            max_batch_size=self.max_batch_size,
        )
        known = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
        check_choice("device", self.device.partition(":")[0], known)


@dataclass(frozen=True)
class Passes:
    """A model whose passes are timed apart; as a case it is a forward and a backward pass.

    Attributes:
        model: What is put into training or evaluation mode and relieved of its gradients.
        loss: A forward pass, down to one number.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> step = Passes(model, lambda: model(torch.ones(3, 2)).sum())
        >>> step()
        >>> model.weight.grad
        tensor([[3., 3.]])
    """

    model: nn.Module
    loss: Callable[[], Tensor]

    def __call__(self) -> None:
        """Runs the passes of training once; the gradients are those of this run."""
        self.model.train()
        self.model.zero_grad()
        self.loss().backward()

    def infer(self) -> None:
        """Runs the forward pass of inference once."""
        self.model.eval()
        with torch.no_grad():
            self.loss()

    def time(self, device: str) -> dict[str, float]:
        """Seconds of one run of each pass; the device is waited for in between."""
        self.model.train()
        self.model.zero_grad()
        start = clock(device)
        loss = self.loss()
        middle = clock(device)
        loss.backward()
        end = clock(device)
        del loss
        self.model.eval()
        before = clock(device)
        with torch.no_grad():
            self.loss()
        inference = clock(device) - before
        return {
            "forward": middle - start,
            "backward": end - middle,
            "both": end - start,
            "inference": inference,
        }


def measure(
    cases: Mapping[str, Case], settings: Settings, limit: float = math.inf
) -> dict[str, Seconds]:
    """Runs the alternatives in turns, A B A B.

    A turn repeats its alternative for some 20 ms, so that a short one is not timed with the caches
    that a long one left behind.

    Args:
        cases: The alternatives by name; of :class:`Passes` each pass is timed.
        settings: The number of rounds and the device.
        limit: Seconds after which no round begins once there are three, nor a further run to warm
            up.

    Returns:
        The seconds by alternative and phase.
    """
    start = clock(settings.device)
    repeats = {name: _warm_up(case, settings, start + limit) for name, case in cases.items()}
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in cases}
    start = clock(settings.device)
    for done in range(settings.rounds):
        if done >= MIN_ROUNDS and clock(settings.device) > start + limit:
            break
        for name, case in cases.items():
            turns[name].append(_turn(case, repeats[name], settings.device))
    return {
        name: {
            phase: torch.tensor([turn[phase] for turn in taken], dtype=torch.float64)
            for phase in taken[0]
        }
        for name, taken in turns.items()
    }


def clock(device: str) -> float:
    """Seconds, when all work on the device so far is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _warm_up(case: Case, settings: Settings, end: float) -> int:
    """Runs a case a few times; returns how often a turn is to repeat it."""
    fastest = math.inf
    for _ in range(settings.warm_up):
        fastest = min(fastest, sum(_turn(case, 1, settings.device).values()))
        if clock(settings.device) > end:
            break
    return math.ceil(0.02 / fastest)


def _turn(case: Case, repeats: int, device: str) -> dict[str, float]:
    """The mean seconds of a run by phase."""
    if isinstance(case, Passes):
        runs = [case.time(device) for _ in range(repeats)]
        return {phase: sum(run[phase] for run in runs) / repeats for phase in runs[0]}
    start = clock(device)
    for _ in range(repeats):
        case()
    return {"run": (clock(device) - start) / repeats}
