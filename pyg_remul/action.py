"""The action of group elements on graphs."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Batch, HeteroData
from torch_geometric.data.data import BaseData
from torch_geometric.data.storage import BaseStorage

from pyg_remul.element import GroupElement
from pyg_remul.groups import Group
from pyg_remul.representations import Representation, parse_representation
from pyg_remul.rows import (
    Key,
    RowGraphs,
    count_graphs,
    row_graphs,
    rows_by_size,
    split_key,
    store_of,
)

__all__ = ["CENTER_OF_MASS", "GraphAction", "Reps", "check_finite"]

Reps: TypeAlias = Mapping[str, str] | Mapping[str | tuple[Any, str], str]
"""Attribute, or (node type, attribute), to its representation."""

CENTER_OF_MASS = "center_of_mass"
"""Where a centred graph keeps its shift; a vector, which turns with the graph but does not move."""


class GraphAction:
    r"""Turns all declared attributes of a graph together, :math:`x \mapsto \phi(g) x`.

    Args:
        reps: The representation of each attribute; see
            :func:`~pyg_remul.representations.parse_representation`. In a ``HeteroData`` object, a
            plain name means every type that has the attribute, ``("atom", "pos")`` one of them,
            for which it takes precedence.

    Raises:
        TypeError: If ``reps`` is not a mapping of names to descriptions.
        ValueError: If it is empty or holds an unknown description.
    """

    def __init__(self, reps: Reps) -> None:
        if not isinstance(reps, Mapping):
            raise TypeError(
                "`reps` must map attributes to representations, such as {'pos': 'point'}, got "
                f"{reps!r}."
            )
        if not reps:
            raise ValueError("`reps` must declare at least one attribute, got {}.")
        self.reps: dict[Any, str] = dict(reps.items())
        self._parsed: dict[Any, Representation] = {
            key: parse_representation(text) for key, text in self.reps.items()
        }
        self._warned: set[str] = set()

    def __getitem__(self, key: Key) -> Representation:
        """The representation of an attribute, by its name or (type, name)."""
        for candidate in (key, split_key(key)[1], *self._typed(key)):
            if candidate in self._parsed:
                return self._parsed[candidate]
        raise ValueError(
            f"`reps` must declare '{key}' ('scalar' if it does not turn), got {self.reps}."
        )

    def sample(
        self, data: BaseData, group: Group, num: int, generator: torch.Generator | None = None
    ) -> GroupElement:
        """Draws elements in the precision and on the device of the declared attributes.

        Args:
            data: A graph or batch.
            group: Where to draw from.
            num: How many elements.
            generator: See :meth:`Group.sample <pyg_remul.groups.Group.sample>`.
        """
        values = [store[name] for _, store, name in self._declared(data, optional=self._parsed)]
        tensors = [value for value in values if isinstance(value, Tensor)]
        dtypes = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
        dtype = torch.float64 if torch.float64 in dtypes else torch.float32
        device = tensors[0].device if tensors else None
        return group.sample(num, generator=generator, dtype=dtype, device=device)

    def __call__(
        self,
        data: BaseData,
        element: GroupElement,
        *,
        optional: Collection[Key] = (),
        unchecked: Collection[Key] = (),
    ) -> BaseData:
        """Returns a copy of ``data`` in which the declared attributes are turned.

        Args:
            data: A graph, or a batch of :math:`B` graphs.
            element: One element, or :math:`B`.
            optional: Attributes that may be absent.
            unchecked: Attributes that need not be finite.

        Returns:
            A shallow copy with new tensors; ``data`` is not written to.

        Raises:
            ValueError: If a declared attribute is absent, has the wrong width or is not finite (the
                last is checked on the CPU only, as on a GPU it would wait for the device).
            TypeError: If a declared attribute is not a floating tensor.
        """
        turned = copy.copy(data)
        shared = not isinstance(data, Batch) or len(element) == 1
        graphs = None if shared else RowGraphs(data)
        if len(element) not in (1, count_graphs(data)):
            raise ValueError(
                f"`element` must hold one element, or one for each of {count_graphs(data)} graphs, "
                f"got {len(element)}."
            )
        done: set[tuple[Any, str]] = set()
        for rep, store, name in self._declared(turned, optional):
            _check(store[name], rep, element.dim, name)
            if not {name, (store._key, name)} & set(unchecked):
                check_finite(store[name], name)
            moves = rep.width(element.dim) is not None
            index = graphs(store, name) if graphs is not None and moves else None
            store[name] = rep.transform(store[name], element, index)
            done.add((store._key, name))
        for store in turned.stores:
            self._finish(store, element, done, graphs)
        return turned

    def turn_prediction(
        self, name: Key, value: Tensor, element: GroupElement, batch: Batch
    ) -> Tensor:
        r"""Applies :math:`\rho(g)` to a prediction, whose rows are those of its target.

        Args:
            name: The target.
            value: The prediction, shape ``[rows, ...]``.
            element: One element, or one for each graph.
            batch: The graphs; the target itself may be absent from them.

        Returns:
            A tensor of ``value``'s shape, with its gradient.
        """
        rep = self[name]
        rep.check(value, element.dim, str(name))
        index = None if len(element) == 1 else self.prediction_graphs(batch, name, value)
        return rep.transform(value, element, index)

    def prediction_graphs(self, batch: Batch, name: Key, value: Tensor) -> Tensor:
        """Returns the graph of each row of a prediction.

        It is that of its target's row, or without a target goes by the prediction's size.

        Args:
            batch: The graphs.
            name: The target.
            value: The prediction, shape ``[rows, ...]``.

        Raises:
            ValueError: If there is no target and the size fits no level of the graphs, or several.
        """
        store = store_of(batch, name)
        plain = split_key(name)[1]
        if store is not None and store[plain].size(0) == value.size(0):
            return row_graphs(batch, store, plain)
        kinds = [split_key(key)[0] for key in (name, *self._typed(name))]
        stores = [store for store in batch.stores if store._key in kinds]
        return rows_by_size(batch, stores[-1], plain, value)

    def _typed(self, key: Key) -> list[Key]:
        """The declarations of a plain name for single types."""
        kind, name = split_key(key)
        if kind is not None:
            return []
        return [known for known in self._parsed if isinstance(known, tuple) and known[1] == name]

    def _finish(
        self,
        store: BaseStorage,
        element: GroupElement,
        done: set[tuple[Any, str]],
        graphs: RowGraphs | None,
    ) -> None:
        """Turns a kept centre of mass, and warns of attributes that look geometric."""
        for name, value in list(store.items()):
            if (store._key, name) in done or not isinstance(value, Tensor):
                continue
            if name == CENTER_OF_MASS:
                index = None if graphs is None else graphs(store, name)
                store[name] = parse_representation("vector").transform(value, element, index)
            elif self._looks_geometric(value, element.dim) and name not in self._warned:
                self._warned.add(name)
                warnings.warn(
                    f"`{name}` has {element.dim} columns but `reps` does not declare it, so it "
                    "stays as it is; declare it ('scalar' if it does not turn).",
                    stacklevel=5,
                )

    @staticmethod
    def _looks_geometric(value: Tensor, dim: int) -> bool:
        return value.is_floating_point() and value.dim() > 1 and value.size(-1) == dim

    def _declared(
        self, data: BaseData, optional: Collection[Key]
    ) -> Iterator[tuple[Representation, BaseStorage, str]]:
        """Yields the stores that hold each declared attribute."""
        for key, rep in self._parsed.items():
            kind, name = split_key(key)
            stores = [store for store in data.stores if name in store]
            if kind is not None:
                stores = [store for store in stores if store._key == kind]
            if not stores and not {key, name} & set(optional):
                raise ValueError(_missing(data, key))
            for store in stores:
                if kind is not None or (store._key, name) not in self._parsed:
                    yield rep, store, name


def _missing(data: BaseData, key: Any) -> str:
    names = sorted({name for store in data.stores for name in store})
    types = f" of types {data.node_types}" if isinstance(data, HeteroData) else ""
    return f"`reps` declares '{key}', which the graph lacks; its attributes{types} are {names}."


def _check(value: Any, rep: Representation, dim: int, name: str) -> None:
    """Refuses what cannot be turned."""
    if not isinstance(value, Tensor):
        raise TypeError(f"`{name}` must be a tensor to be turned, got {type(value).__name__}.")
    rep.check(value, dim, name)
    if rep.width(dim) is None:
        return
    if not value.is_floating_point():
        raise TypeError(f"`{name}` must be a floating tensor to be turned, got {value.dtype}.")


def check_finite(value: Tensor, name: str) -> None:
    """Refuses NaN and infinity, on the CPU only, as on a GPU it would wait for the device.

    Args:
        value: The attribute.
        name: Its name, for the message.

    Raises:
        ValueError: If an entry is not finite.
    """
    if value.device.type != "cpu" or not value.is_floating_point():
        return
    # The sum is the fast way to know; as it may overflow, it is not the last word.
    if not math.isfinite(value.detach().sum()) and not bool(torch.isfinite(value).all()):
        rows = (~torch.isfinite(value)).reshape(value.size(0), -1).any(dim=1).nonzero().flatten()
        raise ValueError(
            f"`{name}` must be finite, got NaN or infinity in {rows.numel()} of {value.size(0)} "
            f"rows, the first of them row {int(rows[0])}."
        )
