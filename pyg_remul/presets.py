"""Options that go together: the published protocols, and small versions of them."""

from __future__ import annotations

from typing import Any, TypeAlias, get_args

from pyg_remul.checks import check_choice
from pyg_remul.config import FLAT_MODELS, ModelName, PresetName, Task, TrainConfig

__all__ = ["preset"]

Sizes: TypeAlias = dict[str, Any]

_GRAPH_NETWORK: Sizes = {"hidden_channels": 64, "num_layers": 4}
_SMALL_FLAT: Sizes = {"hidden_channels": 128, "num_layers": 3}
_GATR: Sizes = {"hidden_channels": 16, "hidden_scalars": 128, "heads": 8}
_PAPER_MODELS: dict[str, Sizes] = {
    "transformer": {"hidden_channels": 384, "num_layers": 10, "heads": 8},
    "gnn": _GRAPH_NETWORK,
    "egnn": _GRAPH_NETWORK,
    "se3": {"hidden_channels": 8, "num_layers": 4, "num_degrees": 4, "heads": 1},
    "gatr": _GATR | {"num_layers": 10},
    "mlp": {"hidden_channels": 680, "num_layers": 3},
    "emlp": {"hidden_channels": 532, "num_layers": 3},
    "rpp": {"hidden_channels": 348, "num_layers": 3},
    "per": {"hidden_channels": 532, "num_layers": 3},
}

_MOCAP_MODELS = _PAPER_MODELS | {
    "gatr": _GATR | {"num_layers": 12},
    "se3": _PAPER_MODELS["se3"] | {"hops": 30},  # all pairs of joints
}

_MODELS: dict[str, dict[str, Sizes]] = {
    "small": {
        "transformer": {"hidden_channels": 64, "num_layers": 4, "heads": 4},
        "gnn": _GRAPH_NETWORK,
        "egnn": _GRAPH_NETWORK,
        "se3": {"hidden_channels": 8, "num_layers": 2, "num_degrees": 3, "heads": 1},
        "gatr": {"hidden_channels": 8, "hidden_scalars": 32, "num_layers": 4, "heads": 4},
        **dict.fromkeys(FLAT_MODELS, _SMALL_FLAT),
    },
    "nbody": _PAPER_MODELS,
    "mocap-run": _MOCAP_MODELS,
    "mocap-walk": _MOCAP_MODELS,
    "md17": _PAPER_MODELS,
}
"""Sizes by preset and model; those under a task are of arXiv:2410.17878, appendix C."""

_SMALL_MOCAP: Sizes = {"steps": 3400, "batch_size": 12, "lr": 1e-3, "val_every": 170}
_PAPER_MOCAP: Sizes = {
    "steps": 34_000,
    "batch_size": 12,
    "lr": 3e-4,
    "val_every": 170,
    "lr_final": 1.0,
    "clip": None,
}

_TRAINING: dict[str, dict[str, Sizes]] = {
    "small": {
        "nbody": {"steps": 1500, "batch_size": 64, "lr": 1e-3, "val_every": 150, "num_eval": 1000},
        "mocap-run": _SMALL_MOCAP,
        "mocap-walk": _SMALL_MOCAP,
        "md17": {"steps": 600, "batch_size": 100, "lr": 1e-3, "val_every": 30},
    },
    "paper": {
        "nbody": {
            "steps": 50_000,
            "batch_size": 64,
            "lr": 3e-4,
            "val_every": 1000,
            "degrees": 10.0,
        },
        "mocap-run": _PAPER_MOCAP,
        "mocap-walk": _PAPER_MOCAP,
        "md17": {
            "steps": 1500,
            "batch_size": 200,
            "lr": 5e-4,
            "val_every": 15,
            "lr_final": 1.0,
            "clip": None,
        },
    },
}
"""Training by preset and task."""


def preset(
    task: Task, model: ModelName = "transformer", name: PresetName = "small", **options: Any
) -> TrainConfig:
    """Returns the configuration of a preset.

    Args:
        task: The data.
        model: The architecture.
        name: ``"small"``; ``"paper"``, the published protocol of the task; or the name of a task,
            for the model as published for that one.
        **options: Options of :class:`TrainConfig` that replace the preset's.

    Raises:
        ValueError: If a name is unknown.

    Example:
        >>> preset("nbody", name="paper").hidden_channels
        384
        >>> preset("mocap-run", "gatr", "nbody").num_layers
        10
    """
    check_choice("task", task, get_args(Task))
    check_choice("model", model, get_args(ModelName))
    check_choice("name", name, get_args(PresetName))
    training = _TRAINING["small" if name == "small" else "paper"][task]
    sizes = _MODELS[task if name == "paper" else name][model]
    return TrainConfig(
        **{"task": task, "model": model, "preset": name, **training, **sizes, **options}
    )
