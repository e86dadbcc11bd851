"""Batches joined without taking them apart."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.data import BaseData
from torch_geometric.data.storage import BaseStorage

from pyg_remul.rows import Slices, edge_graphs, rows_by_size, slices_of
from pyg_remul.transfer import send

__all__ = ["concatenate"]


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Joins batches that differ in the values of their tensors only.

    Equal to ``Batch.from_data_list`` of all their graphs, without taking them apart: tensors are
    concatenated, and indices raised by what one batch adds up to. That sum is not stored. By PyG's
    own rule for increments, it is the increment of the whole batch; by another, it is the last
    graph's increment plus what the last graph itself adds.

    Args:
        batches: Copies of one collated batch of :math:`B` graphs, at least one.

    Returns:
        A batch of ``len(batches) * B`` graphs that owns its bookkeeping.

    Raises:
        ValueError: If the batch was not made by collation.
        TypeError: If an attribute cannot be joined.

    Example:
        >>> from torch_geometric.data import Data
        >>> graphs = [Data(pos=torch.rand(n, 3)) for n in (2, 3)]
        >>> batch = Batch.from_data_list(graphs)
        >>> concatenate([batch, batch]).ptr.tolist()
        [0, 2, 5, 7, 10]
    """
    if not hasattr(batches[0], "_slice_dict"):
        raise ValueError(
            "`batch` must come from `Batch.from_data_list` or a PyG loader, got one without slices."
        )
    for store in batches[0].stores:
        _check_joinable(store)
    first = _with_fitting_slices(batches[0])
    joined = copy.copy(first)
    joined._slice_dict, joined._inc_dict = {}, {}
    joined._num_graphs = len(batches) * first.num_graphs
    # Taking a graph out of a batch on a GPU would wait for the device.
    told = first if _adds_up(first) else first.get_example(first.num_graphs - 1)
    for stores in zip(
        joined.stores, told.stores, *(batch.stores for batch in batches), strict=True
    ):
        _join_store(joined, first, *stores)
    return joined


def _adds_up(batch: Batch) -> bool:
    """Whether a batch raises indices by what all its graphs together do, as PyG's own data do."""
    kind, usual = type(batch), (Data, HeteroData)
    return any(kind.__inc__ is data.__inc__ for data in usual) and any(
        kind.__cat_dim__ is data.__cat_dim__ for data in usual
    )


def _check_joinable(store: BaseStorage) -> None:
    """Refuses what PyG itself cannot slice back, or what carries metadata of its own."""
    for key, value in store.items():
        plain = isinstance(value, (Mapping, list, int, str)) or type(value) is Tensor
        if not plain or (isinstance(value, Tensor) and value.layout != torch.strided):
            kind = "sparse tensor" if type(value) is Tensor else type(value).__name__
            raise TypeError(
                f"`{key}` must be a dense plain tensor to be joined, got {kind}; store it so "
                "(`as_tensor()` of an EdgeIndex, an `edge_index` instead of an `adj_t`), or join "
                'nothing (`passes="separate"` of a loss, `chunk_size=1` of a metric).'
            )


def _with_fitting_slices(batch: Batch) -> Batch:
    """Cuts edges anew where a batch was given others, more or fewer, after its collation."""
    fitting = copy.copy(batch)
    for store in batch.stores:
        slices = slices_of(batch, store)
        old, edges = slices.get("edge_index"), store.get("edge_index")
        if not isinstance(old, Tensor) or int(old[-1]) == edges.size(1):
            continue
        counts = edge_graphs(batch, store).bincount(minlength=batch.num_graphs).cpu()
        new = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        moved = [key for key, value in store.items() if _has_rows(key, value, edges.size(1))]
        slices = slices | dict.fromkeys(set(moved) & set(slices), new)
        kept = dict(fitting._slice_dict)
        fitting._slice_dict = slices if store._key is None else {**kept, store._key: slices}
    return fitting


def _has_rows(key: str, value: Any, num_edges: int) -> bool:
    if key == "edge_index":
        return True
    return isinstance(value, Tensor) and value.dim() > 0 and value.size(0) == num_edges


def _join_store(
    joined: Batch, first: Batch, target: BaseStorage, told: BaseStorage, *parts: BaseStorage
) -> None:
    slices, incs = slices_of(first, parts[0]), _nested(first._inc_dict, parts[0]._key)
    new_slices: dict[str, Slices] = {}
    new_incs: dict[str, Slices] = {}
    for key, value in parts[0].items():
        values = [part[key] for part in parts]
        if key == "num_nodes":
            target._num_nodes = list(parts[0]._num_nodes) * len(parts)
            target.num_nodes = sum(values)
        elif key in slices:
            join = _Join(told, key, len(parts))
            target[key], new_slices[key], new_incs[key] = join(
                values, told[key], slices[key], incs[key]
            )
        elif key == "batch" or key.removesuffix("_batch") in slices:
            target[key] = _map(lambda *v: _raise_by(v, first.num_graphs), *values)
        elif key == "ptr" or key.removesuffix("_ptr") in slices:
            target[key] = _map(lambda pointer, *_: _repeat_slices(pointer, len(parts)), *values)
        elif not isinstance(value, (int, str)):
            target[key] = _join_late(first, parts[0], key, values)
    for whole, part in ((joined._slice_dict, new_slices), (joined._inc_dict, new_incs)):
        if part:
            whole.update(part if target._key is None else {target._key: part})


def _nested(incs: dict[Any, Any], key: Any) -> dict[str, Slices]:
    return incs if key is None else incs.get(key, {})


def _map(function: Callable[..., Tensor], *values: Any) -> Any:
    """Applies a function to tensors, or through the mappings and lists that hold them."""
    if isinstance(values[0], Mapping):
        return {k: _map(function, *(value[k] for value in values)) for k in values[0]}
    if isinstance(values[0], (list, tuple)):
        return [_map(function, *parts) for parts in zip(*values, strict=True)]
    return function(*values)


def _raise_by(values: Sequence[Tensor], step: int | Tensor, dim: int = 0) -> Tensor:
    first, *others = values
    return torch.cat([first, *(value + part * step for part, value in enumerate(others, 1))], dim)


def _repeat_slices(slices: Tensor, parts: int) -> Tensor:
    """Continues boundaries that start at 0 over ``parts`` copies."""
    total, further = slices[-1], slices[1:]
    return torch.cat([slices, *(further + part * total for part in range(1, parts))])


def _join_late(batch: Batch, store: BaseStorage, key: str, values: list[Any]) -> Tensor:
    """Joins an attribute that was added after collation, if it is plain rows."""
    rows = isinstance(values[0], Tensor) and values[0].dim() > 0
    if not rows or "index" in key or key in ("face", "adj", "adj_t"):
        raise TypeError(
            f"`{key}` was added to the batch after collation and cannot be joined; set it on the "
            "graphs before they are batched."
        )
    rows_by_size(batch, store, key, values[0])
    return torch.cat(values)


class _Join:
    """Joins one collated attribute; mirrors the cases of PyG's collation.

    Args:
        told: The store of the whole batch or of its last graph, which tells the increments.
        key: The attribute.
        parts: How many copies are joined.
    """

    def __init__(self, told: BaseStorage, key: str, parts: int) -> None:
        self.data: BaseData = told._parent()
        self.store, self.key, self.parts = told, key, parts

    def __call__(
        self, values: list[Any], told: Any, slices: Slices, incs: Slices
    ) -> tuple[Any, Slices, Slices]:
        """Returns the joined value with its slices and increments."""
        value = values[0]
        if isinstance(value, Mapping):
            return self._nest(values, told, slices, incs, value.keys(), dict)
        if isinstance(value, list) and isinstance(slices, list):
            return self._nest(values, told, slices, incs, range(len(value)), list)
        if isinstance(value, Tensor):
            return self._dense(values, told, slices, incs)
        joined = [entry for part in values for entry in part]
        return joined, _repeat_slices(slices, self.parts), incs

    def _dense(
        self, values: list[Tensor], told: Any, slices: Tensor, incs: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        dim = self.data.__cat_dim__(self.key, told, self.store) if isinstance(told, Tensor) else 0
        dim, repeated = dim or 0, _repeat_slices(slices, self.parts)
        if incs is None:
            return torch.cat(values, dim), repeated, None
        total = self._total(told, incs)
        if not torch.any(total):
            return torch.cat(values, dim), repeated, torch.cat([incs] * self.parts)
        # A lone number goes to a device with the sum itself.
        step = total if total.dim() == 0 else send(total, values[0].device)
        return _raise_by(values, step, dim), repeated, _raise_by([incs] * self.parts, total)

    def _total(self, told: Any, incs: Tensor) -> Tensor:
        """How much one of the batches raises the indices of the next."""
        total = torch.as_tensor(self.data.__inc__(self.key, told, self.store))
        return total if isinstance(self.data, Batch) else incs[-1] + total

    def _nest(
        self, values: list[Any], told: Any, slices: Slices, incs: Slices, keys: Any, kind: type
    ) -> tuple[Any, Slices, Slices]:
        triples = []
        for key in keys:
            inner = self if kind is list else _Join(self.store, key, self.parts)
            inner_values = [value[key] for value in values]
            triples.append(inner(inner_values, told[key], slices[key], incs[key]))
        columns = [list(column) for column in zip(*triples, strict=True)]
        if kind is list:
            return columns[0], columns[1], columns[2]
        values_, slices_, incs_ = (dict(zip(keys, column, strict=True)) for column in columns)
        return values_, slices_, incs_
