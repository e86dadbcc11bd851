"""Peak memory, and work in a process of its own."""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch
from torch import nn

from pyg_remul.benchmarks.harness import Passes
from pyg_remul.benchmarks.memory import peak_bytes, peak_of_process, run_apart

MILLION = 10**6


def chain(*, keep):
    """Four tensors of 4 MB one after the other, of which two or all are there at a time."""
    kept = [torch.zeros(MILLION)]
    for _ in range(3):
        kept.append(kept[-1].neg())
        kept = kept if keep else kept[-1:]


@pytest.mark.parametrize(("keep", "expected"), [(True, 16 * MILLION), (False, 8 * MILLION)])
def test_peak_is_that_of_the_tensors_held_at_once(keep, expected):
    assert peak_bytes(lambda: chain(keep=keep), "cpu") == {"run": expected}


def test_memory_inside_of_an_operation_counts():
    x = torch.rand(MILLION)  # which the search for the median copies
    assert peak_bytes(lambda: x.median(), "cpu") == {"run": 4 * MILLION + 4}


def test_what_is_held_before_does_not_count():
    held = [torch.zeros(MILLION)]

    def replace():
        held[0] = torch.zeros(MILLION)

    assert peak_bytes(replace, "cpu") == {"run": 4 * MILLION}


def test_what_takes_the_place_of_something_released_does_not_count():
    held = [torch.zeros(MILLION)]

    def renew():
        held.clear()
        held.append(torch.zeros(MILLION))

    assert peak_bytes(renew, "cpu") == {"run": 0}


def test_run_that_allocates_nothing_has_no_peak():
    assert peak_bytes(lambda: None, "cpu") == {"run": 0}


def test_gradients_and_what_is_kept_for_them_count():
    (weight,) = weights = nn.ParameterList([nn.Parameter(torch.zeros(1000))])
    step = Passes(weights, lambda: weight.exp().sum())
    scalars = {"both": 2 * 4, "inference": 4}  # the loss, and the one that backward begins with
    exponentials = {"both": 2 * 4000, "inference": 4000}  # and the gradient
    assert peak_bytes(step, "cpu") == {name: exponentials[name] + scalars[name] for name in scalars}


def test_gradients_of_the_run_before_make_no_difference():
    model = nn.Sequential(nn.Linear(16, 64), nn.SiLU(), nn.Linear(64, 1))
    step = Passes(model, lambda: model(torch.ones(100, 16)).sum())
    expected = peak_bytes(step, "cpu")
    peak_bytes(lambda: step(), "cpu")  # which leaves its gradients
    assert peak_bytes(step, "cpu") == expected


def test_terminal_is_left_as_it_was(capfd):
    peak_bytes(lambda: None, "cpu")
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_process_holds_memory():
    assert peak_of_process() > 10**7


def test_function_runs_in_a_process_of_its_own():
    assert run_apart(os.getpid) != os.getpid()


def test_process_that_dies_is_told():
    with pytest.raises(BrokenProcessPool, match="terminated"):
        run_apart(os._exit, 1)
