"""The choice of an implementation."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.ops import backend as backends
from pyg_remul.ops.backend import select_backend, use_backend


def test_cpu_goes_through_torch():
    assert select_backend(torch.ones(1)) == "torch"


def test_choice_ends_with_its_context(monkeypatch):
    monkeypatch.setitem(backends._INSTALLED, "torch_scatter", True)
    with use_backend("torch_scatter"):
        assert select_backend(torch.ones(1)) == "torch_scatter"
    assert select_backend(torch.ones(1)) == "torch"


def test_inner_choice_gives_way_to_the_outer_one_after_an_error(monkeypatch):
    monkeypatch.setitem(backends._INSTALLED, "torch_scatter", True)
    with use_backend("torch_scatter"):
        with pytest.raises(KeyError), use_backend("torch"):
            raise KeyError
        assert select_backend(torch.ones(1)) == "torch_scatter"


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match=r"`backend` must be one of 'triton'.*got 'cuda'"):
        use_backend("cuda").__enter__()


def test_backend_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setitem(backends._INSTALLED, "torch_scatter", False)
    with pytest.raises(ValueError, match="`backend` must be installed, got 'torch_scatter'"):
        use_backend("torch_scatter").__enter__()


def test_triton_refuses_the_cpu_outside_its_interpreter(monkeypatch):
    monkeypatch.setitem(backends._INSTALLED, "triton", True)
    monkeypatch.setattr(backends, "INTERPRETED", False)
    with use_backend("triton"), pytest.raises(ValueError, match=r"for torch\.float32 on cpu"):
        select_backend(torch.ones(1))


def test_triton_refuses_double_precision(monkeypatch):
    monkeypatch.setitem(backends._INSTALLED, "triton", True)
    monkeypatch.setattr(backends, "INTERPRETED", True)
    with use_backend("triton"), pytest.raises(ValueError, match=r"for torch\.float64"):
        select_backend(torch.ones(1, dtype=torch.float64))


@pytest.mark.interpreter
def test_interpreter_takes_tensors_of_the_cpu():
    with use_backend("triton"):
        assert select_backend(torch.ones(1)) == "triton"
