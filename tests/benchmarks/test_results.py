"""The results of benchmarks, one a line."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch

from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.results import (
    Quantiles,
    Row,
    Setting,
    append_rows,
    fill,
    format_rows,
    last_run,
    read_rows,
)

SETTING = Setting.of(Settings())
BLANK = Row(
    benchmark="step",
    title="GNN",
    case="REMUL",
    reference="plain",
    sizes={"graphs": 200},
    setting=SETTING,
    date="2025-01-01T00:00:00+00:00",
)
TIMED = dataclasses.replace(
    BLANK,
    rounds=3,
    seconds=Quantiles(0.001, 0.002, 0.003),
    ratio=Quantiles(1.5, 2.0, 2.5),
    peak_bytes=2**20,
    figures={"steps/s": 500.0},
)
FAILED = dataclasses.replace(BLANK, failure="out of memory")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "step.jsonl"


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_rows_are_read_as_written(path):
    append_rows(path, [TIMED, FAILED])
    assert read_rows(path) == [TIMED, FAILED]


def test_rows_are_added_to_those_of_earlier_runs(path):
    append_rows(path, [TIMED])
    append_rows(path, [FAILED])
    assert read_rows(path) == [TIMED, FAILED]


def test_a_row_is_a_line(path):
    append_rows(path, [TIMED, FAILED])
    first, second = map(json.loads, path.read_text().splitlines())
    assert first["seconds"] == {"p10": 0.001, "median": 0.002, "p90": 0.003}
    assert second["seconds"] is None


def test_a_row_says_where_it_was_measured(path):
    append_rows(path, [TIMED])
    setting = json.loads(path.read_text())["setting"]
    assert setting["torch"] == torch.__version__
    assert {"python", "pyg", "triton", "device", "threads", "rounds", "warm_up"} < set(setting)


def test_there_are_no_rows_without_a_file(path):
    assert read_rows(path) == []


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "{}", '{"setting": {}}', json.dumps(dataclasses.asdict(TIMED) | {"extra": 1})],
    ids=["cut off", "a list", "empty", "without versions", "with an unknown field"],
)
def test_line_that_is_no_row_is_refused(path, line):
    append_rows(path, [TIMED])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"step\.jsonl is refused: line 2 is no result of this"):
        read_rows(path)


def test_failure_to_write_leaves_the_file(path):
    append_rows(path, [TIMED])
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_rows(path, [dataclasses.replace(TIMED, figures={"steps/s": math.nan})])
    assert read_rows(path) == [TIMED]


def test_last_run_began_last():
    later = dataclasses.replace(TIMED, date="2025-01-01T00:00:01+00:00")
    assert last_run([later, TIMED, later]) == [later, later]
    assert last_run([]) == []


def test_quantiles_are_the_deciles_and_the_median():
    quantiles = Quantiles.of(torch.arange(11, dtype=torch.float64))
    assert quantiles == Quantiles(1.0, 5.0, 9.0)


def test_ratio_is_taken_round_by_round():
    plain, remul = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([3.0, 6.0, 12.0])
    (row,) = fill(BLANK, {"run": remul}, {"run": 7}, {"run": plain})
    assert row.ratio == Quantiles(3.0, 3.0, 3.0)
    assert (row.median, row.rounds, row.peak_bytes) == (6.0, 3, 7)


def test_there_is_a_row_for_each_phase():
    seconds = {"forward": torch.ones(3), "both": torch.ones(3)}
    rows = fill(BLANK, seconds, {"both": 7})
    assert [(row.phase, row.ratio, row.peak_bytes) for row in rows] == [
        ("forward", None, None),
        ("both", None, 7),
    ]


def test_table_gives_times_ratios_memory_and_further_figures():
    header, _, row = cells(format_rows([TIMED]))
    assert header == [
        *("", "median ms", "10 %", "90 %", "ratio", "10 %", "90 %", "peak MiB", "steps/s"),
    ]
    assert row == ["REMUL", "2.00", "1.00", "3.00", "2.00", "1.50", "2.50", "1.0", "500"]


def test_table_says_why_nothing_was_timed():
    assert cells(format_rows([FAILED]))[2] == ["REMUL", "out of memory", *[""] * 6]


def test_table_names_the_phases_of_a_model():
    row = dataclasses.replace(TIMED, phase="backward")
    assert cells(format_rows([row]))[2][0] == "REMUL, backward"


def test_heading_has_the_sizes():
    larger = dataclasses.replace(BLANK, sizes={"graphs": 2, "edges": 10_000})
    assert larger.heading == "GNN: 2 graphs, 10,000 edges"
    assert dataclasses.replace(BLANK, sizes={}).heading == "GNN"


def test_setting_tells_versions_device_and_threads():
    text = str(SETTING)
    assert f"PyTorch {torch.__version__}" in text
    assert "1 thread(s); up to 30 rounds after up to 5 to warm up" in text
