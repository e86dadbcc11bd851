"""The datasets and models that a configuration names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn
from torch_geometric.data import Data, InMemoryDataset

from pyg_remul.config import TrainConfig
from pyg_remul.datasets import MD17Trajectory, MoCap, NBody
from pyg_remul.models import (
    EGNN,
    EMLP,
    GNN,
    PER,
    RPP,
    FlatMLP,
    GATr,
    GraphTransformer,
    SE3Transformer,
)
from pyg_remul.scaled_model import ScaledModel

_Options: TypeAlias = dict[str, Any]

__all__ = ["TaskData", "build_model", "load_task"]

_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class TaskData:
    """The datasets of a task.

    Attributes:
        train: Training graphs.
        val: Validation graphs.
        tests: Test graphs by the name of the split.
        reps: The representation of each attribute.
        inputs: The node attributes that a model reads.
        scalars: Those of them that are invariant.
        edge_dim: Columns of the edge attributes, 0 for none.
    """

    train: InMemoryDataset
    val: InMemoryDataset
    tests: dict[str, InMemoryDataset]
    reps: dict[str, str]
    inputs: tuple[str, ...]
    scalars: tuple[str, ...]
    edge_dim: int


def load_task(config: TrainConfig, *, progress: bool = True) -> TaskData:
    """Loads, and on first use prepares, the datasets of a configuration.

    Args:
        config: Names the task and its sizes.
        progress: Whether to show a bar while simulating, or reading a trajectory.
    """
    match config.task:
        case "nbody":
            return _load_nbody(config, progress)
        case "md17":
            return _load_md17(config, progress)
        case _:
            return _load_mocap(config)


def _load_nbody(config: TrainConfig, progress: bool) -> TaskData:
    sizes = {"train": config.num_train} | dict.fromkeys(("val", "test", "ood"), config.num_eval)
    sets = {
        split: NBody(
            config.data / "nbody", split, num_samples=num, seed=config.data_seed, progress=progress
        )
        for split, num in sizes.items()
    }
    tests = {split: sets[split] for split in ("test", "ood")}
    inputs, scalars = ("mass", "pos", "vel"), ("mass",)
    return TaskData(sets["train"], sets["val"], tests, NBody.reps, inputs, scalars, edge_dim=0)


def _load_mocap(config: TrainConfig) -> TaskData:
    given = {"delta": config.delta, "hops": config.hops}
    options: _Options = {name: value for name, value in given.items() if value is not None}
    motion = config.task.removeprefix("mocap-")
    train, val, test = (MoCap(config.data / "mocap", motion, split, **options) for split in _SPLITS)
    train = train if config.num_train is None else train[: config.num_train]
    return TaskData(train, val, {"test": test}, MoCap.reps, ("pos", "vel"), (), edge_dim=1)


def _load_md17(config: TrainConfig, progress: bool) -> TaskData:
    options: _Options = {} if config.delta is None else {"delta": config.delta}
    sizes = (config.num_train, config.num_eval, config.num_eval)
    train, val, test = (
        MD17Trajectory(
            config.data / "md17",
            config.molecule,
            split,
            source=config.source,
            max_samples=size,
            progress=progress,
            **options,
        )
        for split, size in zip(_SPLITS, sizes, strict=True)
    )
    inputs, scalars = ("pos", "charge"), ("charge",)  # no velocities, as in REMUL
    return TaskData(train, val, {"test": test}, train.reps, inputs, scalars, edge_dim=3)


def build_model(config: TrainConfig, data: TaskData) -> nn.Module:
    """Builds the model of a configuration, with weights drawn from its seed.

    Args:
        config: Names the model, its sizes and the seed.
        data: The task's datasets, of which the first graph gives the widths.
    """
    graph = data.train[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        by_width = config.model in ("transformer", "gnn", "egnn", "mlp")
        model = (_build_by_width if by_width else _build_by_kind)(config, data, graph)
    if config.scale == 1:
        return model
    lengths = [name for name in ("pos", "vel") if name in graph]
    return ScaledModel(model, config.scale, lengths)


def _build_by_width(config: TrainConfig, data: TaskData, graph: Data) -> nn.Module:
    """Builds a model that reads its inputs as columns, whatever they mean."""
    width = sum(graph[name].size(-1) for name in data.inputs)
    size: _Options = {"hidden_channels": config.hidden_channels, "num_layers": config.num_layers}
    match config.model:
        case "mlp":
            return FlatMLP(graph.num_nodes, width, inputs=data.inputs, **size)
        case "gnn":
            return GNN(width, edge_dim=data.edge_dim, inputs=data.inputs, **size)
        case "egnn":
            columns = 1 + sum(graph[name].size(-1) for name in data.scalars)
            return EGNN(columns, edge_dim=data.edge_dim, inputs=data.scalars, **size)
        case _:
            return GraphTransformer(width, inputs=data.inputs, heads=config.heads, **size)


def _build_by_kind(config: TrainConfig, data: TaskData, graph: Data) -> nn.Module:
    """Builds a model that reads its inputs as scalars, vectors and points."""
    scalars = {name: f"{graph[name].size(-1)}xscalar" for name in data.scalars}
    options: _Options = {
        "hidden_channels": config.hidden_channels,
        "num_layers": config.num_layers,
        "inputs": data.inputs,
        "reps": data.reps | scalars,
    }
    penalty = "basic_prior" if config.model == "rpp" else "penalty"
    prior: _Options = {} if config.prior is None else {penalty: config.prior}
    match config.model:
        case "se3":
            options |= {
                "inputs": ("pos", "vel"),
                "mass": "mass" if "mass" in data.scalars else None,
            }
            return SE3Transformer(
                edge_dim=data.edge_dim,
                num_degrees=config.num_degrees,
                heads=config.heads,
                **options,
            )
        case "gatr":
            scalar_width = config.hidden_scalars
            return GATr(hidden_scalars=scalar_width, heads=config.heads, **options, **prior)
        case "rpp":
            return RPP(graph.num_nodes, **options, **prior)
        case "per":
            return PER(graph.num_nodes, **options, **prior)
        case _:
            return EMLP(graph.num_nodes, **options)
