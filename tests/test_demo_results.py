"""What the runs of the demo gave; its table is tested with the demo."""

from __future__ import annotations

import statistics

import pytest

from pyg_remul.demo_results import DemoRow


def make_row(*values):
    return DemoRow("name", "remul", 1.0, 2, {"id": list(values)})


@pytest.mark.parametrize("values", [(1.0, 2.0, 6.0), (0.5, 0.25)], ids=["three", "two"])
def test_row_gives_mean_and_standard_deviation(values):
    row = make_row(*values)
    assert row.mean("id") == pytest.approx(sum(values) / len(values), rel=1e-12)
    assert row.spread("id") == pytest.approx(statistics.stdev(values), rel=1e-12)


def test_one_seed_has_no_spread():
    assert make_row(3.0).spread("id") == 0.0
