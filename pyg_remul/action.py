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
from pyg_remul.rows import RowGraphs, row_graphs, rows_by_size, store_of

__all__ = ["CENTER_OF_MASS", "GraphAction", "Reps", "prediction_graphs"]

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

    def __getitem__(self, key: str) -> Representation:
        """The representation of an attribute."""
        if key not in self._parsed:
            raise ValueError(f"`reps` must declare '{key}', got {self.reps}.")
        return self._parsed[key]

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
        self, data: BaseData, element: GroupElement, *, optional: Collection[str] = ()
    ) -> BaseData:
        """Returns a copy of ``data`` in which the declared attributes are turned.

        Args:
            data: A graph, or a batch of :math:`B` graphs.
            element: One element, or :math:`B`.
            optional: Attributes that may be absent.

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
        done: set[tuple[Any, str]] = set()
        for rep, store, name in self._declared(turned, optional):
            _check(store[name], rep, element.dim, name)
            index = None if graphs is None else graphs(store, name)
            store[name] = rep.transform(store[name], element, index)
            done.add((store._key, name))
        for store in turned.stores:
            self._finish(store, element, done, graphs)
        return turned

    def turn_prediction(
        self, name: str, value: Tensor, element: GroupElement, batch: Batch
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
        rep.check(value, element.dim, name)
        index = None if len(element) == 1 else prediction_graphs(batch, name, value)
        return rep.transform(value, element, index)

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
        self, data: BaseData, optional: Collection[Any]
    ) -> Iterator[tuple[Representation, BaseStorage, str]]:
        """Yields the stores that hold each declared attribute."""
        for key, rep in self._parsed.items():
            kind, name = key if isinstance(key, tuple) else (None, key)
            stores = [store for store in data.stores if name in store]
            if kind is not None:
                stores = [store for store in stores if store._key == kind]
            if not stores and key not in optional:
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
    if value.device.type == "cpu" and not math.isfinite(value.detach().sum()):
        _check_finite(value, name)


def _check_finite(value: Tensor, name: str) -> None:
    """Looks at each entry, for a sum may overflow."""
    if not bool(torch.isfinite(value).all()):
        rows = (~torch.isfinite(value)).flatten(1).any(dim=1).nonzero().flatten()
        raise ValueError(
            f"`{name}` must be finite, got NaN or infinity in {rows.numel()} of {value.size(0)} "
            f"rows, the first of them row {int(rows[0])}."
        )


def prediction_graphs(batch: Batch, name: str, value: Tensor) -> Tensor:
    """Returns the graph of each row of a prediction: its target's, or by size without a target."""
    store = store_of(batch, name)
    if store is not None and store[name].size(0) == value.size(0):
        return row_graphs(batch, store, name)
    return rows_by_size(batch, batch.stores[0], name, value)
