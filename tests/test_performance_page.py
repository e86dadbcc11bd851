"""The page of what was measured."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import pytest

from pyg_remul.benchmarks import complexity
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.results import Quantiles, Row, Setting, append_rows

DOCS = Path(__file__).parent.parent / "docs"
BLANK = Row(
    benchmark="step",
    title="GNN",
    case="REMUL",
    reference="plain",
    sizes={"graphs": 200},
    setting=Setting.of(Settings()),
    date="2025-01-01T00:00:00+00:00",
    rounds=3,
    seconds=Quantiles(0.1, 0.2, 0.3),
    ratio=Quantiles(1.5, 2.0, 2.5),
    peak_bytes=2**20,
)
PLAIN = dataclasses.replace(BLANK, case="plain", ratio=Quantiles(1.0, 1.0, 1.0))
PHASES = ("forward", "backward", "both", "inference")


@pytest.fixture
def renewed(monkeypatch, tmp_path):
    """Writes rows and renews a page that has tables of two devices."""

    def renew(rows, page="<!-- cpu: step -->\nold\n<!-- end -->\n"):
        append_rows(tmp_path / f"{rows[0].benchmark}.jsonl", rows)
        path = tmp_path / "performance.md"
        path.write_text(page, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["performance.py", str(tmp_path)])
        runpy.run_path(str(DOCS / "performance.py"))["main"](path)
        return path.read_text(encoding="utf-8")

    return renew


def test_table_takes_the_place_of_the_old(renewed):
    text = renewed([PLAIN, BLANK])
    assert "old" not in text
    assert "**GNN: 200 graphs**" in text
    assert "| REMUL | 200 | 2.00 (1.50 - 2.50) |      1.0 |" in text


def test_page_can_be_renewed_again(renewed):
    first = renewed([PLAIN, BLANK])
    assert renewed([BLANK], page=first).count("**GNN: 200 graphs**") == 1


def test_table_is_that_of_the_last_run(renewed):
    later = {"date": "2025-01-02T00:00:00+00:00", "title": "EGNN"}
    text = renewed([PLAIN, *(dataclasses.replace(row, **later) for row in (PLAIN, BLANK))])
    assert "EGNN" in text
    assert "GNN: 200" not in text.replace("EGNN", "")


def test_table_of_another_device_is_left(renewed):
    page = "<!-- gpu: step -->\nold\n<!-- end -->\n"
    assert renewed([PLAIN, BLANK], page) == page


def test_table_without_results_is_left(renewed):
    page = "<!-- cpu: loader -->\nold\n<!-- end -->\n"
    assert renewed([PLAIN, BLANK], page) == page


def test_passes_of_a_model_stand_side_by_side(renewed):
    rows = [dataclasses.replace(BLANK, phase=phase) for phase in PHASES]
    text = renewed(rows)
    assert "forward ms | backward ms | both ms | inference ms |  ratio (10 - 90 %) |" in text
    assert text.count("REMUL") == 1


def test_complexity_has_its_own_table(renewed):
    row = dataclasses.replace(BLANK, benchmark="complexity", case="Transformer", ratio=None)
    rows = [dataclasses.replace(row, phase=phase) for phase in PHASES]
    text = renewed(rows, "<!-- cpu: complexity -->\nold\n<!-- end -->\n")
    assert complexity.format_table(rows) in text


def test_figure_is_drawn_beside_the_page(renewed, tmp_path):
    renewed([PLAIN, BLANK])
    assert (tmp_path / "performance.png").read_bytes().startswith(b"\x89PNG")
