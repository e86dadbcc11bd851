"""Training steps a second at the paper's sizes, which are small: plain, augmentation and REMUL.

On a GPU the same steps replayed from CUDA graphs stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch_geometric.data import Batch

from pyg_remul import SO3, ConstantWeighting, RemulLoss
from pyg_remul.benchmarks.harness import Case, Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.benchmarks.step import REPS, make_bodies, make_cases, make_molecule
from pyg_remul.captured_step import CapturedStep, CudaRecorder, Recorder
from pyg_remul.element import GroupElement
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


def make_replayed(
    model: nn.Module, batch: Batch, make_recorder: Callable[[], Recorder] = CudaRecorder
) -> dict[str, Case]:
    """The steps whose forward and backward pass are replayed; elements are drawn outside."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    remul = RemulLoss(SO3(), REPS)
    augmented = RemulLoss(SO3(), REPS, weighting=ConstantWeighting(0.0, 1.0))

    def plain_loss(batch: Batch, _: GroupElement | None) -> Tensor:
        return mse_loss(model(batch), batch.y)

    def plain() -> Case:
        captured = CapturedStep(plain_loss, model.parameters(), recorder=make_recorder())
        return lambda: (captured(batch, None), optimizer.step())

    def turned(criterion: RemulLoss) -> Case:
        def loss(batch: Batch, elements: GroupElement | None) -> Tensor:
            return criterion(model, batch, elements=elements).loss

        captured = CapturedStep(loss, model.parameters(), recorder=make_recorder())
        return lambda: (captured(batch, criterion.draw(batch)), optimizer.step())

    steps = dict(zip(STEPS, (plain(), turned(augmented), turned(remul)), strict=True))
    return {f"{name}, replayed": step for name, step in steps.items()}


def main(settings: Settings) -> None:
    """Times the steps of three models."""
    torch.manual_seed(0)
    report = Report("training_step", settings)
    for title, (model, cpu_batch) in make_setups().items():
        batch = cpu_batch.to(settings.device)
        steps = make_cases(model.to(settings.device), batch)
        cases = {name: steps[name] for name in STEPS}
        if settings.device != "cpu":
            cases |= make_replayed(model, batch)
        report.compare(title, cases, "plain", sizes=batch_sizes(batch), work={"steps": 1})
