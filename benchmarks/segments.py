"""Sums, means and softmax of rows by segment against those of PyG and, if installed, torch_scatter.

There are 16 rows a segment on average, as of edges by node, either sorted by segment or in no
order. Ours know how the rows are sorted, as the layers of a model do, but for the alternative that
sorts them in every run; on a CPU nothing is sorted. The rate is that of the bytes that have to
cross the memory's bus: the rows and what becomes of them, their gradients, and the index.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TypeAlias

import torch
from torch import Tensor
from torch_geometric.utils import softmax

from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.report import Report
from pyg_remul.benchmarks.usual_layers import REDUCTIONS
from pyg_remul.ops import Segments, segment_mean, segment_softmax, segment_sum

NUM_ROWS = {"cpu": (20_000,), "cuda": (1_000_000, 10_000_000)}
ROWS_PER_SEGMENT = 16
WIDTHS = {"sum": 64, "mean": 64, "softmax": 8}
DTYPES = {"cpu": (torch.float32,), "cuda": (torch.float32, torch.bfloat16)}
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.2}  # others also sum in half precision
OURS, OURS_UNSORTED = "pyg_remul", "pyg_remul, sorted in every run"
PACKAGES = {"torch": "PyG", "torch_scatter": "torch_scatter"}

Reduction: TypeAlias = Callable[[Tensor], Tensor]


def main(settings: Settings) -> None:
    """Times each reduction, forward and in training."""
    torch.manual_seed(0)
    report = Report("segments", settings)
    kind = settings.device.partition(":")[0]
    for num_rows in NUM_ROWS[kind]:
        num_segments = num_rows // ROWS_PER_SEGMENT
        unsorted = torch.randint(num_segments, (num_rows,), device=settings.device)
        for order, index in (("sorted", unsorted.sort().values), ("unsorted", unsorted)):
            for dtype in DTYPES[kind]:
                for name in WIDTHS:
                    title = f"{name}, {order} rows, {str(dtype).removeprefix('torch.')}"
                    compare(report, title, name, Segments(index, num_segments), dtype)


def compare(report: Report, title: str, name: str, segments: Segments, dtype: torch.dtype) -> None:
    """One reduction in every implementation, first alone and then with its gradient."""
    index, width = segments.index, WIDTHS[name]
    x = torch.randn(index.numel(), width, device=index.device, dtype=dtype)
    reductions = implementations(name, segments)
    expected = reductions[OURS](x)
    for reduce in reductions.values():
        torch.testing.assert_close(reduce(x), expected, rtol=0, atol=TOLERANCES[dtype])
    moved, indices = (x.nbytes + expected.nbytes) / 1e9, index.nbytes / 1e9
    sizes = {"segments": segments.num_segments, "rows": index.numel(), "features": width}
    report.compare(
        title,
        {case: partial(reduce, x) for case, reduce in reductions.items()},
        OURS,
        sizes=sizes,
        work={"GB": moved + indices},
    )
    grad, leaf = torch.randn_like(expected), x.requires_grad_()
    report.compare(
        f"{title}, with gradient",
        {case: partial(differentiate, reduce, leaf, grad) for case, reduce in reductions.items()},
        OURS,
        sizes=sizes,
        work={"GB": 2 * (moved + indices)},
    )


def implementations(name: str, segments: Segments) -> dict[str, Reduction]:
    """A reduction by those that have it."""
    index, number = segments.index, segments.num_segments
    ours = {"sum": segment_sum, "mean": segment_mean, "softmax": segment_softmax}[name]
    found: dict[str, Reduction] = {OURS: lambda x: ours(x, segments)}
    if index.is_cuda:
        found[OURS_UNSORTED] = lambda x: ours(x, Segments(index, number))
    if name != "softmax":
        for package, reduce in REDUCTIONS.items():
            found[PACKAGES[package]] = partial(usual_reduction, reduce, name, segments)
        return found
    found["PyG"] = lambda x: softmax(x, index, num_nodes=number)
    if "torch_scatter" in REDUCTIONS:
        library = import_module("torch_scatter")
        found["torch_scatter"] = lambda x: library.scatter_softmax(x, index, 0, number)
    return found


def usual_reduction(
    reduce: Callable[[Tensor, Tensor, int, str], Tensor], name: str, segments: Segments, x: Tensor
) -> Tensor:
    """A reduction that takes the rows first."""
    return reduce(x, segments.index, segments.num_segments, name)


def differentiate(reduce: Reduction, x: Tensor, grad: Tensor) -> Tensor:
    """The gradient of the rows."""
    return torch.autograd.grad(reduce(x), x, grad)[0]
