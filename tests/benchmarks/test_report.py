"""Comparisons that are measured, printed and kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_remul.benchmarks.harness import Passes, Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.benchmarks.results import format_rows, last_run, read_rows

CASES = {"ours": lambda: torch.zeros(1000), "theirs": lambda: torch.zeros(2000)}


@pytest.fixture
def report(tmp_path):
    return Report("allocation", Settings(rounds=3, warm_up=1, out=tmp_path))


def test_rows_are_kept_and_printed(report, capsys):
    rows = report.compare("zeros", CASES, "ours", sizes={"numbers": 1000})
    assert read_rows(report.path) == rows
    printed = capsys.readouterr().out
    assert printed == f"zeros: 1,000 numbers\n\n{format_rows(rows)}\n\n"


def test_setting_is_printed_first(tmp_path, capsys):
    report = Report("allocation", Settings(out=tmp_path))
    assert capsys.readouterr().out == f"{report.setting}\n\n"


def test_rows_tell_case_reference_and_peak(report):
    ours, theirs = report.compare("zeros", CASES, "ours")
    assert (ours.case, ours.reference, ours.peak_bytes) == ("ours", "ours", 4000)
    assert (theirs.case, theirs.reference, theirs.peak_bytes) == ("theirs", "ours", 8000)


def test_ratio_is_taken_to_the_reference(monkeypatch, report):
    seconds = {"ours": {"run": torch.full((3,), 2.0)}, "theirs": {"run": torch.full((3,), 5.0)}}
    monkeypatch.setattr("pyg_remul.benchmarks.report.measure", lambda *_: seconds)
    ours, theirs = report.compare("zeros", CASES, "ours")
    assert (ours.ratio.median, theirs.ratio.median) == (1.0, 2.5)


def test_rows_of_a_run_share_its_date(report):
    first = report.compare("zeros", CASES, "ours")
    second = report.compare("more zeros", CASES, "ours")
    assert last_run(read_rows(report.path)) == first + second


def test_work_becomes_a_rate_and_the_floor_a_multiple(report):
    (row,) = report.compare(
        "zeros", {"ours": CASES["ours"]}, "ours", work={"numbers": 1000.0}, floor=0.5
    )
    assert row.figures == {"numbers/s": 1000 / row.median, "times floor": row.median / 0.5}


def test_rate_of_a_model_is_that_of_both_passes(report):
    model = nn.Linear(2, 1)
    cases = {"model": Passes(model, lambda: model(torch.ones(3, 2)).sum())}
    rows = report.compare("linear", cases, "model", work={"steps": 1.0})
    assert [row.phase for row in rows if row.figures] == ["both"]
    assert [row.phase for row in rows if row.peak_bytes is not None] == ["both", "inference"]


def test_sizes_are_those_of_the_batch():
    edges = torch.tensor([[0], [1]])
    batch = Batch.from_data_list([Data(x=torch.ones(3, 1), edge_index=edges)] * 2)
    assert batch_sizes(batch) == {"graphs": 2, "nodes": 6, "edges": 2}


def test_sizes_without_edges_leave_them_out():
    batch = Batch.from_data_list([Data(x=torch.ones(3, 1))])
    assert batch_sizes(batch) == {"graphs": 1, "nodes": 3}
