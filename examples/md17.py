"""Molecules: where the heavy atoms of a trajectory will be thousands of frames later.

Put `md17_ethanol.npz` into data/md17/raw, or let the dataset download it, or make a trajectory by
`pyg-remul simulate ethanol` for `--source xtb`; then
run: python examples/md17.py --molecule ethanol --method remul --beta 0.1
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
from pyg_remul.datasets import MD17Trajectory
from pyg_remul.models import EGNN, GNN

REPS = MD17Trajectory.reps


def build_model(name: str) -> nn.Module:
    if name == "egnn":
        return EGNN(2, edge_dim=3, inputs=("charge",))
    return GNN(4, edge_dim=3, inputs=("pos", "charge"))


def build_criterion(args: argparse.Namespace, model: nn.Module) -> RemulLoss:
    if args.method == "gradnorm":
        return RemulLoss(SO3(), REPS, weighting=GradNorm(model.head, beta=args.beta))
    return RemulLoss(SO3(), REPS, weighting=ConstantWeighting(1.0, args.beta))


@torch.no_grad()
def test_error(model: nn.Module, batches: list[Batch]) -> float:
    model.eval()
    total = sum(batch.num_graphs * mse_loss(model(batch), batch.y).item() for batch in batches)
    model.train()
    return total / sum(batch.num_graphs for batch in batches)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--molecule", default="ethanol")
    parser.add_argument("--source", choices=("md17", "xtb"), default="md17")
    parser.add_argument("--delta", type=int, default=3000, help="frames ahead; 5000 in the paper")
    parser.add_argument("--model", choices=("gnn", "egnn"), default="gnn")
    methods = ("plain", "augmentation", "remul", "gradnorm")
    parser.add_argument("--method", choices=methods, default="remul")
    parser.add_argument("--beta", type=float, default=0.1, help="weight of the equivariance loss")
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", default="data/md17")
    args = parser.parse_args(argv)
    print(vars(args))
    seed_everything(args.seed)

    sets = {
        split: MD17Trajectory(args.root, args.molecule, split, source=args.source, delta=args.delta)
        for split in ("train", "val", "test")
    }
    print(f"{args.molecule} by {sets['test'].level}")
    train = DataLoader(sets["train"], batch_size=200, shuffle=True)
    val, test = (list(DataLoader(sets[split], batch_size=500)) for split in ("val", "test"))
    turn = RandomRotation(REPS)
    model = build_model(args.model)
    if args.method == "gradnorm" and not isinstance(getattr(model, "head", None), nn.Linear):
        parser.error(f"--method gradnorm needs a model with a linear head, got {args.model}")
    criterion = build_criterion(args, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)

    best, state = float("inf"), copy.deepcopy(model.state_dict())
    progress = trange(args.epochs, desc=args.method)
    for _ in progress:
        for batch in train:
            if args.method in ("remul", "gradnorm"):
                loss = criterion(model, batch).loss
            else:  # one pass, for augmentation of graphs that are turned, each by its own rotation
                graphs = turn(batch) if args.method == "augmentation" else batch
                loss = mse_loss(model(graphs), graphs.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if (error := test_error(model, val)) < best:
            best, state = error, copy.deepcopy(model.state_dict())
        progress.set_postfix(val=f"{100 * best:.3f}e-2")

    model.load_state_dict(state)
    print(f"test MSE {100 * test_error(model, test):.3f}e-2 A^2")
    errors = equivariance_error(model, test, SO3(), reps=REPS, max_graphs=100)
    print(f"E {errors['E']:.3f}, E' {errors['E_prime']:.3f} A")


if __name__ == "__main__":
    main()
