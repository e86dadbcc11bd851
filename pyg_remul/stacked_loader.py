"""Mini-batches cut from one collated batch of a whole dataset."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.data.data import BaseData
from torch_geometric.data.storage import BaseStorage

from pyg_remul.randomness import derive_generator
from pyg_remul.rows import slices_of

__all__ = ["StackedGraphs", "StackedLoader"]


class StackedGraphs:
    """A dataset in collated form, from which any selection of graphs is cut as whole tensors.

    The selection equals ``Batch.from_data_list`` of the same graphs. What PyG noted on collation,
    where each graph's rows begin and by how much its indices were raised, is all that it takes.

    Args:
        dataset: Graphs; a dataset's own ``transform`` acts once, now.

    Raises:
        ValueError: If there is no graph.
        TypeError: If an attribute is no plain dense tensor.

    Example:
        >>> from torch_geometric.data import Data
        >>> graphs = StackedGraphs([Data(pos=torch.rand(n, 3)) for n in (1, 2, 3)])
        >>> graphs.select(torch.tensor([2, 0])).ptr.tolist()
        [0, 3, 4]
    """

    def __init__(self, dataset: Sequence[BaseData]) -> None:
        graphs = [dataset[index] for index in range(len(dataset))]
        if not graphs:
            raise ValueError("`dataset` must hold at least one graph, got none.")
        self.batch = Batch.from_data_list(graphs)
        self._steps = [_increments(self.batch, *stores) for stores in self._last(graphs[-1])]

    def _last(self, graph: BaseData) -> Iterator[tuple[BaseStorage, BaseData, BaseStorage]]:
        for store, last in zip(self.batch.stores, graph.stores, strict=True):
            yield store, graph, last

    def __len__(self) -> int:
        return self.batch.num_graphs

    def to(self, device: torch.device | str) -> StackedGraphs:
        """The same graphs on another device."""
        moved = copy.copy(self)
        moved.batch = copy.copy(self.batch).to(device)
        return moved

    def select(self, index: Tensor) -> Batch:
        """Returns the batch of the graphs at ``index``, shape ``[B]``, on the CPU."""
        selected = copy.copy(self.batch)
        selected._num_graphs = index.numel()
        selected._slice_dict, selected._inc_dict = {}, {}
        for store, whole, steps in zip(
            selected.stores, self.batch.stores, self._steps, strict=True
        ):
            slices, incs = _cut_store(self.batch, store, whole, steps, index)
            for target, part in ((selected._slice_dict, slices), (selected._inc_dict, incs)):
                target.update(part if store._key is None else {store._key: part})
        return selected


def _increments(
    batch: Batch, store: BaseStorage, graph: BaseData, last: BaseStorage
) -> dict[str, Tensor]:
    """How much each graph raises the indices of the next one, by attribute."""
    if "num_nodes" in store:
        raise TypeError("`num_nodes` must follow from a node attribute for graphs to be stacked.")
    steps = {}
    incs = batch._inc_dict if store._key is None else batch._inc_dict[store._key]
    for key, slices in slices_of(batch, store).items():
        if key not in store:
            continue  # the slices of a node or edge type, beside those of the graphs' attributes
        value = store[key]
        plain = type(value) is Tensor and value.layout == torch.strided
        if not (plain and isinstance(slices, Tensor)):
            raise TypeError(
                f"`{key}` must be a plain dense tensor to be stacked, got {type(value).__name__}."
            )
        end = incs[key][-1] + torch.as_tensor(graph.__inc__(key, last[key], last))
        steps[key] = torch.cat([incs[key], end[None]]).diff(dim=0)
    return steps


def _cut_store(
    batch: Batch, store: BaseStorage, whole: BaseStorage, steps: dict[str, Tensor], index: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    all_slices, slices, incs = slices_of(batch, whole), {}, {}
    all_incs = batch._inc_dict if store._key is None else batch._inc_dict[store._key]
    for key, step in steps.items():
        dim = batch.__cat_dim__(key, whole[key], whole) or 0
        rows, sizes = _rows(all_slices[key], index)
        slices[key] = _pointer(sizes)
        incs[key] = step[index].cumsum(dim=0) - step[index]
        value = whole[key].index_select(dim, rows.to(whole[key].device))
        raised = incs[key] - all_incs[key][index]
        if bool((raised != 0).any()):
            value = value + _shift(raised, sizes, value, dim).to(value.device)
        store[key] = value
    if "ptr" in whole:
        sizes = whole.ptr.diff().cpu()[index]
        store.ptr = _pointer(sizes).to(whole.ptr.device)
        store.batch = torch.arange(index.numel()).repeat_interleave(sizes).to(whole.ptr.device)
    return slices, incs


def _rows(slices: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of the graphs at ``index``, and how many each has."""
    starts = slices[index]
    sizes = slices[index + 1] - starts
    offsets = (starts - _pointer(sizes)[:-1]).repeat_interleave(sizes)
    return torch.arange(offsets.numel()) + offsets, sizes


def _shift(raised: Tensor, sizes: Tensor, value: Tensor, dim: int) -> Tensor:
    """What to add to each entry, from the increments of each graph, ``[B]`` or ``[B, ...]``."""
    dim = dim % value.dim()
    new_axes = [1] * (value.dim() + 1 - raised.dim())
    shift = raised.reshape(raised.size(0), *new_axes, *raised.shape[1:]).select(dim + 1, 0)
    return shift.repeat_interleave(sizes, dim=0).movedim(0, dim)


def _pointer(sizes: Tensor) -> Tensor:
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


class StackedLoader:
    """A loader of real PyG batches without a Python loop over graphs.

    The order is a pure function of the seed and the pass through the data, and the loader a pure
    function of its first step: a run that resumes at step 1,000 sees what an unbroken one sees.

    Args:
        dataset: Graphs, or graphs that are stacked already.
        batch_size: Graphs in a batch; the last batch of a pass holds what is left.
        shuffle: Whether to draw a new order for each pass.
        seed: Seed of the orders.
        start: First step, counted from the first batch of the first pass.
        steps: How many batches to yield; one pass by default.
        transform: Applied to each batch, such as :class:`~pyg_remul.RandomRotation`. The dataset's
            own transform acts once, when the graphs are stacked.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> from torch_geometric.data import Data
        >>> graphs = [Data(pos=torch.rand(4, 3)) for _ in range(5)]
        >>> [batch.num_graphs for batch in StackedLoader(graphs, batch_size=2)]
        [2, 2, 1]
    """

    def __init__(
        self,
        dataset: Sequence[BaseData] | StackedGraphs,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        start: int = 0,
        steps: int | None = None,
        transform: Callable[[Batch], Batch] | None = None,
    ) -> None:
        for name, value, least in (("batch_size", batch_size, 1), ("start", start, 0)):
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        self.graphs = dataset if isinstance(dataset, StackedGraphs) else StackedGraphs(dataset)
        self.batch_size, self.shuffle, self.seed, self.start = batch_size, shuffle, seed, start
        self.transform = transform
        self.steps = self.batches_per_pass if steps is None else steps
        if self.steps < 0:
            raise ValueError(f"`steps` must be at least 0, got {steps}.")

    @property
    def batches_per_pass(self) -> int:
        """Batches that one pass through the data takes."""
        return -(-len(self.graphs) // self.batch_size)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        orders: dict[int, Any] = {}
        for step in range(self.start, self.start + self.steps):
            number, position = divmod(step, self.batches_per_pass)
            if number not in orders:
                orders = {number: self._order(number).split(self.batch_size)}
            batch = self.graphs.select(orders[number][position])
            yield batch if self.transform is None else self.transform(batch)

    def _order(self, number: int) -> Tensor:
        if not self.shuffle:
            return torch.arange(len(self.graphs))
        generator = derive_generator(self.seed, "order", number)
        return torch.randperm(len(self.graphs), generator=generator)
