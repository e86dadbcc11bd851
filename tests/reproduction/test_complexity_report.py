"""Time and memory against the batch size, as a target."""

from __future__ import annotations

import csv
import dataclasses

import pytest
import torch

from pyg_remul.benchmarks import complexity
from pyg_remul.benchmarks.results import Quantiles
from pyg_remul.reproduction import complexity_report
from pyg_remul.reproduction.complexity_report import report_complexity

SECONDS = Quantiles(0.1, 0.123456789, 0.3)


@pytest.fixture
def measured(monkeypatch):
    """Lists what would be measured, and how."""
    calls = []

    def pretend(row, settings):
        calls.append((row.case, row.sizes["graphs"], settings))
        phases = ("forward", "backward", "both", "inference")
        return [
            dataclasses.replace(row, phase=phase, seconds=SECONDS, rounds=3) for phase in phases
        ]

    monkeypatch.setattr(complexity, "measure_apart", pretend)
    return calls


def test_table_and_figure_are_written(measured, tmp_path):
    table = report_complexity(tmp_path, "smoke")
    names = ["complexity.jsonl", "figure.png", "figure.svg", "table.csv", "table.md"]
    assert sorted(path.name for path in tmp_path.glob("[!.]*") if path.suffix != ".lock") == names
    assert (tmp_path / "table.md").read_text() == table + "\n"


def test_table_says_of_which_sizes_it_is_and_where_it_was_measured(measured, tmp_path):
    line = report_complexity(tmp_path, "smoke").splitlines()[0]
    assert line.startswith("12 blocks, about 2.6 million parameters, graphs of 20 nodes. Python ")


def test_csv_has_all_digits(measured, tmp_path):
    report_complexity(tmp_path, "smoke")
    with (tmp_path / "table.csv").open() as file:
        first, *others = csv.DictReader(file)
    assert (first["model"], first["phase"], first["median"]) == (
        "Transformer",
        "forward",
        "0.123456789",
    )
    assert len(others) == 11


@pytest.mark.parametrize(("scale", "largest"), [("smoke", 1), ("laptop", 256), ("paper", 4096)])
def test_scale_bounds_the_batches(measured, tmp_path, scale, largest):
    report_complexity(tmp_path, scale)
    assert max(size for _, size, _ in measured) == largest


def test_what_is_measured_is_not_measured_again(measured, tmp_path):
    first = report_complexity(tmp_path, "smoke")
    calls = len(measured)
    assert report_complexity(tmp_path, "smoke") == first
    assert len(measured) == calls


@pytest.mark.parametrize("available", [False, True], ids=["without", "with"])
def test_gpu_is_used_if_there_is_one(measured, monkeypatch, tmp_path, available):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    monkeypatch.setattr(complexity_report, "plot_complexity", lambda *_: [])
    report_complexity(tmp_path, "smoke")
    assert {settings.device for *_, settings in measured} == {"cuda" if available else "cpu"}
