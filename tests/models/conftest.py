"""Graphs and orthogonal matrices for the tests of the models."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_remul import SO3, equivariance_error
from pyg_remul.models.egnn import EGNNLayer


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def make_graph():
    """Makes a fully connected graph with every attribute a model may read."""

    def make(num_nodes=5, *, seed=0, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        edge_index = (1 - torch.eye(num_nodes)).nonzero().T.contiguous()
        return Data(
            mass=normal(num_nodes, 1).exp(),
            charge=normal(num_nodes).abs(),
            pos=normal(num_nodes, 3),
            vel=normal(num_nodes, 3),
            edge_index=edge_index,
            edge_attr=normal(edge_index.size(1), 3),
            force=normal(num_nodes, 3),
        )

    return make


@pytest.fixture
def orthogonal():
    """Draws orthogonal matrices [num, dim, dim] in float64, rotations and reflections by turns."""

    def draw(num, dim=3, *, seed=0):
        generator = torch.Generator().manual_seed(seed)
        gaussian = torch.randn(num, dim, dim, generator=generator, dtype=torch.float64)
        matrix, triangular = torch.linalg.qr(gaussian)
        matrix = matrix * triangular.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        wanted = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(num)[:num]
        matrix[:, :, 0] *= (wanted * torch.linalg.det(matrix)).unsqueeze(-1)
        return matrix

    return draw


@pytest.fixture
def amplify():
    """Enlarges the weights of the displacements of EGNN's layers, which start near zero."""

    def enlarge(module, factor=1000):
        for layer in module.modules():
            if isinstance(layer, EGNNLayer):
                layer.position_mlp[2].weight.data.mul_(factor)
        return module

    return enlarge


@pytest.fixture
def settle():
    """Sets every parameter of a model to evenly spaced values, whatever its initialisation."""

    def fill(module, bound=0.5):
        for parameter in module.parameters():
            values = torch.linspace(-bound, bound, parameter.numel(), dtype=torch.float64)
            parameter.data = values.view_as(parameter)
        return module

    return fill


@pytest.fixture
def ring():
    """Four nodes whose attributes are written out, joined to a ring."""
    row = torch.arange(4.0, dtype=torch.float64)
    pos = torch.stack([row.cos(), row.sin(), row / 4], dim=1)
    return Data(
        charge=row,
        pos=pos,
        vel=pos.roll(1, 0) / 2,
        force=pos.flip(1),
        edge_index=torch.stack([row.long(), row.long().roll(1)]),
    )


@pytest.fixture
def settle_tensors(settle):
    """The same for perceptrons on tensors, with the first tensor for every drawn one."""

    def fill(model):
        for name, buffer in model.named_buffers():
            if "drawn" in name:
                buffer.zero_()
        return settle(model)

    return fill


@pytest.fixture
def train_softly():
    """Trains a soft model on a task that is not equivariant, and measures its error in the end."""

    def train(model, make_graph, num_steps=150):
        graphs = [make_graph(model.num_nodes, seed=seed) for seed in range(8)]
        data = Batch.from_data_list([Data(pos=graph.pos, vel=graph.vel) for graph in graphs])
        data.y = data.pos * torch.tensor([1.0, 1.5, 0.5])
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, num_steps)
        for _ in range(num_steps):
            optimizer.zero_grad()
            ((model(data) - data.y).square().mean() + model.regularisation()).backward()
            optimizer.step()
            schedule.step()
        reps = model.reps | {"y": model.out_rep}
        errors = equivariance_error(model, data, SO3(), reps=reps, num_samples=10)
        return errors["E_prime_relative"]

    return train
