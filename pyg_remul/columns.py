"""One attribute of many graphs, from which that of any selection is cut as a whole tensor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_remul.transfer import send

__all__ = ["Column", "Cut", "Level", "TextColumn", "cut_rows", "pointer"]

_CPU = torch.device("cpu")


class Cut(NamedTuple):
    """Where the rows of selected graphs lie.

    Attributes:
        graphs: The graphs, shape ``[B]``, on the CPU.
        slices: Their boundaries in the batch, shape ``[B + 1]``, on the CPU; not to be written to.
        rows: What to select from a column, on the device of the graphs: graphs where all have
            equally many rows, and rows otherwise.
    """

    graphs: Tensor
    slices: Tensor
    rows: Tensor


class Level:
    """How many rows each graph has, for all attributes that agree on it.

    Args:
        slices: Boundaries of the graphs' rows, shape ``[B + 1]``, on the CPU.
    """

    def __init__(self, slices: Tensor) -> None:
        self.slices = slices
        sizes = slices.diff()
        self.size = int(sizes[0]) if bool((sizes == sizes[0]).all()) else None
        """Rows of every graph; None if they differ."""
        if self.size is not None:
            self._slices = _Prefix(partial(_multiples, torch.tensor(self.size)))
            self._graphs = _Prefix(partial(_repeat_graphs, self.size))

    def cut(self, index: Tensor, where: Tensor) -> Cut:
        """Finds the rows of the graphs at ``index``, given on the CPU and where the graphs are."""
        if self.size is not None:
            return Cut(index, self._slices(index.numel() + 1), where)
        rows, slices = _find_rows(self.slices, index, where.device)
        return Cut(index, slices, rows)

    def batch_and_ptr(self, cut: Cut) -> tuple[Tensor, Tensor]:
        """The graph of each row and the boundaries, as new tensors where the graphs are."""
        num, device = cut.graphs.numel(), cut.rows.device
        if self.size is not None:
            graphs, slices = self._graphs(num * self.size, device), self._slices(num + 1, device)
            return graphs.clone(), slices.clone()
        total, sizes = int(cut.slices[-1]), send(cut.slices.diff(), device)
        graphs = torch.arange(num, device=device).repeat_interleave(sizes, output_size=total)
        return graphs, send(cut.slices.clone(), device)


class Column:
    """A tensor attribute of all graphs.

    Where all graphs have equally many rows, it is cut by graphs instead of rows. Integers that are
    the same in every graph, such as the edges of a fixed topology, are not cut at all: what a batch
    holds of them depends on its number of graphs alone.

    Args:
        value: The graphs' values, concatenated.
        level: How many rows each graph has.
        dim: The axis of the rows.
        steps: How much each graph raises the indices of the next one, shape ``[B]`` or
            ``[B, ...]``.
    """

    def __init__(self, value: Tensor, level: Level, dim: int, steps: Tensor) -> None:
        self.level, self.dim, self.steps = level, dim, steps
        same = bool((steps == steps[:1]).all())
        self._incs = _Prefix(partial(_multiples, steps[0].clone())) if same else None
        self._still = steps.dim() == 1 and same and not bool(steps[0])
        self._tile: _Prefix | None = None
        self._value = value
        if level.size is None:
            return
        self._value = value.unflatten(dim, (steps.size(0), level.size))
        if same and _is_repeated(self._value, dim):
            self._value = self._value.narrow(dim, 0, 1).clone()
            self._tile = _Prefix(self._repeat, dim)

    def to(self, device: torch.device) -> Column:
        """The same column on another device."""
        moved = copy.copy(self)
        moved._value = self._value.to(device)
        if self._tile is not None:
            moved._tile = _Prefix(moved._repeat, self.dim)
        return moved

    def select(self, cut: Cut) -> tuple[Tensor, Tensor]:
        """Cuts the value of the selected graphs, and tells by how much their indices are raised.

        Returns:
            A new tensor, and the increments of shape ``[B]`` or ``[B, ...]`` on the CPU, which are
            not to be written to.
        """
        num = cut.graphs.numel()
        incs = self._increments(cut.graphs) if self._incs is None else self._incs(num)
        if self._tile is not None:
            size = self.level.size or 0
            return self._tile(num * size, self._value.device).clone(), incs
        value = _take(self._value, self.dim, cut.rows)
        if not self._still:
            value = self._raise(value, incs, cut.slices)
        return value if self.level.size is None else value.flatten(self.dim, self.dim + 1), incs

    def _increments(self, index: Tensor) -> Tensor:
        steps = self.steps[index]
        return steps.cumsum(dim=0, dtype=steps.dtype) - steps

    def _raise(self, value: Tensor, incs: Tensor, slices: Tensor) -> Tensor:
        """Adds each graph's increment, which is broadcast against the value of a single graph."""
        if incs.dim() == 1:
            if not bool(incs[-1]):
                return value  # as PyG leaves it, with its dtype
            incs = incs.to(torch.result_type(value, incs[0]))  # PyG adds each as a number
        incs = send(incs, value.device)
        graph_dim = value.dim() - (self.level.size is not None)
        shift = incs.reshape(-1, *[1] * (graph_dim + 1 - incs.dim()), *incs.shape[1:])
        if self.level.size is None:
            sizes, total = send(slices.diff(), value.device), int(slices[-1])
            shift = shift.select(self.dim + 1, 0)
            shift = shift.repeat_interleave(sizes, dim=0, output_size=total)
        return value + shift.movedim(0, self.dim)

    def _repeat(self, rows: int) -> Tensor:
        """The value of as many graphs as it takes to have that many rows."""
        size, dim = self.level.size or 0, self.dim
        num = rows // size if size else 0
        repeated = self._value.expand(*self._value.shape[:dim], num, *self._value.shape[dim + 1 :])
        if num and not self._still and self._incs is not None:
            repeated = self._raise(repeated, self._incs(num), self.level.slices)
        return repeated.flatten(dim, dim + 1).contiguous()


class TextColumn:
    """A text of every graph, which is taken one by one.

    Args:
        texts: The texts of the graphs.
        level: That of attributes with one row a graph.
    """

    def __init__(self, texts: Sequence[str], level: Level) -> None:
        self.texts, self.level = texts, level

    def to(self, _: torch.device) -> TextColumn:
        """Texts are on no device."""
        return self

    def select(self, cut: Cut) -> tuple[list[str], None]:
        """Lists the texts of the selected graphs, which have no increments."""
        return [self.texts[place] for place in cut.graphs.tolist()], None


class _Prefix:
    """A tensor of which only a beginning is wanted; it is made for the longest one so far."""

    def __init__(self, make: Callable[[int], Tensor], dim: int = 0) -> None:
        self.make, self.dim = make, dim
        self._longest: dict[torch.device, Tensor] = {}

    def __call__(self, num: int, device: torch.device = _CPU) -> Tensor:
        longest = self._longest.get(device)
        if longest is None or longest.size(self.dim) < num:
            longest = self._longest[device] = send(self.make(num), device)
        return longest.narrow(self.dim, 0, num)


def pointer(sizes: Tensor) -> Tensor:
    """The boundaries ``[B + 1]`` of parts of the given sizes ``[B]``."""
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def cut_rows(value: Tensor, slices: Tensor, dim: int, index: Tensor) -> tuple[Tensor, Tensor]:
    """Cuts graphs from a concatenated attribute, and gives their new boundaries."""
    rows, boundaries = _find_rows(slices, index, value.device)
    return _take(value, dim % value.dim(), rows), boundaries


def _take(value: Tensor, dim: int, index: Tensor) -> Tensor:
    """``value.index_select(dim, index)``, by the fastest way on a CPU."""
    if dim and dim == value.dim() - 1:
        return value.gather(dim, index.expand(*value.shape[:-1], -1))
    if dim == 0 and value.dim() > 1 and value.numel() == value.size(0):
        return value.flatten().index_select(0, index).unflatten(0, (-1, *value.shape[1:]))
    return value.index_select(dim, index)


def _find_rows(slices: Tensor, index: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    starts = slices[index]
    sizes = slices[index + 1] - starts
    boundaries = pointer(sizes)
    total = int(boundaries[-1])
    offsets = send(starts - boundaries[:-1], device)
    offsets = offsets.repeat_interleave(send(sizes, device), output_size=total)
    return torch.arange(total, device=device) + offsets, boundaries


def _is_repeated(value: Tensor, dim: int) -> bool:
    """Whether these are integers that are the same at every place of an axis."""
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        return False
    first = value.narrow(dim, 0, 1)
    return torch.equal(value.narrow(dim, -1, 1), first) and bool((value == first).all())


def _multiples(step: Tensor, num: int) -> Tensor:
    """0, 1, 2, ... times a number or tensor, stacked along a new first axis."""
    return torch.arange(num, dtype=step.dtype).reshape(-1, *[1] * step.dim()) * step


def _repeat_graphs(size: int, rows: int) -> Tensor:
    return torch.arange(rows // size if size else 0).repeat_interleave(size)
