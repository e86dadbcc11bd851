"""The choice among the settings of a method."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tiny_studies import (
    NBODY,
    RATES,
    SWEPT,
    TUNED,
    tiny_study,
    write_diverged,
    write_fallen,
    write_finished,
)

from pyg_remul.reproduction.contest import Contest
from pyg_remul.reproduction.shared_runs import SharedRuns
from pyg_remul.reproduction.study import Method

DATA = Path("data")
SINGLE = Method(name="EGNN", kind="rival", options={"model": "egnn", "method": "plain"})


@pytest.fixture
def enter(tmp_path):
    """Gives the contest of a method."""

    def build(method, **options):
        return Contest(tiny_study(method, **options), NBODY, method, SharedRuns(tmp_path), DATA)

    return build


def trial(contest, setting):
    return contest.study.trial(NBODY, contest.method, setting, data=DATA)


def full(contest, setting):
    return [
        contest.study.config(NBODY, contest.method, setting, seed=seed, data=DATA)
        for seed in range(contest.study.seeds)
    ]


def finish(contest, config, loss):
    write_finished(contest.runs.folder(config), config, loss)


def diverge(contest, config):
    write_diverged(contest.runs.folder(config), config)


def compete(contest, *losses):
    for setting, loss in zip(contest.method.settings, losses, strict=True):
        config = trial(contest, setting)
        diverge(contest, config) if loss == math.inf else finish(contest, config, loss)


def summary(contest):
    return [
        (outcome.setting, outcome.chosen, outcome.validation, len(outcome.runs))
        for outcome in contest.outcomes()
    ]


def test_settings_compete_in_short_trials_of_the_first_seed(enter):
    contest = enter(TUNED)
    assert contest.trials() == [trial(contest, setting) for setting in RATES]
    assert {(config.steps, config.seed) for config in contest.trials()} == {(4, 0)}


def test_trials_that_have_ended_are_not_repeated(enter):
    contest = enter(TUNED)
    finish(contest, trial(contest, RATES[0]), 1.0)
    assert contest.trials() == [trial(contest, RATES[1])]


def test_without_a_choice_there_are_no_trials(enter):
    assert enter(SINGLE).trials() == []


def test_settings_of_a_sweep_compete_like_all_others(enter):
    contest = enter(SWEPT)
    assert contest.trials() == [trial(contest, setting) for setting in SWEPT.settings]


def test_all_settings_of_a_sweep_are_trained_in_full(enter):
    contest = enter(SWEPT)
    wanted = [config for setting in SWEPT.settings for config in full(contest, setting)]
    assert contest.missing() == wanted
    finish(contest, wanted[1], 1.0)
    assert contest.missing() == [wanted[0], *wanted[2:]]


def test_best_setting_alone_is_trained_in_full(enter):
    contest = enter(TUNED)
    compete(contest, 2.0, 1.0)
    assert contest.missing() == full(contest, RATES[1])


def test_first_of_equal_settings_is_chosen(enter):
    contest = enter(TUNED)
    compete(contest, 1.0, 1.0)
    assert contest.missing() == full(contest, RATES[0])


def test_as_many_full_runs_are_expected_before_the_choice(enter):
    assert len(enter(TUNED, seeds=3).missing()) == 3


def test_chosen_setting_alone_has_runs(enter):
    contest = enter(TUNED)
    compete(contest, 2.0, 1.0)
    for config in full(contest, RATES[1]):
        finish(contest, config, 0.5)
    assert summary(contest) == [(RATES[0], False, 2.0, 0), (RATES[1], True, 1.0, 2)]


def test_full_runs_of_another_study_are_not_shown_for_a_setting_that_was_only_tried(enter):
    contest = enter(TUNED)
    compete(contest, 2.0, 1.0)
    for setting in RATES:
        for config in full(contest, setting):
            finish(contest, config, 0.5)
    assert [len(outcome.runs) for outcome in contest.outcomes()] == [0, 2]


def test_settings_of_a_sweep_are_compared_by_their_trials(enter):
    contest = enter(SWEPT)
    compete(contest, 1.0, 2.0)
    first, second = (full(contest, setting) for setting in SWEPT.settings)
    for config, loss in zip([*first, *second], [4.0, 4.0, 3.0, 3.0], strict=True):
        finish(contest, config, loss)
    beta_1, beta_2 = SWEPT.settings
    assert summary(contest) == [(beta_1, True, 1.0, 2), (beta_2, False, 2.0, 2)]


def test_setting_whose_trial_diverged_has_lost(enter):
    contest = enter(TUNED)
    compete(contest, math.inf, 5.0)
    assert contest.missing() == full(contest, RATES[1])


def test_next_setting_is_trained_where_a_full_run_diverged(enter):
    contest = enter(TUNED)
    compete(contest, 1.0, 2.0)
    diverge(contest, full(contest, RATES[0])[1])
    assert contest.missing() == full(contest, RATES[1])
    for config in full(contest, RATES[1]):
        finish(contest, config, 0.5)
    assert summary(contest) == [(RATES[0], False, math.inf, 0), (RATES[1], True, 2.0, 2)]


def test_sweep_leaves_a_setting_of_which_a_run_diverged(enter):
    contest = enter(SWEPT)
    diverge(contest, full(contest, SWEPT.settings[0])[0])
    assert contest.missing() == full(contest, SWEPT.settings[1])


@pytest.mark.parametrize("method", [TUNED, SWEPT], ids=["trials", "sweep"])
def test_nothing_is_trained_where_all_settings_diverged(enter, method):
    contest = enter(method)
    for setting in method.settings:
        diverge(contest, trial(contest, setting))
        diverge(contest, full(contest, setting)[0])
    assert contest.missing() == contest.trials() == []
    first, second = method.settings
    assert summary(contest) == [(first, True, math.inf, 0), (second, False, math.inf, 0)]


def test_test_errors_that_are_not_finite_take_no_part_in_the_choice(enter):
    contest = enter(TUNED)
    write_fallen(contest.runs.folder(trial(contest, RATES[0])), trial(contest, RATES[0]), 1.0)
    finish(contest, trial(contest, RATES[1]), 2.0)
    first, second = full(contest, RATES[0])
    assert contest.missing() == [first, second]
    finish(contest, first, 1.0)
    write_fallen(contest.runs.folder(second), second)
    assert contest.missing() == []
    assert summary(contest) == [(RATES[0], True, 1.0, 0), (RATES[1], False, 2.0, 0)]
