"""Copies between the CPU and a device."""

from __future__ import annotations

import pytest
import torch
from waiting import META, RefuseWaiting

from pyg_remul.transfer import send


def test_what_is_there_already_is_not_copied():
    value = torch.ones(2)
    assert send(value, None) is value
    assert send(value, "cpu", torch.float32) is value


def test_dtype_changes_on_the_way():
    assert send(torch.ones(2), META, torch.float64).dtype == torch.float64


def test_copy_from_the_cpu_does_not_wait():
    with RefuseWaiting():
        assert send(torch.ones(2), META).device == META


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_copy_back_to_the_cpu_has_the_values():
    value = torch.full((1 << 24,), 3.0, device="cuda")
    assert bool((send(value + 1, "cpu") == 4).all())
