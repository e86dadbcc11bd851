"""Graphs, models and comparisons that the tests of the core share."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data, HeteroData

from pyg_remul import E2, E3, O2, O3, SE2, SE3, SO2, SO3, ElementPool

REPS = {"pos": "point", "vel": "vector", "y": "point"}
GROUPS = [
    SO3(),
    SO3(degrees=10),
    SO3(degrees=(90, 180)),
    SO3(degrees=30, euler=True),
    O3(),
    O3(degrees=10),
    SE3(),
    SE3(translation=20),
    E3(),
    SO2(),
    SO2(degrees=20),
    SO2("x"),
    SO2(axis=(1, 1, 0)),
    O2(),
    SE2(),
    E2(),
    ElementPool(SO3(degrees=10), 50),
    ElementPool(E3(), 50),
]
DRAWS = 20_000
"""Enough elements for their statistics."""


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def draw(group, num=200, seed=1, **options):
    """Elements in double precision."""
    return group.sample(num, generator=seeded(seed), **{"dtype": torch.float64, **options})


def identity(num, dim):
    return torch.eye(dim, dtype=torch.float64).expand(num, dim, dim)


def close(actual, expected, atol):
    """Compares by an absolute tolerance alone."""
    if not isinstance(actual, Tensor):
        actual = torch.tensor(actual, dtype=torch.float64)
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


def make_graph(nodes=4, edges=5, *, dtype=torch.float64, **attributes):
    """A graph with a position, a velocity, a target and edges, drawn from the global generator."""
    edges = edges if nodes else 0
    return Data(
        pos=torch.randn(nodes, 3, dtype=dtype),
        vel=torch.randn(nodes, 3, dtype=dtype),
        y=torch.randn(nodes, 3, dtype=dtype),
        edge_index=torch.randint(max(nodes, 1), (2, edges)),
        **attributes,
    )


def make_batch(sizes=(4, 3, 5), **options):
    return Batch.from_data_list([make_graph(size, **options) for size in sizes])


def make_hetero(atoms=2, beads=3, *, dtype=torch.float64):
    data = HeteroData()
    data["atom"].pos = torch.randn(atoms, 3, dtype=dtype)
    data["bead"].pos = torch.randn(beads, 3, dtype=dtype)
    ends = torch.randint(atoms, (4,)), torch.randint(beads, (4,))
    data["atom", "to", "bead"].edge_index = torch.stack(ends)
    data.dipole = torch.randn(1, 3, dtype=dtype)
    return data


def assert_same(actual, expected, path=""):
    """Compares nested mappings and lists bit by bit, with the path in the message."""
    if isinstance(expected, Tensor):
        assert isinstance(actual, Tensor), path
        assert actual.dtype == expected.dtype, path
        assert torch.equal(actual, expected), path
    elif isinstance(expected, dict):
        assert list(actual) == list(expected), path
        for key in expected:
            assert_same(actual[key], expected[key], f"{path}/{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), path
        for position, pair in enumerate(zip(actual, expected, strict=True)):
            assert_same(*pair, f"{path}/{position}")
    else:
        assert actual == expected, path


def snapshot(data):
    """Everything that a batch holds, copied: attributes and bookkeeping."""
    books = [getattr(data, name, None) for name in ("_slice_dict", "_inc_dict")]
    return copy.deepcopy([[dict(store.items()) for store in data.stores], books])


class NodeLinear(nn.Module):
    """A linear map of positions and velocities, not equivariant; its last layer is ``head``."""

    def __init__(self, hidden=None, out=3, dtype=torch.float64):
        super().__init__()
        width = 6 if hidden is None else hidden
        first = nn.Linear(6, width, dtype=dtype)
        self.body = nn.Identity() if hidden is None else nn.Sequential(first, nn.Tanh())
        self.head = nn.Linear(width, out, dtype=dtype)

    def forward(self, batch):
        return self.head(self.body(torch.cat([batch.pos, batch.vel], dim=-1)))


class Recorder(nn.Module):
    """Passes batches on to a model and keeps them."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.batches = []

    def forward(self, batch):
        self.batches.append(batch)
        return self.model(batch)

    @property
    def graphs(self):
        return [batch.num_graphs for batch in self.batches]


def equivariant(batch):
    """Equivariant under rotations, reflections and translations; an output of kind point."""
    return batch.pos + 0.1 * batch.vel


def turn(batch, matrices, names=("pos", "vel", "y")):
    """Turns graph after graph by an explicit loop, as `v' = R v`."""
    graphs = []
    for graph, matrix in zip(batch.to_data_list(), matrices, strict=True):
        turned = copy.copy(graph)
        for name in names:
            turned[name] = torch.stack([matrix @ row for row in graph[name]])
        graphs.append(turned)
    return Batch.from_data_list(graphs)


def pretend_rank(monkeypatch, rank, world_size):
    """Lets torch.distributed report a process group that does not exist."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: world_size)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
