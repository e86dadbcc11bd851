"""Where the data of a task come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Dataset, InMemoryDataset

from pyg_remul.datasets import MD17Trajectory, MoCap
from pyg_remul.tasks import TaskData

__all__ = ["Provenance", "graph_origins", "provenance_of"]

_ORIGINS = ("trial", "frame")
_RECORDINGS = {
    "published": "published file and split",
    "pyg_remul": "recordings of CMU, not the published file, in this project's split",
    "given": "recordings of CMU, not the published file, in a split of the user's",
}
_TRAJECTORIES = {
    "md17": "published trajectory",
    "xtb": "trajectory of this project, not MD17's DFT",
    "ase": "trajectory of the user's, not MD17's DFT",
}


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the numbers of a run are about."""

    source: str
    """Where the data come from."""
    published: bool
    """Whether they are those of the publications, or made by their recipe."""
    graphs: dict[str, int]
    """The graphs of each split."""
    fingerprint: dict[str, float] | None = None
    """A number for each test split that tells its targets from others, and is the same but for
    rounding wherever they are made; ``None`` in runs of older versions."""


def provenance_of(data: TaskData) -> Provenance:
    """Says where the data of a task come from.

    Args:
        data: The task's datasets.
    """
    graphs = {"train": len(data.train), "val": len(data.val)}
    graphs |= {split: len(dataset) for split, dataset in data.tests.items()}
    source, published = _describe(next(iter(data.tests.values())))
    fingerprint = {split: _fingerprint(dataset) for split, dataset in data.tests.items()}
    return Provenance(source=source, published=published, graphs=graphs, fingerprint=fingerprint)


def graph_origins(data: TaskData) -> dict[str, dict[str, Tensor]]:
    """What tells which test graphs belong together.

    Args:
        data: The task's datasets.

    Returns:
        For each split ``trial`` and ``frame``, as far as its graphs have them, each of shape
        ``[B]``.
    """
    return {
        split: {name: getattr(dataset, name) for name in _ORIGINS if name in dataset[0]}
        for split, dataset in data.tests.items()
    }


def _fingerprint(dataset: InMemoryDataset) -> float:
    """The mean square of the targets with weights from 0 to 1, which tells of their order too.

    A hash would differ by the rounding of simulated systems on another machine.
    """
    squares = dataset.y.double().square().sum(dim=-1)
    weights = torch.linspace(0, 1, len(squares), dtype=torch.float64)
    return float((weights * squares).mean())


def _describe(dataset: Dataset) -> tuple[str, bool]:
    match dataset:
        case MoCap():
            source = f"{_RECORDINGS[dataset.split_source]}, {dataset.delta:,} frames ahead"
            return source, dataset.split_source == "published"
        case MD17Trajectory():
            kind, delta = _TRAJECTORIES[dataset.source], dataset.options.delta
            return f"{dataset.level} {kind}, {delta:,} frames ahead", dataset.source == "md17"
        case _:
            return "simulated by the published recipe", True
