"""The least time that a layer could take: its work over what the machine achieves at best.

The counts are those of a training step, forward and backward, of the formulation with the fewest
operations, whose first map acts on nodes. A rate of them is therefore effective: an implementation
that does more counts no more.

- **Operations** are those of matrix products, two for a multiplication and its addition; the
  backward pass has twice those of the forward pass. Activations and sums are left out, and so is
  what a backward pass computes anew.
- **Bytes** are those that have to cross the memory's bus once: the rows of nodes in and out, the
  edges' indices and attributes, and one row for every edge from its source, three times: sources
  come in no order, so that their rows are fetched edge by edge, forward and backward, and so are
  their gradients. Targets come in order and count once a node. Where all rows fit into a cache,
  less than this crosses the bus.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pyg_remul.benchmarks.report import Report

__all__ = ["Ceilings", "Work", "measure_ceilings", "work_of_egnn", "work_of_gnn"]

COPY_BYTES = {"cpu": 2**26, "cuda": 2**30}
PRODUCT_SIZE = {"cpu": 1024, "cuda": 8192}
INDEX_BYTES = 2 * 8


@dataclass(frozen=True)
class Work:
    """What a training step of a layer gets done.

    Attributes:
        operations: Those of its matrix products.
        bytes: Those that cross the memory's bus.
    """

    operations: int
    bytes: int

    def rates(self) -> dict[str, float]:
        """The work by unit."""
        return {"GFLOP": self.operations / 1e9, "GB": self.bytes / 1e9}


@dataclass(frozen=True)
class Ceilings:
    """What a machine achieves at best.

    Attributes:
        operations: Operations a second of a large matrix product.
        bytes: Bytes a second of a large copy, read and written.
    """

    operations: float
    bytes: float

    def floor(self, work: Work) -> float:
        """Seconds that the work takes at least: the longer of computing and moving."""
        return max(work.operations / self.operations, work.bytes / self.bytes)


def measure_ceilings(report: Report, dtype: torch.dtype) -> Ceilings:
    """Measures a copy of 1 GiB and a product of matrices of that dtype; on a CPU smaller ones."""
    device = report.settings.device
    kind = device.partition(":")[0]
    size = PRODUCT_SIZE[kind]
    left, right = torch.randn(2, size, size, device=device).to(dtype)
    out = torch.empty_like(left)
    source = torch.zeros(COPY_BYTES[kind] // 4, device=device)
    target = torch.empty_like(source)
    copied, done = 2 * COPY_BYTES[kind], 2 * size**3
    (copy,) = report.compare(
        "ceiling of the memory",
        {"copy": lambda: target.copy_(source)},
        "copy",
        sizes={"bytes": COPY_BYTES[kind]},
        work={"GB": copied / 1e9},
    )
    (product,) = report.compare(
        f"ceiling of {str(dtype).removeprefix('torch.')}",
        {"matrix product": lambda: torch.mm(left, right, out=out)},
        "matrix product",
        sizes={"rows": size},
        work={"GFLOP": done / 1e9},
    )
    return Ceilings(done / product.median, copied / copy.median)


def work_of_gnn(num_nodes: int, num_edges: int, channels: int, edge_dim: int, size: int) -> Work:
    """The work of a GNN layer.

    Args:
        num_nodes: Number N of nodes.
        num_edges: Number E of edges.
        channels: Number F of channels.
        edge_dim: Width D of the edge attributes.
        size: Bytes of a number.
    """
    on_nodes = _product(num_nodes, channels, 5 * channels)  # two before the edges, three after
    on_edges = _product(num_edges, channels, channels + edge_dim)
    rows = 5 * num_nodes * channels  # in and out; in, its gradient, and that of the output
    gathered = 3 * num_edges * channels
    edges = 2 * num_edges * (INDEX_BYTES + edge_dim * size)
    return Work(3 * (on_nodes + on_edges), (rows + gathered) * size + edges)


def work_of_egnn(num_nodes: int, num_edges: int, channels: int, edge_dim: int, size: int) -> Work:
    """The work of an EGNN layer with a position and a velocity, both in single precision.

    Args:
        num_nodes: As for :func:`work_of_gnn`, and so are the others.
        num_edges: Number E of edges.
        channels: Number F of channels.
        edge_dim: Width D of the edge attributes.
        size: Bytes of a number.
    """
    common = work_of_gnn(num_nodes, num_edges, channels, edge_dim + 1, size)
    further = _product(num_edges + num_nodes, channels, channels + 1)
    vectors = (7 * num_nodes + 3 * num_edges) * 3 * 4  # positions as channels; velocities twice
    distances = 2 * num_edges * size  # are computed, not read
    return Work(common.operations + 3 * further, common.bytes + vectors - distances)


def _product(rows: int, columns_in: int, columns_out: int) -> int:
    return 2 * rows * columns_in * columns_out
