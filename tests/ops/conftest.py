"""Settings of the tests of the kernels."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import pytest
import torch

from pyg_remul.ops import backend as backends


def pytest_collection_modifyitems(items):
    """Skips what needs Triton's interpreter where that is off: it must be on before the import."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        return
    skip = pytest.mark.skip(reason="needs TRITON_INTERPRET=1 in the environment")
    for item in items:
        if item.get_closest_marker("interpreter"):
            item.add_marker(skip)


def segment_csr(src, indptr, out=None, reduce="sum"):
    """Does what that of torch_scatter does."""
    result = src.new_zeros(indptr.numel() - 1, *src.shape[1:])
    for segment, rows in enumerate(src.tensor_split(indptr[1:-1])):
        if len(rows) and len(result):
            result[segment] = rows.sum(dim=0) if reduce == "sum" else rows.amax(dim=0)
    return result


@pytest.fixture
def torch_scatter(monkeypatch):
    """Chooses torch_scatter, or a module that stands in for it where it is not installed."""
    if not backends._INSTALLED["torch_scatter"]:
        module = ModuleType("torch_scatter")
        module.segment_csr = segment_csr
        monkeypatch.setitem(sys.modules, "torch_scatter", module)
        monkeypatch.setitem(backends._INSTALLED, "torch_scatter", True)
    with backends.use_backend("torch_scatter"):
        yield


@pytest.fixture
def segment_kernels(monkeypatch):
    """Chooses kernels, which take segments apart that are short enough for the interpreter."""
    from pyg_remul.ops import _segment_launchers

    monkeypatch.setattr(_segment_launchers, "_CHUNK", 32)
    with backends.use_backend("triton"):
        yield


@pytest.fixture(
    params=[
        "torch",
        "torch_scatter",
        pytest.param("segment_kernels", marks=pytest.mark.interpreter),
    ]
)
def exact(request):
    """Chooses a backend; the dtype is the most precise one that it has."""
    if request.param != "torch":
        request.getfixturevalue(request.param)
    return torch.float32 if request.param == "segment_kernels" else torch.float64
