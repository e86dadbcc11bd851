"""The options of a run and their presets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import get_args

import pytest

from pyg_remul.config import FLAT_MODELS, ModelName, PresetName, TrainConfig
from pyg_remul.presets import preset

PAPER = {
    ("nbody", "transformer"): {
        "hidden_channels": 384,
        "num_layers": 10,
        "heads": 8,
        "steps": 50_000,
        "batch_size": 64,
        "lr": 3e-4,
        "lr_final": 0.01096,
        "clip": 10.0,
        "val_every": 1000,
        "degrees": 10.0,
        "num_train": None,
        "num_eval": None,
    },
    ("mocap-run", "transformer"): {
        "hidden_channels": 384,
        "num_layers": 10,
        "heads": 8,
        "steps": 34_000,
        "batch_size": 12,
        "lr": 3e-4,
        "lr_final": 1.0,
        "clip": None,
    },
    ("mocap-run", "mlp"): {"hidden_channels": 680, "num_layers": 3, "batch_size": 12, "lr": 3e-4},
    ("nbody", "gatr"): {
        "hidden_channels": 16,
        "hidden_scalars": 128,
        "num_layers": 10,
        "heads": 8,
    },
    ("mocap-run", "gatr"): {"num_layers": 12},
    ("nbody", "se3"): {"hidden_channels": 8, "num_layers": 4, "num_degrees": 4, "heads": 1},
    ("mocap-run", "emlp"): {"hidden_channels": 532, "num_layers": 3},
    ("mocap-run", "rpp"): {"hidden_channels": 348, "num_layers": 3},
    ("mocap-run", "per"): {"hidden_channels": 532, "num_layers": 3},
    ("mocap-walk", "mlp"): {"hidden_channels": 680, "steps": 34_000, "clip": None},
    ("md17", "gnn"): {
        "hidden_channels": 64,
        "num_layers": 4,
        "steps": 1500,
        "batch_size": 200,
        "lr": 5e-4,
        "lr_final": 1.0,
    },
    ("nbody", "gnn"): {"hidden_channels": 64, "num_layers": 4},
    ("nbody", "egnn"): {"hidden_channels": 64, "num_layers": 4},
}


def fields(config):
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


@pytest.mark.parametrize(("task", "model"), PAPER, ids="-".join)
def test_paper_preset_has_the_published_sizes(task, model):
    options = fields(preset(task, model, "paper"))
    expected = PAPER[task, model]
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize("task", ["mocap-run", "mocap-walk"])
def test_paper_preset_lets_the_se3_transformer_read_all_pairs_of_joints(task):
    assert preset(task, "se3", "paper").hops == 30
    assert preset(task, "gnn", "paper").hops is None


def test_paper_preset_passes_the_running_data_2000_times():
    config = preset("mocap-run", name="paper")
    assert config.steps == 2000 * -(-200 // config.batch_size)


@pytest.mark.parametrize(
    ("name", "value"), [("precision", "fp16"), ("compile", 1), ("cuda_graphs", "yes")]
)
def test_unknown_way_to_run_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be one of .*, got {value!r}"):
        preset("nbody", **{name: value})


@pytest.mark.parametrize("name", get_args(PresetName))
@pytest.mark.parametrize("model", get_args(ModelName))
@pytest.mark.parametrize("task", ["nbody", "mocap-run"])
def test_preset_names_itself(task, model, name):
    if task == "nbody" and model in FLAT_MODELS:
        task = "mocap-run"
    config = preset(task, model, name)
    assert (config.task, config.model, config.preset) == (task, model, name)


def test_preset_named_after_a_task_has_the_published_model_of_that_task():
    config = preset("mocap-run", "gatr", "nbody")
    assert (config.num_layers, preset("mocap-run", "gatr", "paper").num_layers) == (10, 12)
    assert config.steps == preset("mocap-run", name="paper").steps


def test_method_is_remul_with_equal_weights_by_default():
    config = preset("nbody")
    assert (config.method, config.alpha, config.beta) == ("remul", 1.0, 1.0)


def test_options_replace_those_of_a_preset():
    config = preset("nbody", "gnn", "paper", steps=100, val_every=10, beta=0.5)
    assert (config.steps, config.val_every, config.beta) == (100, 10, 0.5)
    assert config.hidden_channels == 64


def test_presets_are_not_changed_by_options():
    before = preset("nbody")
    preset("nbody", steps=10, val_every=5)
    assert preset("nbody") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("jet",), "`task` must be one of 'nbody', 'mocap-run', .*'md17', got 'jet'."),
        (("nbody", "segnn"), "`model` must be one of 'transformer', 'gnn', .*'per', got 'segnn'."),
        (("nbody", "gnn", "large"), "`name` must be one of 'small', 'paper', .*, got 'large'."),
    ],
    ids=["task", "model", "name"],
)
def test_unknown_preset_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        preset(*arguments)


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
        *("lr_final", "num_samples", "eta"),
    ],
)
def test_option_must_be_positive(option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be positive, got {value}."):
        TrainConfig(task="nbody", **{option: value})


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("option", ["clip", "patience", "num_train", "num_eval"])
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


def test_identity_holds_no_defaults():
    assert TrainConfig(task="md17", seed=1).identity() == {"task": "md17", "seed": 1}


def test_impossible_stored_option_is_refused():
    with pytest.raises(ValueError, match="`steps` must be positive, got 0"):
        TrainConfig.from_dict(preset("nbody").to_dict() | {"steps": 0})
