"""Every benchmark runs, at tiny sizes."""

from __future__ import annotations

from importlib import import_module
from typing import get_args

import pytest
from torch_geometric.data import Batch

from pyg_remul.benchmarks import BenchmarkName, roofline
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.results import read_rows
from pyg_remul.benchmarks.step import make_bodies
from pyg_remul.models import GATr, GraphTransformer

TINY = {
    "attention": {
        "MODELS": {"1 x 8": (8, 1)},
        "GATr": lambda: GATr(4, 1, hidden_scalars=8, heads=2),
    },
    "gatr": {"NUM_GRAPHS": 2, "NUM_BLOCKS": 1},
    "loader": {"NUM_GRAPHS": 8, "BATCH_SIZES": (2,)},
    "messages": {
        "NUM_GRAPHS": 2,
        "NUM_NODES": 3,
        "NUM_LAYERS": 1,
        "WIDTHS": (8,),
        "CHANNELS": 8,
        "NUM_EDGES": {"cpu": (64,)},
    },
    "motion": {"NUM_FRAMES": 2},
    "nbody": {"NUM_SYSTEMS": 10},
    "rotation": {"NUM_GRAPHS": 2},
    "se3": {"SIZES": ((2, 3),)},
    "segments": {"NUM_ROWS": {"cpu": (64,)}},
    "simulation": {"MOLECULES": ("ethanol",), "STEPS": 1},
    "step": {"NUM_SYSTEMS": 2, "NUM_MOLECULES": 2},
    "throughput": {"NUM_GRAPHS": 2, "BATCH_SIZE": 2, "MOLECULES": ("ethanol",)},
    "training_step": {
        "make_setups": lambda: {
            "tiny": (GraphTransformer(7, 8, num_layers=1), Batch.from_data_list([make_bodies()]))
        }
    },
    "trajectory": {
        "NUM_FRAMES": 10,
        "run_apart": lambda read, _, root: read("np.load of R", root),
    },
}
"""What makes each benchmark small; complexity has tests of its own."""


@pytest.fixture(autouse=True)
def _small_ceilings(monkeypatch):
    monkeypatch.setitem(roofline.COPY_BYTES, "cpu", 2**16)
    monkeypatch.setitem(roofline.PRODUCT_SIZE, "cpu", 64)


def test_every_benchmark_is_run():
    assert {*TINY, "complexity"} == set(get_args(BenchmarkName))


@pytest.mark.parametrize("name", TINY)
def test_benchmark_keeps_and_prints_its_rows(monkeypatch, capsys, tmp_path, name):
    module = import_module(f"pyg_remul.benchmarks.{name}")
    for constant, value in TINY[name].items():
        monkeypatch.setattr(module, constant, value)
    module.main(Settings(rounds=1, warm_up=1, out=tmp_path))
    rows = read_rows(tmp_path / f"{name}.jsonl")
    printed = capsys.readouterr().out
    assert {row.benchmark for row in rows} == {name}
    assert all(row.heading in printed and row.case in printed for row in rows)
    assert all(row.median > 0 and not row.failure for row in rows)


def test_compiled_models_are_measured_beside_the_others(monkeypatch, tmp_path):
    module = import_module("pyg_remul.benchmarks.messages")
    monkeypatch.setattr(module, "compiled", lambda model: model)
    for constant, value in TINY["messages"].items():
        monkeypatch.setattr(module, constant, value)
    module.main(Settings(rounds=1, warm_up=1, compile=True, out=tmp_path))
    cases = {row.case for row in read_rows(tmp_path / "messages.jsonl")}
    assert {"pyg_remul, compiled", "usual, sums by torch, compiled"} <= cases
