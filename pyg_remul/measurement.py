"""What a trained model is worth: its errors and its equivariance on the test splits."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch_geometric.data import InMemoryDataset

from pyg_remul.evaluation import device_of, evaluating
from pyg_remul.groups import SO3
from pyg_remul.metrics import equivariance_error
from pyg_remul.ops import Segments, segment_mean
from pyg_remul.stacked_loader import StackedLoader
from pyg_remul.tasks import TaskData

__all__ = ["evaluate_model", "graph_errors"]


def graph_errors(model: nn.Module, data: TaskData) -> dict[str, Tensor]:
    """The squared error of every test graph, for comparisons graph by graph.

    Args:
        model: The model.
        data: The task's datasets.

    Returns:
        For each split the mean squared error over nodes and coordinates of its graphs, in their
        order, in float64.
    """
    errors = {}
    for split, dataset in data.tests.items():
        parts = []
        with evaluating(model, None), torch.no_grad():
            for batch in _loader(model, dataset):
                squared = (model(batch) - batch.y).double().square().mean(dim=1, keepdim=True)
                graphs = Segments(batch.batch, batch.num_graphs)
                parts.append(segment_mean(squared, graphs).flatten())
        errors[split] = torch.cat(parts).cpu()
    return errors


def evaluate_model(
    model: nn.Module,
    data: TaskData,
    *,
    num_samples: int = 100,
    num_graphs: int = 100,
    errors: Mapping[str, Tensor] | None = None,
) -> dict[str, dict[str, float]]:
    """Measures the error and the equivariance of a model on the test splits.

    Args:
        model: The model.
        data: The task's datasets.
        num_samples: Elements, uniform rotations, for the equivariance errors.
        num_graphs: Test graphs for the equivariance errors, which are taken in float64.
        errors: Those of :func:`graph_errors`, if they are known.

    Returns:
        For each split ``mse``, the mean squared error over nodes and coordinates, and for the first
        of them the values of :func:`~pyg_remul.equivariance_error`.
    """
    errors = graph_errors(model, data) if errors is None else errors
    results = {}
    for split, dataset in data.tests.items():
        nodes = torch.cat([batch.ptr.diff().cpu() for batch in _loader(model, dataset)])
        results[split] = {"mse": float((errors[split] * nodes).sum() / nodes.sum())}
    first = next(iter(data.tests))
    results[first] |= equivariance_error(
        model,
        _loader(model, data.tests[first]),
        SO3(),
        reps=data.reps,
        num_samples=num_samples,
        max_graphs=num_graphs,
        dtype=torch.float64,
    )
    return results


def _loader(model: nn.Module, dataset: InMemoryDataset) -> StackedLoader:
    return StackedLoader(dataset, 500, device=device_of(model))
