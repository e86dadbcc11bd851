"""Prints the tables of docs/models.md: numbers of parameters, and errors of equivariance.

Run: python docs/models.py (some minutes on one core)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from tempfile import TemporaryDirectory

import torch
from torch import nn
from torch_geometric.data import Data
from tqdm import tqdm

from pyg_remul import O3, SO3, StackedLoader, equivariance_error
from pyg_remul.datasets import NBody
from pyg_remul.models import (
    EGNN,
    EMLP,
    GNN,
    PER,
    RPP,
    FlatMLP,
    GATr,
    GraphTransformer,
    MultiChannelEGNN,
    SE3Transformer,
)
from pyg_remul.tables import markdown_table

NUM_GRAPHS, NUM_SAMPLES, STEPS = 100, 100, 100
MOTION_REPS = {"pos": "point", "vel": "vector", "y": "point"}
Build = Callable[[], nn.Module]

PUBLISHED: dict[str, tuple[Build, int]] = {
    "SE3Transformer()": (SE3Transformer, 293_920),
    "GATr(), 10 blocks": (GATr, 2_209_058),
    "GATr(num_layers=12)": (partial(GATr, num_layers=12), 2_650_674),
    "EMLP()": (EMLP, 1_092_648),
    "EMLP(num_nodes=None)": (partial(EMLP, None), 938_838),
    "RPP()": (RPP, 938_325),
    "RPP(num_nodes=None)": (partial(RPP, None), 734_745),
    "PER()": (PER, 1_094_244),
    "EGNN()": (EGNN, 134_852),
    "EGNN(velocity=None)": (partial(EGNN, velocity=None), 117_952),
    "FlatMLP()": (FlatMLP, 1_116_653),
    "GNN()": (GNN, 104_771),
    "GraphTransformer()": (GraphTransformer, 11_827_587),
    "GraphTransformer(hidden_channels=168, num_layers=12)": (
        partial(GraphTransformer, hidden_channels=168, num_layers=12),
        2_725_467,
    ),
}
bodies = {"edge_dim": 0, "inputs": ("mass",)}
ON_BODIES: dict[str, Build] = {
    "EGNN": partial(EGNN, **bodies),
    "EGNN, attention": partial(EGNN, attention=True, **bodies),
    "MultiChannelEGNN": MultiChannelEGNN,
    "SE3Transformer": SE3Transformer,
    "GATr": GATr,
    "GNN": partial(GNN, 7, edge_dim=0, inputs=("mass", "pos", "vel")),
    "GraphTransformer": GraphTransformer,
}
ON_MOTION: dict[str, Build] = {
    "EMLP": EMLP,
    "EMLP, O(3)": partial(EMLP, group="O3"),
    "FlatMLP": FlatMLP,
}
small = {"num_nodes": 5, "hidden_channels": 33, "num_layers": 2}
SOFT: dict[str, Callable[[float], nn.Module]] = {
    "RPP": lambda weight: RPP(basic_prior=weight, bias_prior=weight, **small),
    "PER": lambda weight: PER(penalty=weight, gate_penalty=weight, **small),
}
WEIGHTS = (1.0, 1e2, 1e4)


def main() -> None:
    """Prints the three tables."""
    rows = [
        [name, f"{sum(p.numel() for p in build().parameters()):,}", f"{number:,}"]
        for name, (build, number) in PUBLISHED.items()
    ]
    print(markdown_table(["model", "parameters", "expected"], rows), "\n")
    with TemporaryDirectory() as root:
        systems = NBody(root, "test", num_samples=NUM_GRAPHS, progress=False)
    motions = [make_motion(31) for _ in range(NUM_GRAPHS)]
    cases = [(name, build, systems, NBody.reps) for name, build in ON_BODIES.items()]
    cases += [(name, build, motions, MOTION_REPS) for name, build in ON_MOTION.items()]
    header = ["model", "E", "E'", "E', relative", "float32", "with reflections"]
    print(markdown_table(header, [measure(*case) for case in tqdm(cases)]), "\n")
    points = [make_motion(5) for _ in range(NUM_GRAPHS)]
    rows = [
        [name, *(measure("", partial(build, w), points, MOTION_REPS, 1e-2)[3] for w in WEIGHTS)]
        for name, build in SOFT.items()
    ]
    print(markdown_table(["E', relative, by weight", *(f"{w:g}" for w in WEIGHTS)], rows))


def make_motion(joints: int) -> Data:
    """Gaussian positions and velocities, which go on while gravity acts."""
    pos, vel = torch.randn(2, joints, 3)
    return Data(pos=pos, vel=vel, y=pos + 0.5 * vel - torch.tensor([0.0, 0.1, 0.0]))


def measure(
    name: str, build: Build, graphs: list[Data], reps: dict[str, str], lr: float = 1e-3
) -> list[str]:
    """Trains for a few steps, then measures in float64, in float32, and under O(3)."""
    torch.manual_seed(0)
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for batch in StackedLoader(graphs, 25, shuffle=True, seed=0, steps=STEPS):
        optimizer.zero_grad()
        loss = (model(batch) - batch.y).square().mean()
        penalty = getattr(model, "regularisation", None)
        (loss if penalty is None else loss + penalty()).backward()
        optimizer.step()
    loader = StackedLoader(graphs, 25)
    options = {"reps": reps, "num_samples": NUM_SAMPLES}
    exact = equivariance_error(model, loader, SO3(), dtype=torch.float64, **options)
    single = equivariance_error(model, loader, SO3(), **options)
    mirrored = equivariance_error(model, loader, O3(), dtype=torch.float64, **options)
    keys = ("E", "E_prime", "E_prime_relative")
    figures = [*(exact[key] for key in keys), single[keys[2]], mirrored[keys[2]]]
    return [name, *(f"{float(figure):.1e}" for figure in figures)]


if __name__ == "__main__":
    main()
