"""A dataset in collated form, from which batches are cut."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.data.collate import collate
from torch_geometric.data.data import BaseData
from torch_geometric.data.storage import N_KEYS, BaseStorage, NodeStorage

from pyg_remul.columns import Column, Cut, Level, TextColumn, cut_rows, pointer
from pyg_remul.transfer import send

__all__ = ["StackedGraphs"]


class _Collated(NamedTuple):
    """Graphs as PyG collates them without raising indices, store by store."""

    data: BaseData
    slices: list[dict[str, Tensor]]
    steps: list[dict[str, Tensor]]  # how much each graph raises an attribute's indices
    counts: list[Tensor | None]  # nodes of each graph, None for stores of edges


class StackedGraphs:
    """A dataset in collated form, from which any selection of graphs is cut as whole tensors.

    The selection equals ``Batch.from_data_list`` of the same graphs in every attribute, and may be
    changed in place. The storage of an in-memory dataset without a transform is taken as it is, and
    shared; other graphs are collated, once.

    Args:
        dataset: Graphs; a dataset's own ``transform`` acts once, now.
        follow_batch: Attributes whose rows get a vector of graphs of their own, as in PyG's loader.
        device: Where to hold the graphs; by default, where their first attribute is.

    Raises:
        ValueError: If there is no graph.
        TypeError: If an attribute is neither a plain dense tensor, nor a number, nor text.

    Example:
        >>> from torch_geometric.data import Data
        >>> graphs = StackedGraphs([Data(pos=torch.rand(n, 3)) for n in (1, 2, 3)])
        >>> graphs.select(torch.tensor([2, 0])).ptr.tolist()
        [0, 3, 4]
    """

    def __init__(
        self,
        dataset: Sequence[BaseData],
        *,
        follow_batch: Collection[str] = (),
        device: torch.device | str | None = None,
    ) -> None:
        if not len(dataset):
            raise ValueError("`dataset` must hold at least one graph, got none.")
        collated = _take_storage(dataset) or _collate(dataset)
        self._levels: list[Level] = []
        self._columns: list[dict[str, Column | TextColumn]] = []
        self._nodes: list[tuple[Level, list[int] | None] | None] = []
        self._follow_batch = frozenset(follow_batch)
        self._template = Batch(_base_cls=type(collated.data)).stores_as(collated.data)
        self._num_graphs, self._device = len(dataset), torch.device("cpu")
        for position, store in enumerate(collated.data.stores):
            self._add_store(collated, position, store)
        if device is None:
            tensors = (value for store in collated.data.stores for value in store.values())
            device = next((x.device for x in tensors if isinstance(x, Tensor)), self._device)
        self._move(torch.device(device))

    def _add_store(self, collated: _Collated, position: int, store: BaseStorage) -> None:
        template = self._template.stores[position]
        columns: dict[str, Column | TextColumn] = {}
        for key, value in store.items():
            template[key] = 0  # keeps the place of what each selection holds
            if key == "num_nodes":
                continue
            level = self._level(collated.slices[position][key])
            if isinstance(value, Tensor):
                dim = (collated.data.__cat_dim__(key, value, store) or 0) % value.dim()
                columns[key] = Column(value, level, dim, collated.steps[position][key])
            else:
                columns[key] = TextColumn(value, level)
            if key in self._follow_batch:
                template[f"{key}_batch"] = template[f"{key}_ptr"] = 0
        self._columns.append(columns)
        counts = collated.counts[position]
        if counts is None:
            self._nodes.append(None)
        else:
            numbers = counts.tolist() if "num_nodes" in store else None
            self._nodes.append((self._level(pointer(counts)), numbers))

    def _level(self, slices: Tensor) -> Level:
        """One level for all attributes with equal boundaries, of which rows are found once."""
        for level in self._levels:
            if torch.equal(level.slices, slices):
                return level
        self._levels.append(Level(slices))
        return self._levels[-1]

    def __len__(self) -> int:
        return self._num_graphs

    @property
    def device(self) -> torch.device:
        """Where the graphs are, and the batches cut from them."""
        return self._device

    @property
    def equal_sizes(self) -> bool:
        """Whether every attribute has equally many rows in all graphs."""
        return all(level.size is not None for level in self._levels)

    def to(self, device: torch.device | str) -> StackedGraphs:
        """The same graphs on another device."""
        moved = copy.copy(self)
        moved._move(torch.device(device))
        return moved

    def _move(self, device: torch.device) -> None:
        self._device = device
        self._columns = [
            {key: column.to(device) for key, column in columns.items()} for columns in self._columns
        ]

    def select(self, index: Tensor) -> Batch:
        """Returns the batch of the graphs at ``index``, shape ``[B]``, at least one, on the CPU."""
        batch = copy.copy(self._template)
        batch._num_graphs = index.numel()
        batch._slice_dict, batch._inc_dict = {}, {}
        where = send(index, self._device)
        cuts = {level: level.cut(index, where) for level in self._levels}
        for store, columns, nodes in zip(batch.stores, self._columns, self._nodes, strict=True):
            slices: dict[str, Any] = {}
            incs: dict[str, Any] = {}
            for key, column in columns.items():
                cut = cuts[column.level]
                store[key], incs[key] = column.select(cut)
                slices[key] = cut.slices
                if key in self._follow_batch:
                    store[f"{key}_batch"], store[f"{key}_ptr"] = column.level.batch_and_ptr(cut)
            if columns:
                for whole, part in ((batch._slice_dict, slices), (batch._inc_dict, incs)):
                    whole.update(part if store._key is None else {store._key: part})
            if nodes is not None:
                _set_nodes(store, *nodes, cuts[nodes[0]])
        return batch


def _set_nodes(store: BaseStorage, level: Level, numbers: list[int] | None, cut: Cut) -> None:
    if numbers is not None:
        store._num_nodes = [numbers[place] for place in cut.graphs.tolist()]
        store.num_nodes = sum(store._num_nodes)
    store.batch, store.ptr = level.batch_and_ptr(cut)


def _collate(dataset: Sequence[BaseData]) -> _Collated:
    """Collates graph by graph."""
    graphs = [dataset[place] for place in range(len(dataset))]
    for position, store in enumerate(graphs[0].stores):
        for key, value in store.items():
            _check_kind(key, value)
            _check_alike(key, [graph.stores[position].get(key) for graph in graphs])
    data, slices, _ = collate(Batch, graphs, increment=False, add_batch=False)
    collated = _Collated(data, [], [], [])
    for position, store in enumerate(data.stores):
        stores = [graph.stores[position] for graph in graphs]
        keys = [key for key in store if key != "num_nodes"]
        part = slices if store._key is None else slices.get(store._key, {})
        collated.slices.append({key: part[key] for key in keys})
        collated.steps.append(
            {
                key: _stack(
                    graph.__inc__(key, own[key], own)
                    for graph, own in zip(graphs, stores, strict=True)
                )
                for key in keys
                if isinstance(store[key], Tensor)
            }
        )
        counted = isinstance(stores[0], NodeStorage) and stores[0].can_infer_num_nodes
        counts = torch.tensor([own.num_nodes or 0 for own in stores]) if counted else None
        collated.counts.append(counts)
    return collated


def _check_kind(key: str, value: object) -> None:
    if isinstance(value, (int, float, str)):
        return
    if type(value) is not Tensor or value.layout != torch.strided or value.is_nested:
        raise TypeError(
            f"`{key}` must be a plain dense tensor, a number or text to be stacked, got "
            f"{type(value).__name__}; PyG's DataLoader takes others."
        )


def _check_alike(key: str, values: Sequence[object]) -> None:
    """Refuses what PyG would promote, by the graphs of a batch instead of the whole dataset."""
    kinds = {value.dtype if isinstance(value, Tensor) else type(value) for value in values}
    if len(kinds) > 1 or any(isinstance(v, Tensor) and v.layout != torch.strided for v in values):
        raise TypeError(
            f"`{key}` must be of one type in all graphs to be stacked, got "
            f"{sorted(map(str, kinds))}; PyG's DataLoader takes others."
        )


def _stack(numbers: Iterable[Any]) -> Tensor:
    values = list(numbers)
    return torch.stack(values) if isinstance(values[0], Tensor) else torch.tensor(values)


def _take_storage(dataset: Sequence[BaseData]) -> _Collated | None:
    """Takes the storage of an in-memory dataset, if no graph has anything to say about it."""
    if not (isinstance(dataset, InMemoryDataset) and _is_plain(dataset)):
        return None
    data, slices = Data(), dict(dataset.slices)  # whose order is that of the graphs' attributes
    for key in slices:
        data[key] = dataset._data[key]
    counts = _count_nodes(data, slices)
    if counts is None:
        return None
    if dataset._indices is not None:
        index = torch.as_tensor(dataset._indices)
        counts = counts[index]
        for key, value in data.to_dict().items():
            dim = data.__cat_dim__(key, value) or 0
            data[key], slices[key] = cut_rows(value, slices[key], dim, index)
    steps = {key: counts if _is_index(key) else torch.zeros_like(counts) for key in slices}
    return _Collated(data, [slices], [steps], [counts])


def _is_plain(dataset: InMemoryDataset) -> bool:
    """Whether a dataset hands out the very graphs that it stores, and these are plain tensors."""
    kind, names = type(dataset), ("get", "len", "indices", "__getitem__")
    if any(getattr(kind, name) is not getattr(InMemoryDataset, name) for name in names):
        return False
    data, slices = dataset._data, dataset.slices
    return (
        dataset.transform is None
        and type(data) is Data
        and isinstance(slices, dict)
        and set(slices) == set(data.keys())
        and all(
            type(value) is Tensor and value.layout == torch.strided and "batch" not in key
            for key, value in data.items()
        )
    )


def _is_index(key: str) -> bool:
    return "index" in key or key == "face"


def _count_nodes(data: Data, slices: dict[str, Tensor]) -> Tensor | None:
    """The nodes of each graph, by the attribute that PyG goes by; None if there is none."""
    keys = [key for key in slices if key in N_KEYS] or [key for key in slices if "node" in key]
    return slices[keys[0]].diff() if keys and data._store.can_infer_num_nodes else None
