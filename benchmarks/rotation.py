"""Rotating a batch at once against rotating its graphs one by one."""

from __future__ import annotations

import torch
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import RandomRotate

from pyg_remul import RandomRotation
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.report import Report, batch_sizes

NUM_GRAPHS, NUM_NODES = 200, 9
REPS = {"pos": "point", "vel": "vector", "y": "point"}


def make_graph() -> Data:
    """A graph with three geometric attributes."""
    return Data(**{name: torch.randn(NUM_NODES, 3) for name in REPS})


def main(settings: Settings) -> None:
    """Times the three ways."""
    graphs = [make_graph().to(settings.device) for _ in range(NUM_GRAPHS)]
    batch = Batch.from_data_list(graphs)
    rotate, rotate_pyg = RandomRotation(REPS), RandomRotate(180, axis=0)
    ours = "RandomRotation of the batch"
    cases = {
        ours: lambda: rotate(batch),
        "RandomRotation of each graph, collation": lambda: Batch.from_data_list(
            [rotate(graph) for graph in graphs]
        ),
        "PyG's RandomRotate of each graph, collation *": lambda: Batch.from_data_list(
            [rotate_pyg(graph) for graph in graphs]
        ),
    }
    title = "positions, velocities and targets"
    Report("rotation", settings).compare(title, cases, ours, sizes=batch_sizes(batch))
    print("* turns positions only, about one fixed axis; it cannot turn velocities or targets")
