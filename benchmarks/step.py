"""A training step of REMUL, and one of augmentation, against a plain step."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch_geometric.data import Batch, Data

from pyg_remul import SO3, ConstantWeighting, GradNorm, RemulLoss
from pyg_remul.benchmarks.harness import Case, Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.models import EGNN, GNN, GraphTransformer

NUM_SYSTEMS, NUM_MOLECULES = 64, 200
REPS = {"pos": "point", "vel": "vector", "y": "point", "edge_attr": "scalar"}


def make_bodies(num_nodes: int = 4) -> Data:
    """Bodies without edges."""
    edges = {"edge_index": torch.empty(2, 0, dtype=torch.long), "edge_attr": torch.empty(0, 4)}
    return Data(mass=torch.rand(num_nodes, 1), **make_nodes(num_nodes), **edges)


def make_molecule(num_nodes: int = 13) -> Data:
    """A ring of atoms, with edges to the first and second neighbours."""
    source = torch.arange(num_nodes).repeat(4)
    step = torch.tensor([-2, -1, 1, 2]).repeat_interleave(num_nodes)
    edge_index = torch.stack([source, (source + step) % num_nodes])
    edge_attr = torch.rand(edge_index.size(1), 4)
    charge = torch.rand(num_nodes)
    return Data(charge=charge, edge_index=edge_index, edge_attr=edge_attr, **make_nodes(num_nodes))


def make_nodes(num_nodes: int) -> dict[str, torch.Tensor]:
    """Three geometric attributes."""
    return {name: torch.randn(num_nodes, 3) for name in ("pos", "vel", "y")}


def make_cases(model: nn.Module, batch: Batch) -> dict[str, Case]:
    """The steps of a model on a batch, with GradNorm where it has the head for that."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    remul = RemulLoss(SO3(), REPS)
    separate = RemulLoss(SO3(), REPS, passes="separate")
    augmented = RemulLoss(SO3(), REPS, weighting=ConstantWeighting(0.0, 1.0))

    def step(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    double = Batch.from_data_list(batch.to_data_list() * 2)
    cases: dict[str, Case] = {
        "plain": lambda: step(mse_loss(model(batch), batch.y)),
        "plain, twice the graphs": lambda: step(mse_loss(model(double), double.y)),
        "augmentation": lambda: step(augmented(model, batch).loss),
        "REMUL": lambda: step(remul(model, batch).loss),
        "REMUL, separate passes": lambda: step(separate(model, batch).loss),
    }
    if isinstance(model, GNN | GraphTransformer):
        balanced = RemulLoss(SO3(), REPS, weighting=GradNorm(model.head))
        cases["REMUL, GradNorm"] = lambda: step(balanced(model, batch).loss)
    return cases


def main(settings: Settings) -> None:
    """Times the steps of three models."""
    report = Report("step", settings)
    bodies = Batch.from_data_list([make_bodies() for _ in range(NUM_SYSTEMS)])
    molecules = Batch.from_data_list([make_molecule() for _ in range(NUM_MOLECULES)])
    setups = [
        ("GraphTransformer, 4 x 64", GraphTransformer(7, 64, num_layers=4), bodies),
        ("GNN, 4 x 64", GNN(4, 64, num_layers=4, edge_dim=4), molecules),
        ("EGNN, 4 x 64", EGNN(2, 64, num_layers=4, edge_dim=4), molecules),
    ]
    for name, model, batch in setups:
        cases = make_cases(model.to(settings.device), batch.to(settings.device))
        report.compare(name, cases, "plain", sizes=batch_sizes(batch))
