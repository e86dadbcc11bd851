"""Timing of alternatives in turns."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.benchmarks.harness import Settings, measure, print_table


def test_every_alternative_is_timed_in_every_round():
    calls = []
    seconds = measure({"sum": lambda: calls.append(sum(range(100_000)))}, Settings(rounds=3))
    assert seconds["sum"].shape == (3,)
    assert (seconds["sum"] > 0).all()
    assert len(calls) >= 3 + 5


def test_alternatives_run_in_turns():
    order = []
    cases = {name: lambda name=name: order.append(name) for name in "ab"}
    measure(cases, Settings(rounds=2, warm_up=1))
    turns = [name for place, name in enumerate(order) if place == 0 or order[place - 1] != name]
    assert "".join(turns) == "ababab"


def test_ratio_is_taken_round_by_round(capsys):
    ours, theirs = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([3.0, 6.0, 12.0])
    print_table("title", {"ours": ours, "theirs": theirs}, "ours")
    last = capsys.readouterr().out.strip().splitlines()[-1].split()
    assert last == ["theirs", "6000.00", "3600.00", "10800.00", "3.00"]


@pytest.mark.parametrize("name", ["rounds", "warm_up", "threads", "max_batch_size"])
def test_setting_below_one_is_refused(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be positive, got 0\."):
        Settings(**{name: 0})


def test_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"`device` must be one of 'cpu', got 'cuda'\."):
        Settings(device="cuda:1")
