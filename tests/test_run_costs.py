"""Estimates of how long runs take."""

from __future__ import annotations

import pytest

from pyg_remul.presets import preset
from pyg_remul.run_costs import RunCosts

GNN, GATR = preset("nbody", "gnn"), preset("nbody", "gatr")


@pytest.fixture
def costs():
    return RunCosts()


def test_measured_steps_give_the_time_of_a_run(costs):
    costs.note(GNN, steps=100, seconds=2.0)
    costs.note(GNN, steps=100, seconds=4.0)
    assert costs.seconds(GNN) == pytest.approx(0.03 * GNN.steps)
    assert costs.seconds(GNN, steps=10) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "options",
    [{"seed": 1}, {"lr": 0.1}, {"beta": 7.0}],
    ids=["seed", "learning rate", "weight"],
)
def test_runs_that_cost_the_same_share_their_measurements(costs, options):
    costs.note(GNN, steps=1, seconds=5.0)
    assert costs.seconds(preset("nbody", "gnn", **options), steps=1) == 5.0


@pytest.mark.parametrize(
    "options",
    [{"hidden_channels": 7}, {"method": "plain"}, {"batch_size": 7}, {"num_samples": 2}],
    ids=["width", "method", "batch", "samples"],
)
def test_runs_that_cost_another_time_do_not(costs, options):
    other = preset("nbody", "gnn", **options)
    costs.note(GNN, steps=1, seconds=5.0)
    costs.note(other, steps=1, seconds=3.0)
    assert (costs.seconds(GNN, steps=1), costs.seconds(other, steps=1)) == (5.0, 3.0)


def test_kinds_not_measured_stand_in_the_usual_proportion(costs):
    usual = costs.seconds(GATR, steps=1) / costs.seconds(GNN, steps=1)
    costs.note(GNN, steps=100, seconds=2.0)
    assert costs.seconds(GATR, steps=1) == pytest.approx(0.02 * usual)
    assert usual > 5
