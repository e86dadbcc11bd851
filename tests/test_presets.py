"""Options that go together."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from pyg_remul.config import FLAT_MODELS, ModelName, PresetName, Task
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


@pytest.mark.parametrize("name", get_args(PresetName))
@pytest.mark.parametrize("model", get_args(ModelName))
@pytest.mark.parametrize("task", get_args(Task))
def test_preset_names_itself(task, model, name):
    if task == "nbody" and model in FLAT_MODELS:
        task = "mocap-run"
    config = preset(task, model, name)
    assert (config.task, config.model, config.preset) == (task, model, name)


def test_preset_named_after_a_task_has_the_published_model_of_that_task():
    config = preset("mocap-run", "gatr", "nbody")
    assert (config.num_layers, preset("mocap-run", "gatr", "paper").num_layers) == (10, 12)
    assert config.steps == preset("mocap-run", name="paper").steps


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
