"""Where the data of a task come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Dataset, InMemoryDataset

from pyg_remul.datasets import MD17Trajectory, MoCap
from pyg_remul.tasks import TaskData

__all__ = ["Provenance", "check_same_data", "graph_origins", "provenance_of"]

_ROUNDING = 1e-5

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


def check_same_data(what: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuses different data where they must be the same, as far as is known.

    Args:
        what: What must be of the same data, to begin a sentence with.
        found: The fields of a :class:`Provenance` by the place where each was found. Fields that
            are missing or ``None`` are not compared.

    Raises:
        ValueError: If two differ.

    Example:
        >>> check_same_data("The runs", {"a": {"published": True}, "b": {"published": False}})
        Traceback (most recent call last):
        ValueError: The runs must be of the same data, but `published` is True in a and False in ...
    """
    known: dict[str, tuple[str, Any]] = {}
    for place, fields in found.items():
        for name, value in fields.items():
            if value is None:
                continue
            first, expected = known.setdefault(name, (place, value))
            if not _is_same(value, expected):
                raise ValueError(
                    f"{what} must be of the same data, but `{name}` is {expected!r} in {first} and "
                    f"{value!r} in {place}; put the data back, or remove runs that are of others."
                )


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


def _is_same(value: Any, expected: Any) -> bool:
    """Whether two fields are equal, fingerprints but for rounding."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(
            _is_same(value[key], expected[key]) for key in value
        )
    if isinstance(value, float) and isinstance(expected, float):
        return math.isclose(value, expected, rel_tol=_ROUNDING)
    return bool(value == expected)


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
