"""Timing of alternatives in turns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pyg_remul.benchmarks import harness
from pyg_remul.benchmarks.harness import Passes, Settings, measure

PHASES = ["forward", "backward", "both", "inference"]


class Recorder(nn.Linear):
    """Notes how it was called."""

    def __init__(self):
        super().__init__(2, 1)
        self.calls = []

    def forward(self, x):
        self.calls.append((self.training, torch.is_grad_enabled()))
        return super().forward(x)


@pytest.fixture
def model():
    return Recorder()


@pytest.fixture
def step(model):
    return Passes(model, lambda: model(torch.ones(3, 2)).sum())


def test_every_alternative_is_timed_in_every_round():
    calls = []
    seconds = measure({"sum": lambda: calls.append(sum(range(100_000)))}, Settings(rounds=3))
    assert seconds["sum"]["run"].shape == (3,)
    assert (seconds["sum"]["run"] > 0).all()
    assert len(calls) >= 3 + 5


def test_alternatives_run_in_turns():
    order = []
    cases = {name: lambda name=name: order.append(name) for name in "ab"}
    measure(cases, Settings(rounds=2, warm_up=1))
    turns = [name for place, name in enumerate(order) if place == 0 or order[place - 1] != name]
    assert "".join(turns) == "ababab"


def test_passes_of_a_model_are_timed_apart(step):
    seconds = measure({"model": step}, Settings(rounds=4, warm_up=1))["model"]
    assert list(seconds) == PHASES
    assert all(values.shape == (4,) and (values > 0).all() for values in seconds.values())
    both = seconds["forward"] + seconds["backward"]
    torch.testing.assert_close(seconds["both"], both, rtol=1e-6, atol=1e-9)


def test_passes_run_in_training_and_evaluation_mode(model, step):
    step.time("cpu")
    assert model.calls == [(True, True), (False, False)]


def test_gradients_do_not_add_up_over_runs(model, step):
    for _ in range(3):
        step.time("cpu")
    torch.testing.assert_close(model.weight.grad, torch.full((1, 2), 3.0), rtol=0, atol=0)


@pytest.mark.parametrize(("rounds", "expected"), [(5, 3), (2, 2)])
def test_slow_alternative_is_timed_three_times(monkeypatch, rounds, expected):
    times = iter(range(0, 10_000, 10))
    monkeypatch.setattr(harness, "clock", lambda _: next(times))
    seconds = measure({"slow": lambda: None}, Settings(rounds=rounds, warm_up=9), limit=5)
    assert seconds["slow"]["run"].tolist() == [10.0] * expected


@pytest.mark.parametrize("name", ["rounds", "warm_up", "threads", "max_batch_size"])
def test_setting_below_one_is_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be positive, got 0\."):
        Settings(**{name: 0})


def test_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"`device` must be one of 'cpu', got 'cuda'\."):
        Settings(device="cuda:1")
