"""The options of a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pyg_remul.config import TrainConfig
from pyg_remul.presets import preset


@pytest.mark.parametrize(
    ("name", "value"), [("precision", "fp16"), ("compile", 1), ("cuda_graphs", "yes")]
)
def test_unknown_way_to_run_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be one of .*, got {value!r}"):
        preset("nbody", **{name: value})


def test_method_is_remul_with_equal_weights_by_default():
    config = preset("nbody")
    assert (config.method, config.alpha, config.beta) == ("remul", 1.0, 1.0)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("task", "jet", "`task` must be one of 'nbody', 'mocap-run', .*'md17', got 'jet'."),
        ("preset", "large", "`preset` must be one of 'small', 'paper', .*, got 'large'."),
        ("model", "segnn", "`model` must be one of 'transformer', .*, got 'segnn'."),
        ("method", "da", "`method` must be one of 'plain', .*'gradnorm', got 'da'."),
        ("val_every", 7, "`val_every` must divide `steps`, 1500, got 7; give both."),
        ("model", "mlp", "`model` must not be 'mlp' for the task 'nbody', .*, got 'mlp'."),
        ("model", "per", "`model` must not be 'per' for the task 'nbody', .*, got 'per'."),
        ("prior", -1.0, "`prior` must not be negative, got -1.0."),
        ("prior", 1.0, "`prior` must be None for a model without a penalty, 'transformer', got 1"),
    ],
    ids=["task", "preset", "model", "method", "val_every", "mlp", "per", "prior", "no prior"],
)
def test_impossible_option_is_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{"task": "nbody", option: value})


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize(
    "option",
    [
        *("hidden_channels", "num_layers", "heads", "steps", "batch_size", "val_every", "lr"),
        *("lr_final", "num_samples", "eta", "scale", "error_graphs"),
    ],
)
def test_option_must_be_positive(option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be positive, got {value}."):
        TrainConfig(task="nbody", **{option: value})


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("option", ["clip", "patience", "num_train", "num_eval", "delta", "hops"])
def test_option_must_be_positive_or_none(option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be positive, got {value}."):
        TrainConfig(task="nbody", **{option: value})


@pytest.mark.parametrize("option", ["lr", "lr_final", "eta"])
def test_option_must_be_a_number(option):
    with pytest.raises(ValueError, match=f"`{option}` must be finite, got nan."):
        TrainConfig(task="nbody", **{option: float("nan")})


def test_number_of_graphs_for_the_equivariance_may_be_none():
    assert TrainConfig(task="nbody", equivariance_graphs=0).equivariance_graphs == 0
    with pytest.raises(ValueError, match="`equivariance_graphs` must not be negative, got -1"):
        TrainConfig(task="nbody", equivariance_graphs=-1)


def test_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
        preset("nbody").steps = 3


def test_options_survive_json():
    config = preset("nbody", "gnn", degrees=10.0, patience=3, data=Path("some/where"))
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_options_are_named():
    with pytest.raises(ValueError, match=r"unknown \['epsilon'\] and a task\.$"):
        TrainConfig.from_dict({**preset("nbody").to_dict(), "epsilon": 3})


def test_missing_task_is_named():
    options = preset("nbody").to_dict()
    del options["task"]
    with pytest.raises(ValueError, match=r"unknown \[\] and no task\.$"):
        TrainConfig.from_dict(options)


def test_options_of_an_older_version_are_completed_by_the_defaults():
    options = preset("nbody", "gnn", "paper").to_dict()
    del options["molecule"], options["rotation_pool"]
    assert TrainConfig.from_dict(options) == preset("nbody", "gnn", "paper")


def test_identity_leaves_out_where_and_how_a_run_is_executed():
    config = preset("nbody", "gnn", seed=3)
    moved = dataclasses.replace(config, data=Path("elsewhere"), compile=True, preset="paper")
    assert moved.identity() == config.identity()


@pytest.mark.parametrize("option", [{"seed": 4}, {"beta": 2.0}, {"precision": "bf16"}])
def test_identity_tells_runs_apart(option):
    assert preset("nbody", **option).identity() != preset("nbody").identity()


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("plain", {"beta": 2.0}),
        ("plain", {"degrees": 10.0}),
        ("augmentation", {"beta": 2.0}),
        ("remul", {"gamma": 0.0}),
    ],
    ids=["plain weight", "plain rotations", "augmentation", "remul"],
)
def test_identity_leaves_out_what_the_method_does_not_read(method, option):
    before, after = (preset("nbody", method=method, **o) for o in ({}, option))
    assert after.identity() == before.identity()


def test_identity_holds_no_defaults():
    assert TrainConfig(task="md17", seed=1).identity() == {"task": "md17", "seed": 1}


def test_impossible_stored_option_is_refused():
    with pytest.raises(ValueError, match="`steps` must be positive, got 0"):
        TrainConfig.from_dict(preset("nbody").to_dict() | {"steps": 0})
