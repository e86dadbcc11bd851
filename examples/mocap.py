"""Motion capture: where a runner's or a walker's joints will be in a quarter of a second.

Put `motion_run.pkl`, or CMU's files of subject 35, into data/mocap/raw, or let the dataset download
them; then
run: python examples/mocap.py --method remul --beta 0.1
"""

import argparse
import copy

import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch_geometric import seed_everything
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from tqdm import trange

from pyg_remul import (
    SO3,
    ConstantWeighting,
    GradNorm,
    RandomRotation,
    RemulLoss,
    equivariance_error,
)
from pyg_remul.datasets import MoCap
from pyg_remul.models import EGNN, EMLP, GNN, FlatMLP, GraphTransformer


def build_model(name: str, hidden: int) -> nn.Module:
    if name == "gnn":
        return GNN(6, hidden, edge_dim=1, inputs=("pos", "vel"))
    if name == "egnn":
        return EGNN(1, hidden, edge_dim=1, inputs=())
    if name == "transformer":
        return GraphTransformer(6, hidden, num_layers=4, heads=4, inputs=("pos", "vel"))
    return EMLP(31, hidden) if name == "emlp" else FlatMLP(31, 6, hidden)


@torch.no_grad()
def test_error(model: nn.Module, batches: list[Batch]) -> float:
    model.eval()
    total = sum(batch.num_graphs * mse_loss(model(batch), batch.y).item() for batch in batches)
    model.train()
    return total / sum(batch.num_graphs for batch in batches)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--motion", choices=("run", "walk"), default="run")
    models = ("mlp", "emlp", "gnn", "egnn", "transformer")
    parser.add_argument("--model", choices=models, default="mlp")
    parser.add_argument("--hidden", type=int, default=128, help="680 in the paper, for the mlp")
    methods = ("plain", "augmentation", "remul", "gradnorm")
    parser.add_argument("--method", choices=methods, default="remul")
    parser.add_argument("--beta", type=float, default=0.1, help="weight of the equivariance loss")
    parser.add_argument("--epochs", type=int, default=200, help="2000 in the paper")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", default="data/mocap")
    args = parser.parse_args(argv)
    print(vars(args))
    seed_everything(args.seed)

    # Augmentation is a transform of the training set; REMUL turns the batches itself.
    transform = RandomRotation(MoCap.reps) if args.method == "augmentation" else None
    sets = {split: MoCap(args.root, args.motion, split) for split in ("val", "test")}
    val, test = (list(DataLoader(sets[split], batch_size=120)) for split in ("val", "test"))
    train_set = MoCap(args.root, args.motion, transform=transform)
    train = DataLoader(train_set, batch_size=12, shuffle=True)
    print(f"{args.motion}: {train_set.split_source} split")
    model = build_model(args.model, args.hidden)
    if args.method == "gradnorm" and not isinstance(getattr(model, "head", None), nn.Linear):
        parser.error(f"--method gradnorm needs a model with a linear head, got {args.model}")
    weighting = ConstantWeighting(1.0, args.beta)
    if args.method == "gradnorm":
        weighting = GradNorm(model.head, beta=args.beta)
    criterion = RemulLoss(SO3(), MoCap.reps, weighting=weighting)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)

    best, state = float("inf"), copy.deepcopy(model.state_dict())
    progress = trange(args.epochs, desc=args.method)
    for _ in progress:
        for batch in train:
            if args.method in ("remul", "gradnorm"):
                loss = criterion(model, batch).loss
            else:
                loss = criterion.supervise(model, batch)  # without a pass of turned graphs
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if (error := test_error(model, val)) < best:
            best, state = error, copy.deepcopy(model.state_dict())
        progress.set_postfix(val=f"{best:.3f}")

    model.load_state_dict(state)
    print(f"test MSE {100 * test_error(model, test):.1f}e-2 in ASF units squared")
    errors = equivariance_error(model, test, SO3(), reps=MoCap.reps, max_graphs=100)
    print(f"E {errors['E']:.3f}, E' {errors['E_prime']:.3f} in ASF units")


if __name__ == "__main__":
    main()
