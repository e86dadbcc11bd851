"""PyG transforms that act on all geometric attributes of a graph together."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.data.data import BaseData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.data.storage import BaseStorage
from torch_geometric.transforms import BaseTransform

from pyg_remul.action import CENTER_OF_MASS, GraphAction, Reps
from pyg_remul.element import GroupElement
from pyg_remul.groups import SO3, Group
from pyg_remul.ops import Segments, segment_sum
from pyg_remul.randomness import derive_generator
from pyg_remul.rows import Key, count_graphs, row_graphs, set_graph_attribute, split_key
from pyg_remul.sampling import check_group

__all__ = ["RandomRotation", "SubtractCenterOfMass"]


@functional_transform("random_rotation")
class RandomRotation(BaseTransform):
    r"""Applies a random group element to every geometric attribute of a graph, targets included.

    .. math::
        (x, y) \mapsto (\phi(g) x, \rho(g) y), \qquad g \sim G

    One element is drawn for a graph, and an own one for each graph of a batch. As a transform of
    the training set this is data augmentation; :class:`~pyg_remul.RemulLoss` adds the turned graphs
    to the plain ones instead.

    Note:
        In the workers of a ``DataLoader`` an explicit ``generator`` is replaced by one derived from
        its initial seed and the worker's own, so that workers and epochs differ from each other and
        repeat when both seeds do. Without one, the draws come from torch's global generator, which
        PyTorch seeds in every worker.

    Args:
        reps: The representation of each geometric attribute, such as
            ``{"pos": "point", "vel": "vector", "y": "point"}``. Others stay as they are.
        group: Where the elements come from, all rotations of space by default.
        generator: Source of the draws, torch's global generator by default.
        unchecked: Attributes that may hold NaN, such as labels of which some are missing.

    Raises:
        TypeError: If ``group`` is none.
        ValueError: If an attribute is absent, of the wrong width or, on the CPU, not finite.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(pos=torch.rand(4, 3), charge=torch.ones(4))
        >>> turned = RandomRotation({"pos": "point"})(data)
        >>> torch.allclose(turned.pos.norm(dim=1), data.pos.norm(dim=1), atol=1e-5)
        True
    """

    def __init__(
        self,
        reps: Reps,
        group: Group | None = None,
        *,
        generator: torch.Generator | None = None,
        unchecked: Collection[Key] = (),
    ) -> None:
        self.action, self.unchecked = GraphAction(reps), unchecked
        self.group = SO3() if group is None else group
        check_group(self.group)
        self.generator = generator
        self._worker_seed: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Carries a generator as bytes, for a worker that is spawned cannot take it otherwise."""
        state = dict(self.__dict__)
        if self.generator is not None:
            stream = bytes(self.generator.get_state().tolist())
            state["generator"] = (str(self.generator.device), self.generator.initial_seed(), stream)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if state["generator"] is not None:
            device, seed, stream = state["generator"]
            self.generator = torch.Generator(device).manual_seed(seed)
            self.generator.set_state(torch.tensor(list(stream), dtype=torch.uint8))

    def forward(self, data: BaseData) -> BaseData:
        """Returns a turned copy of a graph or batch."""
        num = count_graphs(data)
        element = self.action.sample(data, self.group, num, self._generator())
        return self.action(data, element, unchecked=self.unchecked)

    def _generator(self) -> torch.Generator | None:
        worker = torch.utils.data.get_worker_info()
        if self.generator is None or worker is None or worker.seed == self._worker_seed:
            return self.generator
        self._worker_seed = worker.seed
        self.generator = derive_generator(self.generator.initial_seed(), "worker", worker.seed)
        return self.generator

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.action.reps}, group={self.group})"


@functional_transform("subtract_center_of_mass")
class SubtractCenterOfMass(BaseTransform):
    r"""Moves the centre of mass of each graph to the origin, with every attribute of kind point.

    .. math::
        x_i \mapsto x_i - c, \qquad c = \frac{\sum_i m_i x_i}{\sum_i m_i}

    Inputs and targets move by the same shift, that of the inputs. It is kept as ``center_of_mass``,
    one row a graph, so that ``prediction + batch.center_of_mass[batch.batch]`` is back in place.
    Graphs without targets are centred by a transform whose ``reps`` leaves the targets out.
    :class:`RandomRotation` and :class:`~pyg_remul.RemulLoss` turn an attribute of this name as a
    vector, without a declaration.

    Args:
        reps: The representation of each attribute; those with a point in them move.
        reference: The attribute whose centre is taken, one row a node; declared with a point.
        weight: The attribute with the masses :math:`m_i`, shape ``[N]`` or ``[N, 1]``, or ``None``
            for equal ones.
        unchecked: Attributes that may hold NaN, such as labels of which some are missing.

    Raises:
        ValueError: If an attribute is absent or of the wrong width, ``reference`` is no point, or,
            on the CPU, a graph's total mass is not positive.

    Example:
        >>> from torch_geometric.data import Data
        >>> data = Data(pos=torch.tensor([[0.0, 0, 0], [2, 0, 0]]))
        >>> centred = SubtractCenterOfMass({"pos": "point"})(data)
        >>> centred.pos.tolist(), centred.center_of_mass.tolist()
        ([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]])
    """

    def __init__(
        self,
        reps: Reps,
        reference: str = "pos",
        weight: str | None = None,
        *,
        unchecked: Collection[Key] = (),
    ) -> None:
        self.action, self.unchecked = GraphAction(reps), unchecked
        moving = [split_key(key)[1] for key, rep in reps.items() if "point" in rep]
        if reference not in moving:
            raise ValueError(
                f"`reps` must declare the reference '{reference}' with a point, got {dict(reps)}."
            )
        self.reference = reference
        self.weight = weight

    def forward(self, data: BaseData) -> BaseData:
        """Returns a centred copy of a graph or batch."""
        center = self._center(data)
        options: dict[str, Any] = {"dtype": center.dtype, "device": center.device}
        identity = GroupElement.identity(len(center), center.size(1), **options)
        shift = GroupElement(identity.matrix, -center)
        centred = self.action(data, shift, unchecked=self.unchecked)
        earlier = data.stores[0].get(CENTER_OF_MASS, 0.0)
        set_graph_attribute(centred, CENTER_OF_MASS, earlier + center)
        return centred

    def _center(self, data: BaseData) -> Tensor:
        num = count_graphs(data)
        moments: list[Tensor] = []
        for store in data.stores:
            if self.reference not in store:
                continue
            pos = store[self.reference]
            weight = self._weight(store, pos)
            index = _graphs(data, store, self.reference)
            rows = torch.cat([weight * pos, weight, torch.ones_like(weight)], dim=-1)
            moments.append(segment_sum(rows, Segments(index, num)))
        if not moments:
            raise ValueError(
                f"`reference` must name an attribute of the graph, got '{self.reference}'."
            )
        total = torch.stack(moments).sum(dim=0)
        weighted, mass, nodes = total[:, :-2], total[:, -2:-1], total[:, -1:]
        if mass.device.type == "cpu" and bool(((mass <= 0) & (nodes > 0)).any()):
            raise ValueError(
                f"`weight` must have a positive sum in every graph, got {float(mass.min())}."
            )
        return weighted / mass.where(nodes > 0, 1.0)  # a graph without nodes stays where it is

    def _weight(self, store: BaseStorage, pos: Tensor) -> Tensor:
        if self.weight is None:
            return pos.new_ones(pos.size(0), 1)
        if self.weight not in store:
            raise ValueError(f"`weight` must name an attribute of the graph, got '{self.weight}'.")
        weight = store[self.weight]
        if weight.numel() != pos.size(0):
            raise ValueError(
                f"`weight` must name one number for each of {pos.size(0)} nodes, got "
                f"'{self.weight}' of shape {list(weight.shape)}."
            )
        return weight.to(pos.dtype).reshape(-1, 1)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.action.reps}, reference={self.reference!r}, "
            f"weight={self.weight!r})"
        )


def _graphs(data: BaseData, store: BaseStorage, key: str) -> Tensor:
    """The graph of each row of an attribute, zeros for a lone graph."""
    if isinstance(data, Batch):
        return row_graphs(data, store, key)
    rows: Tensor = store[key]
    return torch.zeros(rows.size(0), dtype=torch.long, device=rows.device)
