"""Constants that follow a module from their exact values."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pyg_remul.models._exact_tables import ExactTables

THIRD = torch.tensor([1.0 / 3.0], dtype=torch.float64)


class Thirds(ExactTables):
    """A third, and the integers that go with it."""

    def __init__(self):
        super().__init__()
        self.set_tables()

    def tables(self, dtype):
        return {"order": torch.arange(2), "third": THIRD.to(dtype)}


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_tables_are_rounded_once(dtype):
    module = Thirds().half().to(dtype)
    assert torch.equal(module.third, THIRD.to(dtype))


def test_integers_keep_their_type():
    assert Thirds().double().order.dtype == torch.int64


def test_tables_move_with_the_module_that_holds_them():
    module = nn.Sequential(Thirds()).to("meta")
    assert {buffer.device.type for buffer in module.buffers()} == {"meta"}


def test_tables_made_without_memory_get_their_values_with_it():
    with torch.device("meta"):
        module = Thirds()
    assert module.third.is_meta
    assert torch.equal(module.to_empty(device="cpu").third, THIRD.float())


def test_tables_made_in_inference_mode_take_part_in_gradients():
    with torch.inference_mode():
        module = Thirds().double()
    x = torch.ones(1, dtype=torch.float64, requires_grad=True)
    (x * module.third).sum().backward()
    assert torch.equal(x.grad, THIRD)


def test_tables_are_no_part_of_the_state():
    assert not Thirds().state_dict()


def test_copy_keeps_the_tables():
    assert torch.equal(copy.deepcopy(Thirds().double()).third, THIRD)
