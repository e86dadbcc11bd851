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
def progress(clock, capsys):
    progress = RunProgress(RunCosts(), clock)
    yield progress
    progress.close()


@pytest.fixture
def shown(progress, capsys):
    """What the bar shows at last."""

    def show(running, waiting):
        progress.show(running, waiting)
        progress.close()
        return capsys.readouterr().err.strip().split("\r")[-1]

    return show


def pass_steps(progress, clock, *reports):
    for step, seconds in reports:
        clock.now += seconds
        progress.note(FOLDER, RUN, step)


def test_time_left_is_that_of_the_steps_left(progress, clock, shown):
    pass_steps(progress, clock, (1, 0.0), (26, 50.0))
    assert shown({FOLDER: RUN}, []).startswith("0/1 runs, 02:28 left:  25%")


def test_time_left_is_shared_by_the_runs_under_way(progress, clock, shown):
    pass_steps(progress, clock, (1, 0.0), (51, 50.0))
    assert shown({FOLDER: RUN, Path("b"): RUN}, [RUN]).startswith("0/3 runs, 02:04 left:")


def test_steps_before_a_resumption_do_not_count(progress, clock, shown):
    pass_steps(progress, clock, (80, 500.0), (90, 10.0))
    assert shown({FOLDER: RUN}, []).startswith("0/1 runs, 00:10 left:  50%")


def test_time_left_is_unknown_at_first(shown):
    assert shown({FOLDER: RUN}, [RUN]).startswith("0/2 runs, ? left:   0%")


def test_run_that_ended_is_counted(progress, clock, shown):
    pass_steps(progress, clock, (1, 0.0), (50, 49.0))
    clock.now += 50
    progress.finish(FOLDER, RUN)
    assert shown({}, [RUN]).startswith("1/2 runs, 01:40 left:")


def test_bar_is_full_at_the_end(progress, clock, shown):
    pass_steps(progress, clock, (1, 0.0), (50, 49.0))
    progress.finish(FOLDER, RUN)
    assert shown({}, []).startswith("1/1 runs, 00:00 left: 100%")
