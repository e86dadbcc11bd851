"""Batches of StackedLoader against those of PyG's DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, repeat

import torch
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from pyg_remul import StackedLoader
from pyg_remul.benchmarks.harness import Case, Settings
from pyg_remul.benchmarks.report import Report
from pyg_remul.datasets._hops import all_pairs

NUM_GRAPHS, BATCH_SIZES = 4000, (12, 200, 2000)
SIZES = {"nine atoms": (9, 10), "5 to 13 atoms": (5, 14)}


def make_molecule(num_atoms: int, *, same_edges: bool) -> Data:
    """Positions, velocities, targets and edges between all atoms or as many random ones."""
    edges = all_pairs(num_atoms)
    if not same_edges:
        edges = torch.randint(num_atoms, edges.shape)
    vectors = {name: torch.randn(num_atoms, 3) for name in ("pos", "vel", "y")}
    charge, distance = torch.randint(1, 9, (num_atoms,)), torch.rand(edges.size(1), 1)
    return Data(z=charge, edge_index=edges, edge_attr=distance, **vectors)


def make_molecules(low: int, high: int, *, same_edges: bool) -> list[Data]:
    """A dataset of molecules whose numbers of atoms are in a half-open range."""
    sizes = torch.randint(low, high, (NUM_GRAPHS,)).tolist()
    return [make_molecule(size, same_edges=same_edges) for size in sizes]


def endless(loader: Iterable[Batch]) -> Callable[[], Batch]:
    """Takes the next batch, pass after pass."""
    batches = chain.from_iterable(repeat(loader))
    return lambda: next(batches)


def make_cases(graphs: Sequence[Data], batch_size: int, device: str) -> dict[str, Case]:
    """The loaders of a dataset, on a GPU with the transfer that the one needs."""
    stacked = StackedLoader(graphs, batch_size, shuffle=True, device=device)
    plain = endless(DataLoader(graphs, batch_size, shuffle=True))
    return {
        "StackedLoader": endless(stacked),
        "PyG's DataLoader": plain if device == "cpu" else lambda: plain().to(device),
    }


def main(settings: Settings) -> None:
    """Times the next batch of shuffled passes."""
    report = Report("loader", settings)
    for name, (low, high) in SIZES.items():
        for same_edges in (True, False):
            graphs = make_molecules(low, high, same_edges=same_edges)
            edges = "all edges" if same_edges else "random edges"
            for batch_size in BATCH_SIZES:
                cases = make_cases(graphs, batch_size, settings.device)
                title = f"batches of {NUM_GRAPHS} graphs of {name}, {edges}"
                report.compare(title, cases, "StackedLoader", sizes={"graphs": batch_size})
