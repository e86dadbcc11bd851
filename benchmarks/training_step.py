"""Training steps a second at the paper's sizes, which are small: plain, augmentation and REMUL."""

from __future__ import annotations

import torch
from torch import nn
from torch_geometric.data import Batch

from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.benchmarks.step import make_bodies, make_cases, make_molecule
from pyg_remul.models import GNN, GraphTransformer

STEPS = ("plain", "augmentation", "REMUL")


def make_setups() -> dict[str, tuple[nn.Module, Batch]]:
    """The models of arXiv:2410.17878, appendix C, with batches of random graphs."""
    molecules = Batch.from_data_list([make_molecule(9) for _ in range(200)])
    motions = Batch.from_data_list([make_bodies(31) for _ in range(12)])
    systems = Batch.from_data_list([make_bodies(4) for _ in range(64)])
    return {
        "MD17, GNN 4 x 64": (GNN(edge_dim=4), molecules),
        "motion capture, Transformer 10 x 384": (GraphTransformer(), motions),
        "N-body systems, Transformer 10 x 384": (GraphTransformer(), systems),
    }


def main(settings: Settings) -> None:
    """Times the steps of three models."""
    torch.manual_seed(0)
    report = Report("training_step", settings)
    for title, (model, batch) in make_setups().items():
        batch = batch.to(settings.device)
        steps = make_cases(model.to(settings.device), batch)
        cases = {name: steps[name] for name in STEPS}
        report.compare(title, cases, "plain", sizes=batch_sizes(batch), work={"steps": 1})
