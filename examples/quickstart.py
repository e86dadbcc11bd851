"""REMUL in a plain PyTorch Geometric loop, with a model of one's own.

Run: python examples/quickstart.py
"""

import argparse

import torch
from torch import Tensor, nn
from torch_geometric import seed_everything
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GraphConv

from pyg_remul import SO3, ConstantWeighting, RandomRotation, RemulLoss, equivariance_error
from pyg_remul.datasets import NBody


class SmallNet(nn.Module):
    """Any model will do. This one knows nothing of rotations."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.first = GraphConv(7, hidden)
        self.second = GraphConv(hidden, hidden)
        self.head = nn.Linear(hidden, 3)

    def forward(self, batch: Batch) -> Tensor:
        x = torch.cat([batch.mass, batch.pos, batch.vel], dim=-1)
        x = self.first(x, batch.edge_index).relu()
        x = self.second(x, batch.edge_index).relu()
        return batch.pos + self.head(x)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="data/nbody", help="folder of the simulated data")
    parser.add_argument("--beta", type=float, default=3.0, help="weight of the equivariance loss")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    print(vars(args))
    seed_everything(args.seed)

    dataset = NBody(args.root, "train")
    loader = DataLoader(dataset, batch_size=25, shuffle=True)
    test = DataLoader(NBody(args.root, "ood", num_samples=500), batch_size=250)
    print(RandomRotation(dataset.reps)(dataset[0]))  # the same graph, seen from elsewhere

    for beta in (0.0, args.beta):
        model = SmallNet()
        weighting = ConstantWeighting(alpha=1.0, beta=beta)
        criterion = RemulLoss(SO3(), reps=dataset.reps, target="y", weighting=weighting)
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        for _ in range(args.epochs):
            for batch in loader:
                out = criterion(model, batch)
                optimizer.zero_grad()
                out.loss.backward()
                optimizer.step()
        errors = equivariance_error(model, test, SO3(), reps=dataset.reps, max_graphs=100)
        with torch.no_grad():
            mse = sum(float((model(batch) - batch.y).square().mean()) for batch in test) / len(test)
        print(f"beta {beta:g}: OOD MSE {mse:.4f}, E' {errors['E_prime']:.3f}")


if __name__ == "__main__":
    main()
