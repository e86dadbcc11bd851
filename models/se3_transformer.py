"""The SE(3)-Transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_remul.checks import check_integers
from pyg_remul.lengths import direction_and_length
from pyg_remul.models._base import Symmetry, attribute, edge_inputs
from pyg_remul.models._fibers import Features
from pyg_remul.models._geometric import GeometricModel
from pyg_remul.models._kernel_basis import MAX_DEGREES, EquivariantKernels
from pyg_remul.models._se3_layers import Edges, NormNonlinearity, SE3AttentionLayer
from pyg_remul.ops import Topology, segment_gather

__all__ = ["SE3Transformer"]

_DEGREES = {"scalar": 0, "vector": 1, "pseudovector": 1, "point": 1} | {
    f"{degree}{parity}": degree for degree in range(MAX_DEGREES) for parity in "eo"
}
"""Degree of each kind of object; its parity makes no difference to rotations."""

_REPS = MappingProxyType({"pos": "point", "vel": "vector"})


class SE3Transformer(GeometricModel):
    r"""SE(3)-Transformer of `Fuchs et al. (2020) <https://arxiv.org/abs/2006.10503>`_.

    .. math::
        h^{n+1} = \operatorname{norm}\bigl(\operatorname{Attention}^n(h^n)\bigr), \qquad
        y = \operatorname{Attention}^L_{\text{mixing}}(h^L)

    where :math:`h^0_i` holds the inputs of node i, :math:`h^n_i` ``hidden_channels`` features of
    each degree below ``num_degrees``, and :math:`y_i` the output, in the unit of the target. Nodes
    attend to the sources of their incoming edges, with keys and values that depend on the direction
    from source to target through spherical harmonics, and on the edge's invariants: its attributes,
    the product of both masses, and the distance. The defaults are those for N-body: velocities in,
    positions out, masses on fully connected edges, 293,920 parameters.

    Its symmetry is ``"exact"`` under SE(3), rotations and translations, for whatever `out_rep`
    declares, as long as the edge attributes are invariant; it does not include reflections, so
    that ``"vector"`` and ``"pseudovector"``, or ``"1o"`` and ``"1e"``, are the same here. Positions
    enter by differences alone, so that there is no centre of mass to subtract. It commutes with
    permutations of the nodes. There is no final linear map, hence no `head`.

    Note:
        The last layer makes at least two objects of each degree that `out_rep` names, as the
        released code does for N-body; surplus ones are not returned. It departs from that code in
        having one head in the last layer whatever `heads` is, and where directions would be
        arbitrary: edges of length zero and features that cancel but for rounding have the direction
        zero, so that coincident nodes and symmetric graphs keep the symmetry.

    Args:
        hidden_channels: Number of features of each degree, a multiple of ``div * heads``.
        num_layers: Number L of hidden layers, which the layer of the output follows.
        num_degrees: Number of degrees, 1 to 6, above that of any input and output.
        heads: Number of attention heads of the hidden layers.
        div: Keys and values have ``hidden_channels // div`` channels in the hidden layers.
        edge_dim: Width D of the edge attributes to read; with 0 none are read.
        edge_attr: Name of the edge attribute to read.
        mass: Name of the masses, or None for edges without their product.
        inputs: Names of the node attributes to read, a point and another object among them. The
            first point is the position.
        reps: Their representations: scalars, vectors, pseudovectors, points, which are taken
            relative to the position, irreps such as ``"2e"``, and sums.
        out_rep: Representation of the output, of the same kinds; a point is the position plus a
            vector.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is out of its range, `inputs` holds no position or nothing else, an
            input is not declared, or a representation is of another kind or of too high a degree.

    Example:
        >>> model = SE3Transformer(num_layers=1, num_degrees=2, mass=None)
        >>> edge_index = torch.tensor([[0, 1], [1, 0]])
        >>> model(Data(pos=torch.eye(2, 3), vel=torch.ones(2, 3), edge_index=edge_index)).shape
        torch.Size([2, 3])
    """

    symmetry: ClassVar[Symmetry] = "exact"

    def __init__(
        self,
        hidden_channels: int = 8,
        num_layers: int = 4,
        *,
        num_degrees: int = 4,
        heads: int = 1,
        div: int = 4,
        edge_dim: int = 0,
        edge_attr: str = "edge_attr",
        mass: str | None = "mass",
        inputs: Sequence[str] = ("pos", "vel"),
        reps: Mapping[str, str] = _REPS,
        out_rep: str = "point",
    ) -> None:
        check_integers(num_degrees=num_degrees, heads=heads, div=div)
        check_integers("not negative", edge_dim=edge_dim)
        if num_degrees > MAX_DEGREES:
            raise ValueError(f"`num_degrees` must be at most {MAX_DEGREES}, got {num_degrees}.")
        kinds = [k for k, degree in _DEGREES.items() if degree < num_degrees or k == "point"]
        super().__init__(hidden_channels, num_layers, inputs, reps, out_rep, kinds)
        self._counts = self._counts_beside_position()
        if not any(self._counts.values()):
            raise ValueError(f"`inputs` must hold more than the position, got {self.reps}.")
        if num_degrees == 1 and (self._counts["point"] or "point" in self.out_layout.counts):
            raise ValueError(
                "`num_degrees` must be at least 2 for points other than the position, got 1."
            )
        if hidden_channels % (div * heads):
            raise ValueError(
                f"`hidden_channels` must be a multiple of `div` * `heads` = {div * heads}, got "
                f"{hidden_channels}."
            )
        self.num_degrees = num_degrees
        self.edge_dim = edge_dim
        self.edge_attr = edge_attr
        self.mass = mass
        self._build_layers(edge_dim + (mass is not None) + 1, div, heads)

    def _build_layers(self, edge_channels: int, div: int, heads: int) -> None:
        hidden = dict.fromkeys(range(self.num_degrees), self.hidden_channels)
        inputs = [_fiber(self._counts), *[hidden] * (self.num_layers - 1)]
        self.kernels = EquivariantKernels(self.num_degrees)
        self.layers = nn.ModuleList(
            SE3AttentionLayer(fiber, hidden, edge_channels, div=div, heads=heads)
            for fiber in inputs
        )
        self.norms = nn.ModuleList(NormNonlinearity(hidden) for _ in inputs)
        outputs = {
            degree: max(2, count) for degree, count in _fiber(self.out_layout.counts).items()
        }
        self.last = SE3AttentionLayer(hidden, outputs, edge_channels, attentive=True)

    def core(self, x: Tensor, edge_index: Tensor, edge_scalars: Tensor) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            x: Inputs of the nodes, shape [N, in_channels].
            edge_index: Edges from its first row to its second, shape [2, E].
            edge_scalars: Invariants of the edges but the distance, shape [E, D], D possibly 0.

        Returns:
            Shape [N, out_channels].
        """
        objects = self.layout.split(x)
        pos = objects["point"][:, 0]
        objects["point"] = objects["point"][:, 1:] - pos.unsqueeze(1)
        topology = Topology(edge_index, x.size(0))
        ends = segment_gather(pos, topology.by_target)
        difference = ends - segment_gather(pos, topology.by_source)
        direction, length = direction_and_length(difference)
        invariants = torch.cat([edge_scalars, length], dim=-1)
        edges = Edges(topology, difference, invariants, self.kernels(direction))
        features = self._read(objects)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            features = norm(layer(features, edges))
        return self._write(self.last(features, edges), pos)

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            data: A graph or a batch with the inputs, positions, masses and `edge_index`.

        Returns:
            Shape [N, out_channels].

        Raises:
            ValueError: If an attribute is missing or does not fit.
        """
        x = self.node_inputs(data)
        edge_index, edge_attr = edge_inputs(data, self.edge_attr, self.edge_dim)
        columns = [x.new_empty(edge_index.size(1), 0) if edge_attr is None else edge_attr]
        if self.mass is not None:
            mass = self._masses(data, self.mass, len(x))
            columns.append(mass[edge_index[0]] * mass[edge_index[1]])
        return self.core(x, edge_index, torch.cat(columns, dim=-1))

    def _masses(self, data: Data, name: str, num_nodes: int) -> Tensor:
        mass = attribute(data, name)
        if mass.shape != (num_nodes, 1):
            raise ValueError(
                f"`data.{name}` must have shape [{num_nodes}] or [{num_nodes}, 1], one mass per "
                f"node, got {list(mass.shape)}."
            )
        return self.as_floats(mass)

    def _read(self, objects: dict[str, Tensor]) -> Features:
        fiber = _fiber(self._counts)
        parts: dict[int, list[Tensor]] = {degree: [] for degree in fiber}
        for kind, value in objects.items():
            if self._counts[kind]:
                parts[_DEGREES[kind]].append(value)
        return {degree: torch.cat(values, dim=1).mT for degree, values in parts.items()}

    def _write(self, features: Features, pos: Tensor) -> Tensor:
        objects: dict[str, Tensor] = {}
        left = {degree: value.mT for degree, value in features.items()}
        for kind, count in self.out_layout.counts.items():
            degree = _DEGREES[kind]
            objects[kind], left[degree] = left[degree].tensor_split([count], dim=1)
        if "point" in objects:
            objects["point"] = objects["point"] + pos.unsqueeze(1)
        return self.out_layout.join(objects)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, num_degrees={self.num_degrees})"


def _fiber(counts: Mapping[str, int]) -> dict[int, int]:
    """Number of objects of each degree, in ascending order of degrees."""
    fiber: dict[int, int] = {}
    for kind, count in counts.items():
        if count:
            fiber[_DEGREES[kind]] = fiber.get(_DEGREES[kind], 0) + count
    return dict(sorted(fiber.items()))
