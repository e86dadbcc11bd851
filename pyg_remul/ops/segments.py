"""Rows grouped by the segment, such as a node or a graph, that they belong to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_remul.checks import check_integers
from pyg_remul.ops.backend import Backend

__all__ = ["Segments", "Topology"]


class Segments:
    """Which segment each of E rows belongs to, in any order.

    The sorted form that kernels without atomics need is made when it is first asked for, and kept.
    Nothing here waits for the device, so an index out of range is not noticed here; on a GPU, what
    is computed with it is undefined.

    Args:
        index: Segment of each row, integers of 64 bits in [0, S), shape [E].
        num_segments: Number S of segments, on the host.

    Raises:
        TypeError: If one is not of integers.
        ValueError: If `index` has not one axis or `num_segments` is negative.

    Example:
        >>> segments = Segments(torch.tensor([2, 0, 2]), num_segments=3)
        >>> segments.pointer.tolist(), segments.order.tolist()
        ([0, 1, 1, 3], [1, 0, 2])
    """

    def __init__(self, index: Tensor, num_segments: int) -> None:
        if index.dtype != torch.long:
            raise TypeError(f"`index` must be of torch.int64, got {index.dtype}.")
        if index.dim() != 1:
            raise ValueError(f"`index` must have one axis, got shape {list(index.shape)}.")
        if not torch.compiler.is_exporting():  # where sizes are symbols
            check_integers("not negative", num_segments=num_segments)
        self.index = index
        self.num_segments = num_segments
        # PyTorch's compiler cannot trace functools.cached_property, which takes a lock.
        self._order: Tensor | None = None
        self._pointer: Tensor | None = None
        self._counts: Tensor | None = None

    @property
    def order(self) -> Tensor:
        """The rows sorted by segment, those of a segment in their own order, shape [E]."""
        if self._order is None:
            self._order = self.index.argsort(stable=True)
        return self._order

    @property
    def pointer(self) -> Tensor:
        """Where the segments begin and end among the sorted rows, shape [S + 1].

        Found by bisection: counting would wait for the device to tell how many there are.
        """
        if self._pointer is None:
            bounds = torch.arange(self.num_segments + 1, device=self.index.device)
            self._pointer = torch.searchsorted(self.index.index_select(0, self.order), bounds)
        return self._pointer

    @property
    def counts(self) -> Tensor:
        """Number of rows of each segment, shape [S]."""
        if self._counts is None:
            ones = torch.ones_like(self.index)
            self._counts = ones.new_zeros(self.num_segments).index_add(0, self.index, ones)
        return self._counts


class Topology:
    """The edges of a graph or batch, with the groupings that message passing needs.

    Args:
        edge_index: Edges from its first row to its second, shape [2, E].
        num_nodes: Number N of nodes.
        groupings: What :meth:`groupings` of the same edges gave.

    Raises:
        TypeError: If one is not of integers.
        ValueError: If `edge_index` has another shape or `num_nodes` is negative.

    Attributes:
        edge_index: As given.
        num_nodes: As given.
        by_source: The edges grouped by the node where they begin.
        by_target: The edges grouped by the node where they end.
    """

    def __init__(
        self, edge_index: Tensor, num_nodes: int, groupings: Sequence[Tensor | None] = ()
    ) -> None:
        if edge_index.dim() != 2 or edge_index.size(0) != 2:
            raise ValueError(f"`edge_index` must have shape [2, E], got {list(edge_index.shape)}.")
        if edge_index.dtype != torch.long:
            raise TypeError(f"`edge_index` must be of torch.int64, got {edge_index.dtype}.")
        if not torch.compiler.is_exporting():  # where sizes are symbols
            check_integers("not negative", num_nodes=num_nodes)
        self.edge_index = edge_index
        self.num_nodes = num_nodes
        self.by_source = Segments(edge_index[0], num_nodes)
        self.by_target = Segments(edge_index[1], num_nodes)
        self._restore(groupings)

    @classmethod
    def of(cls, edges: Tensor | Topology, num_nodes: int) -> Topology:
        """Returns a topology as it is, and that of edges [2, E]."""
        return edges if isinstance(edges, Topology) else cls(edges, num_nodes)

    @property
    def source(self) -> Tensor:
        """Node where each edge begins, shape [E]."""
        return self.by_source.index

    @property
    def target(self) -> Tensor:
        """Node where each edge ends, shape [E]."""
        return self.by_target.index

    @property
    def num_edges(self) -> int:
        """Number E of edges."""
        return self.target.numel()

    def degrees(self, dtype: torch.dtype) -> Tensor:
        """Number of edges that end at each node, at least one, to divide by, shape [N]."""
        return self.by_target.counts.clamp(min=1).to(dtype)

    def groupings(self, backend: Backend) -> list[Tensor | None]:
        """What a backend needs beside the edges, to be handed through an operator: four tensors."""
        if backend != "triton":
            return [None] * 4
        groups = (self.by_target, self.by_source)
        return [tensor for group in groups for tensor in (group.order, group.pointer)]

    def _restore(self, groupings: Sequence[Tensor | None]) -> None:
        known = [tensor for tensor in groupings if tensor is not None]
        if known:
            self.by_target._order, self.by_target._pointer = known[:2]
            self.by_source._order, self.by_source._pointer = known[2:]
