"""A model with a signature of its own: PyG's SchNet on energies and forces of argon clusters.

`forward=` adapts it to a batch. SchNet is invariant by design, so its errors are those of rounding.

Run: python examples/schnet.py
"""

import argparse

import numpy as np
import torch
from ase import Atoms
from ase.calculators.lj import LennardJones
from torch import Tensor
from torch_geometric import seed_everything
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import SchNet

from pyg_remul import SO3, ConstantWeighting, RemulLoss, equivariance_error

REPS = {"pos": "point", "energy": "scalar", "force": "vector"}


def clusters(num: int, num_atoms: int, rng: np.random.Generator) -> list[Data]:
    """Random clusters with their Lennard-Jones energies (eV) and forces (eV per Angstrom)."""
    grid = np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(-1, 3)
    graphs = []
    for _ in range(num):
        sites = rng.permutation(grid)[:num_atoms] * 3.9 + rng.normal(0, 0.1, (num_atoms, 3))
        atoms = Atoms(numbers=[18] * num_atoms, positions=sites)
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=12.0)
        tensors = {
            "pos": torch.tensor(sites, dtype=torch.float32),
            "energy": torch.tensor([[atoms.get_potential_energy()]], dtype=torch.float32),
            "force": torch.tensor(atoms.get_forces(), dtype=torch.float32),
        }
        graphs.append(Data(z=torch.tensor(atoms.numbers), **tensors))
    return graphs


def all_pairs(pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """The interaction graph: each ordered pair of atoms of one cluster, with its distance."""
    pairs = (batch[:, None] == batch[None, :]).fill_diagonal_(False).nonzero().T
    return pairs, (pos[pairs[0]] - pos[pairs[1]]).norm(dim=-1)


def energy_and_forces(model: SchNet, batch: Batch) -> dict[str, Tensor]:
    """The adapter: the force is the energy's negative gradient."""
    pos = batch.pos.detach().requires_grad_()
    energy = model(batch.z, pos, batch.batch)
    (gradient,) = torch.autograd.grad(energy.sum(), pos, create_graph=True)
    return {"energy": energy, "force": -gradient}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beta", type=float, default=0.1, help="weight of the equivariance loss")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--num-train", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    print(vars(args))
    seed_everything(args.seed)
    rng = np.random.default_rng(args.seed)

    loader = DataLoader(clusters(args.num_train, 8, rng), batch_size=16, shuffle=True)
    test = DataLoader(clusters(16, 8, rng), batch_size=16)
    model = SchNet(32, 32, num_interactions=2, num_gaussians=20, interaction_graph=all_pairs)
    criterion = RemulLoss(
        SO3(),
        reps=REPS,
        target={"energy": 1.0, "force": 100.0},
        weighting=ConstantWeighting(1.0, args.beta),
        forward=energy_and_forces,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(args.epochs):
        for batch in loader:
            out = criterion(model, batch)
            optimizer.zero_grad()
            out.loss.backward()
            optimizer.step()
        if epoch % 5 == 0 or epoch + 1 == args.epochs:
            print(f"epoch {epoch}: objective {out.objective:.5f}, turned {out.equivariance:.5f}")

    for target in ("energy", "force"):
        errors = equivariance_error(
            model,
            test,
            SO3(),
            reps=REPS,
            target=target,
            num_samples=20,
            forward=energy_and_forces,
            enable_grad=True,
        )
        print(f"{target}: relative E' {errors['E_prime_relative']:.1e}")


if __name__ == "__main__":
    main()
