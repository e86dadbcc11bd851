"""Which graph each row of a batch belongs to."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.data import BaseData
from torch_geometric.data.storage import N_KEYS, BaseStorage

from pyg_remul.transfer import send

__all__ = [
    "Key",
    "RowGraphs",
    "Slices",
    "as_batch",
    "count_graphs",
    "edge_graphs",
    "row_graphs",
    "rows_by_size",
    "set_graph_attribute",
    "slices_of",
    "split_key",
    "store_of",
]

Key: TypeAlias = str | tuple[Any, str]
"""An attribute, or (node or edge type, attribute)."""

Slices: TypeAlias = Any  # what PyG collates: tensors, nested as the attribute is


def as_batch(data: BaseData) -> Batch:
    """Returns a batch as it is, and a lone graph as a batch of one.

    Args:
        data: A ``Batch``, or a ``Data`` or ``HeteroData`` object.

    Raises:
        TypeError: If ``data`` is neither.
        ValueError: If the batch holds no graph.
    """
    if isinstance(data, Batch):
        if not data.stores[0] and len(data.stores) == 1:
            raise ValueError(
                "`batch` must hold at least one graph, got a batch without attributes."
            )
        if not hasattr(data, "num_graphs"):
            raise TypeError(
                "`batch` must be made by `Batch.from_data_list` or PyG's DataLoader, got one "
                "without graphs to tell apart, such as a DenseDataLoader makes."
            )
        if data.num_graphs == 0:
            raise ValueError("`batch` must hold at least one graph, got an empty batch.")
        return data
    if isinstance(data, (Data, HeteroData)) and count_graphs(data):
        return Batch.from_data_list([data])
    raise TypeError(f"`batch` must be a PyG Batch, Data or HeteroData, got {type(data).__name__}.")


def store_of(data: BaseData, key: Key) -> BaseStorage | None:
    """Returns the store that holds an attribute, ``None`` if there is none.

    Args:
        data: A graph or batch.
        key: The attribute's name, or in a ``HeteroData`` object also (type, name).

    Raises:
        ValueError: If several node or edge types hold it.
    """
    kind, name = split_key(key)
    stores = [store for store in data.stores if name in store and kind in (None, store._key)]
    if len(stores) > 1:
        raise ValueError(
            f"`{name}` must be an attribute of one type, got one of {[s._key for s in stores]}."
        )
    return stores[0] if stores else None


def split_key(key: Key) -> tuple[Any, str]:
    """Takes (type, name) apart; a plain name has the type ``None``."""
    return key if isinstance(key, tuple) else (None, key)


def slices_of(data: BaseData, store: BaseStorage) -> dict[str, Slices]:
    """Returns the boundaries of each graph's rows, by attribute, as PyG noted them on collation."""
    slices = getattr(data, "_slice_dict", {})
    return slices if store._key is None else slices.get(store._key, {})


class RowGraphs:
    """Tells which graph each row of an attribute belongs to.

    It is read from the slices that PyG noted on collation, and for edges from the nodes that they
    join, since graphs may have been given other edges after collation. An attribute added later has
    no slices; then its size decides, and its name where the batch has as many edges as nodes.

    Args:
        batch: A batch of :math:`B` graphs.
    """

    def __init__(self, batch: BaseData) -> None:
        self.batch = batch
        self._known: list[tuple[Tensor, Tensor]] = []  # attributes of a level have equal slices

    def __call__(self, store: BaseStorage, key: str) -> Tensor:
        """Returns the graph of each row.

        Args:
            store: The store of the batch that holds the attribute.
            key: The attribute's name.

        Returns:
            Indices in :math:`[0, B)`, shape ``[rows]``, on the attribute's device.

        Raises:
            ValueError: If the attribute has no slices and its size fits no level, or several.
        """
        value: Tensor = store[key]
        slices = slices_of(self.batch, store).get(key)
        if not isinstance(slices, Tensor):
            return rows_by_size(self.batch, store, key, value)
        if int(slices[-1]) != value.size(0):  # replaced after collation by one of another size
            return rows_by_size(self.batch, store, key, value)
        if _follows_edges(self.batch, store, key, slices):
            return edge_graphs(self.batch, store)
        for known, index in self._known:
            if index.device == value.device and torch.equal(known, slices):
                return index
        index = _expand(slices, value)
        self._known.append((slices, index))
        return index


def row_graphs(batch: BaseData, store: BaseStorage, key: str) -> Tensor:
    """Returns the graph of each row of one attribute; see :class:`RowGraphs`."""
    return RowGraphs(batch)(store, key)


def count_graphs(data: BaseData) -> int:
    """Returns the number of graphs, 1 for a lone one.

    Raises:
        ValueError: If a lone graph has a ``batch`` vector, which says that it holds several.
    """
    if isinstance(data, Batch):
        return int(data.num_graphs)
    if any("batch" in store for store in data.stores):
        raise ValueError(
            "`data` must be a Batch to hold several graphs, got a "
            f"{type(data).__name__} with a `batch` vector; use `Batch.from_data_list`."
        )
    return 1


def rows_by_size(batch: BaseData, store: BaseStorage, key: str, value: Tensor) -> Tensor:
    """Returns the graph of each row of a tensor without slices; see :func:`row_graphs`."""
    levels = {
        name: index
        for name, index in _levels(batch, store, value.device).items()
        if index.numel() == value.size(0)
    }
    if "edge" in key and "edge" in levels:
        return levels["edge"]
    candidates = list(levels.values())
    if not candidates or any(not torch.equal(candidates[0], other) for other in candidates[1:]):
        fault = "is ambiguous" if candidates else "fits none of them"
        raise ValueError(
            f"`{key}` must have one row for each node, edge or graph, got {value.size(0)} rows, "
            f"which {fault}. One that is in the graphs before they are batched needs no guess."
        )
    return candidates[0]


def _levels(batch: BaseData, store: BaseStorage, device: torch.device) -> dict[str, Tensor]:
    """The graph of every node, edge and graph, as far as the store knows them."""
    levels = {"graph": torch.arange(batch.num_graphs, device=device)}
    nodes = store.get("batch")
    if isinstance(nodes, Tensor):
        levels["node"] = nodes
    if isinstance(store.get("edge_index"), Tensor):
        levels["edge"] = edge_graphs(batch, store)
    return levels


def edge_graphs(batch: BaseData, store: BaseStorage) -> Tensor:
    """Returns the graph of each edge of a store, shape ``[E]``: that of the node it begins at.

    Where a class of data counts the ends of its edges in a way of its own, it is read from the
    slices.
    """
    nodes = store if not isinstance(store._key, tuple) else batch[store._key[0]]
    slices = slices_of(batch, store).get("edge_index")
    usual = type(batch).__inc__ in (Data.__inc__, HeteroData.__inc__) and "batch" in nodes
    if isinstance(slices, Tensor) and not usual:
        return _expand(slices, store["edge_index"][0])
    graphs: Tensor = nodes["batch"]
    return graphs[store["edge_index"][0]]


def _follows_edges(batch: BaseData, store: BaseStorage, key: str, slices: Tensor) -> bool:
    """Whether an attribute has one row an edge: on collation it was cut as the edges were."""
    edges = slices_of(batch, store).get("edge_index")
    if not isinstance(edges, Tensor) or not torch.equal(slices, edges):
        return False
    if "edge" in key:
        return True
    nodes = _node_slices(batch, store)  # there may be as many nodes as edges in every graph
    return nodes is None or not torch.equal(nodes, slices)


def _node_slices(batch: BaseData, store: BaseStorage) -> Tensor | None:
    """The boundaries of each graph's nodes, by what the host knows of them if it does."""
    slices = slices_of(batch, store)
    known = [slices[key] for key in sorted(N_KEYS) if isinstance(slices.get(key), Tensor)]
    pointer: Tensor | None = known[0] if known else store.get("ptr")
    return None if pointer is None else pointer.cpu()


def _expand(slices: Tensor, value: Tensor) -> Tensor:
    """Turns boundaries ``[B + 1]`` into the graph of each row, on the device of a value."""
    num, sizes = slices.numel() - 1, slices.diff()
    if num and bool((sizes == sizes[0]).all()):  # then the device needs nothing from the host
        return torch.arange(num, device=value.device).repeat_interleave(int(sizes[0]))
    index = torch.arange(num).repeat_interleave(sizes, output_size=value.size(0))
    return send(index, value.device)


def set_graph_attribute(data: BaseData, key: str, value: Tensor) -> None:
    """Adds a tensor with one row a graph so that slicing a batch and joining batches know of it.

    Args:
        data: A graph or batch made by a shallow copy; its own bookkeeping is replaced, not written.
        key: The attribute's name.
        value: Shape ``[B, ...]``.
    """
    store = data.stores[0]
    store[key] = value
    if isinstance(data, Batch) and hasattr(data, "_slice_dict"):
        data._slice_dict = {**data._slice_dict, key: torch.arange(data.num_graphs + 1)}
        data._inc_dict = {**data._inc_dict, key: torch.zeros(data.num_graphs, dtype=torch.long)}
