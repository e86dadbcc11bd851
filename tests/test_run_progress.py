"""The bar over many runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyg_remul.presets import preset
from pyg_remul.run_costs import RunCosts
from pyg_remul.run_progress import RunProgress

RUN = preset("nbody", "gnn", steps=100, val_every=100)
FOLDER = Path("run")


class Clock:
    """Stands still until it is set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bar(clock, capsys):
    """Gives what the bar shows after reports of a run, each with the seconds since the last."""

    def show(reports, running, waiting=(), *, ended_after=None, last_step=100):
        progress = RunProgress(RunCosts(), clock)
        for step, seconds in reports:
            clock.now += seconds
            progress.note(FOLDER, RUN, step)
        if ended_after is not None:
            clock.now += ended_after
            progress.finish(FOLDER, RUN, last_step)
        progress.show(running, waiting)
        progress.close()
        return capsys.readouterr().err.strip().split("\r")[-1]

    return show


def test_time_left_is_that_of_the_steps_left(bar):
    shown = bar([(1, 0.0), (26, 50.0)], {FOLDER: RUN})
    assert shown.startswith("0/1 runs, 02:28 left:  25%")


def test_time_left_is_shared_by_the_runs_under_way(bar):
    shown = bar([(1, 0.0), (51, 50.0)], {FOLDER: RUN, Path("b"): RUN}, [RUN])
    assert shown.startswith("0/3 runs, 02:04 left:  17%")


def test_time_left_is_at_least_that_of_the_longest_run(bar):
    long = preset("nbody", "gnn", steps=1000, val_every=100)
    shown = bar([(1, 0.0), (51, 50.0)], {FOLDER: RUN, Path("b"): long}, [RUN])
    assert shown.startswith("0/3 runs, 16:40 left")


def test_steps_before_a_resumption_do_not_count(bar):
    shown = bar([(80, 500.0), (90, 10.0)], {FOLDER: RUN})
    assert shown.startswith("0/1 runs, 00:10 left:  50%")


def test_time_left_is_unknown_at_first(bar):
    assert bar([], {FOLDER: RUN}, [RUN]).startswith("0/2 runs, ? left:   0%")


def test_evaluation_belongs_to_the_time_of_a_run(bar):
    shown = bar([(1, 0.0), (50, 49.0)], {}, [RUN], ended_after=149.0)
    assert shown.startswith("1/2 runs, 03:20 left:  50%")


def test_run_that_stops_early_leaves_the_pace_what_it_is(bar):
    shown = bar([(1, 0.0), (26, 50.0)], {}, [RUN], ended_after=0.0, last_step=26)
    assert shown.startswith("1/2 runs, 03:20 left:  20%")


def test_steps_since_the_last_validation_count_too(bar):
    shown = bar([(1, 0.0), (26, 50.0)], {}, [RUN], ended_after=0.0, last_step=10)
    assert shown.startswith("1/2 runs, 03:20 left:  20%")


def test_bar_is_full_at_the_end(bar):
    shown = bar([(1, 0.0), (50, 49.0)], {}, ended_after=1.0)
    assert shown.startswith("1/1 runs, 00:00 left: 100%")


def test_bar_is_full_where_nothing_was_reported(bar):
    assert bar([], {}, ended_after=1.0).startswith("1/1 runs, ? left: 100%")
