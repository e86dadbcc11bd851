"""Whole training steps on MD17's graphs: loader, rotations, GNN and optimiser, against PyG's way.

The graphs are those of the paper: heavy atoms with edges over one and two bonds, 500 frames, in
batches of 200. Here the frames are noise about the relaxed molecule. The model is the same in all
cases; PyG's way has another loader, and a dataset that turns its graphs one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import RandomRotate

from pyg_remul import SO3, ConstantWeighting, RandomRotation, RemulLoss, StackedLoader
from pyg_remul.benchmarks.harness import Case, Settings
from pyg_remul.benchmarks.loader import endless
from pyg_remul.benchmarks.report import Report
from pyg_remul.datasets._md17_samples import molecular_graph
from pyg_remul.models import GNN
from pyg_remul.molecules import load_molecule

NUM_GRAPHS, BATCH_SIZE = 500, 200
MOLECULES = ("ethanol", "uracil", "aspirin")
REPS = {"pos": "point", "vel": "vector", "y": "point", "edge_attr": "scalar", "charge": "scalar"}


class Frames(torch.utils.data.Dataset[Data]):
    """Graphs of which each is transformed when it is asked for.

    Args:
        graphs: The graphs.
        transform: Takes one of them.
    """

    def __init__(self, graphs: Sequence[Data], transform: Callable[[Data], Data]) -> None:
        self.graphs, self.transform = graphs, transform

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index: int) -> Data:
        return self.transform(self.graphs[index])


def make_graphs(name: str) -> list[Data]:
    """Frames of a molecule without its hydrogens."""
    atoms = load_molecule(name)
    heavy = torch.from_numpy(atoms.numbers > 1)
    pos, z = torch.tensor(atoms.positions)[heavy].float(), torch.tensor(atoms.numbers)[heavy]
    topology = molecular_graph(pos, z)
    noise = 0.1 * torch.randn(NUM_GRAPHS, 3, *pos.shape)
    return [Data(pos=pos + dx, vel=vel, y=pos + dy, **topology) for dx, vel, dy in noise]


def make_cases(graphs: Sequence[Data], device: str) -> dict[str, dict[str, Case]]:
    """Steps with batches that are turned as a whole, and with graphs that are turned alone."""
    model = GNN(4, 64, num_layers=4, edge_dim=3).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, fused=True)
    augmentation = RemulLoss(SO3(), REPS, weighting=ConstantWeighting(0.0, 1.0))
    remul = RemulLoss(SO3(), REPS)
    stacked = endless(StackedLoader(graphs, BATCH_SIZE, shuffle=True, device=device))

    def usual(dataset: Sequence[Data] | Frames) -> Callable[[], Tensor]:
        take = endless(DataLoader(dataset, BATCH_SIZE, shuffle=True))

        def loss() -> Tensor:
            batch = take().to(device)
            return mse_loss(model(batch), batch.y)

        return loss

    plain, turned = usual(graphs), usual(Frames(graphs, RandomRotation(REPS)))
    turned_by_pyg = usual(Frames(graphs, RandomRotate(180, axis=0)))

    def step(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return {
        "augmentation": {
            "StackedLoader": lambda: step(augmentation(model, stacked()).loss),
            "PyG's DataLoader, RandomRotation": lambda: step(turned()),
            "PyG's DataLoader, PyG's RandomRotate *": lambda: step(turned_by_pyg()),
        },
        "REMUL": {
            "StackedLoader": lambda: step(remul(model, stacked()).loss),
            "PyG's DataLoader, RandomRotation": lambda: step(plain() + turned()),
        },
    }


def main(settings: Settings) -> None:
    """Times the steps on three molecules."""
    torch.manual_seed(0)
    report = Report("throughput", settings)
    for name in MOLECULES:
        graphs = make_graphs(name)
        cases = make_cases(graphs, settings.device)
        nodes, edges = graphs[0].num_nodes, graphs[0].num_edges
        sizes = {"graphs": BATCH_SIZE, "nodes a graph": nodes, "edges a graph": edges}
        for method in ("augmentation", "REMUL"):
            title = f"{method} on heavy atoms of {name}, GNN 4 x 64"
            report.compare(title, cases[method], "StackedLoader", sizes=sizes, work={"steps": 1})
    print("* turns positions only, about one fixed axis; it cannot turn velocities or targets")
