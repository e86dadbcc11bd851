"""Experiments as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyg_remul.reproduction.study import Case, Method, Study

DATA = Path("data")
CASE = Case(name="N-body", options={"task": "nbody", "degrees": 10.0})


def method(**options):
    chosen = {"model": "gnn", "method": "remul", **options}
    return Method(name="GNN", kind="remul", options=chosen, settings=({"beta": 0.1}, {"beta": 1.0}))


def study(**options):
    return Study(cases=(CASE,), methods=(method(),), **options)


def test_setting_comes_before_method_before_case_before_study():
    every = study(options={"lr": 1.0, "clip": 1.0, "degrees": 1.0, "beta": 9.0})
    config = every.config(CASE, method(clip=2.0, beta=8.0), {"beta": 0.1}, seed=0, data=DATA)
    assert (config.lr, config.degrees, config.clip, config.beta) == (1.0, 10.0, 2.0, 0.1)


def test_run_has_the_sizes_of_the_preset():
    config = study(preset="paper").config(CASE, method(), {}, seed=0, data=DATA)
    assert (config.steps, config.preset) == (50_000, "paper")


def test_run_has_its_seed_and_folder():
    config = study().config(CASE, method(), {}, seed=2, data=Path("elsewhere"))
    assert (config.seed, config.data) == (2, Path("elsewhere"))


@pytest.mark.parametrize(("share", "steps"), [(0.25, 300), (1.0, 1500), (0.01, 150), (0.5, 750)])
def test_trial_has_its_share_of_the_steps_in_whole_validations(share, steps):
    assert study(tuning=share).trial(CASE, method(), {}, data=DATA).steps == steps


def test_trial_of_full_length_is_the_run_of_the_first_seed():
    whole = study(tuning=1.0)
    trial = whole.trial(CASE, method(), {"beta": 0.1}, data=DATA)
    assert trial == whole.config(CASE, method(), {"beta": 0.1}, seed=0, data=DATA)


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"method": "plain"}, 1),
        ({"method": "plain", "num_samples": 3}, 1),
        ({"method": "augmentation"}, 1),
        ({"method": "augmentation", "num_samples": 2}, 2),
        ({"method": "remul"}, 2),
        ({"method": "gradnorm", "num_samples": 3}, 4),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_passes_are_those_of_a_step(options, passes):
    assert method(**options).passes == passes


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_share_of_tuning_is_checked(share):
    with pytest.raises(ValueError, match=rf"`tuning` must be in \(0, 1\], got {share}"):
        study(tuning=share)


def test_study_needs_a_seed():
    with pytest.raises(ValueError, match="`seeds` must be positive, got 0"):
        study(seeds=0)
