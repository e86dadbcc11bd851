"""N-body systems: train any model with REMUL, augmentation or neither, and test it turned.

Run: python examples/nbody.py --model transformer --method remul --beta 10
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

from pyg_remul import SO3, ConstantWeighting, GradNorm, RemulLoss, equivariance_error
from pyg_remul.datasets import NBody
from pyg_remul.models import EGNN, GNN, GATr, GraphTransformer, SE3Transformer

INPUTS = ("mass", "pos", "vel")


def build_model(name: str) -> nn.Module:
    if name == "gnn":
        return GNN(7, edge_dim=0, inputs=INPUTS)
    if name == "egnn":
        return EGNN(2, edge_dim=0, inputs=("mass",))
    if name == "se3":
        return SE3Transformer(num_layers=2, num_degrees=3)
    if name == "gatr":
        return GATr(8, num_layers=4, hidden_scalars=32, heads=4, penalty=0.0)
    return GraphTransformer(7, hidden_channels=64, num_layers=4, heads=4, inputs=INPUTS)


def build_criterion(args: argparse.Namespace, model: nn.Module) -> RemulLoss:
    group = SO3(degrees=args.degrees)
    if args.method == "gradnorm":
        return RemulLoss(group, NBody.reps, weighting=GradNorm(model.head, beta=args.beta))
    alpha, beta = {"plain": (1, 0), "augmentation": (0, 1)}.get(args.method, (1, args.beta))
    return RemulLoss(group, NBody.reps, weighting=ConstantWeighting(alpha, beta))


@torch.no_grad()
def test_error(model: nn.Module, batches: list[Batch]) -> float:
    model.eval()
    total = sum(batch.num_graphs * mse_loss(model(batch), batch.y).item() for batch in batches)
    model.train()
    return total / sum(batch.num_graphs for batch in batches)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    models = ("transformer", "gnn", "egnn", "se3", "gatr")
    parser.add_argument("--model", choices=models, default="transformer")
    methods = ("plain", "augmentation", "remul", "gradnorm")
    parser.add_argument("--method", choices=methods, default="remul")
    parser.add_argument("--beta", type=float, default=10.0, help="weight of the equivariance loss")
    parser.add_argument("--degrees", type=float, help="bound of the rotations; all by default")
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--num-test", type=int, default=1000, help="and of validation systems")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--root", default="data/nbody")
    args = parser.parse_args(argv)
    print(vars(args))
    seed_everything(args.seed)

    train = DataLoader(NBody(args.root, "train"), batch_size=50, shuffle=True)
    val, test, ood = (
        list(DataLoader(NBody(args.root, split, num_samples=args.num_test), batch_size=500))
        for split in ("val", "test", "ood")
    )
    model = build_model(args.model)
    if args.method == "gradnorm" and not isinstance(getattr(model, "head", None), nn.Linear):
        parser.error(f"--method gradnorm needs a model with a linear head, got {args.model}")
    criterion = build_criterion(args, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)

    best, state = float("inf"), copy.deepcopy(model.state_dict())
    progress = trange(args.epochs, desc=args.method)
    for epoch in progress:
        for batch in train:
            if args.method == "plain":
                loss = criterion.supervise(model, batch)  # without a pass of turned graphs
            else:
                loss = criterion(model, batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        due = epoch % 10 == 9 or epoch + 1 == args.epochs
        if due and (error := test_error(model, val)) < best:
            best, state = error, copy.deepcopy(model.state_dict())
        progress.set_postfix(val=f"{best:.5f}", beta=f"{criterion.weighting.beta:.2f}")

    model.load_state_dict(state)
    for name, batches in (("in distribution", test), ("out of distribution", ood)):
        print(f"MSE {name}: {test_error(model, batches):.5f}")
    errors = equivariance_error(model, test, SO3(), reps=NBody.reps, max_graphs=100)
    print(f"E {errors['E']:.4f}, E' {errors['E_prime']:.4f}")


if __name__ == "__main__":
    main()
