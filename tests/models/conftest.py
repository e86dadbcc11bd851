"""Graphs and orthogonal matrices for the tests of the models."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

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
