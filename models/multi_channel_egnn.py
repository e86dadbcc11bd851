"""The E(n)-equivariant graph network for several vectors and points of a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.typing import OptTensor

from pyg_remul.checks import check_integers
from pyg_remul.lengths import length
from pyg_remul.models._base import Symmetry, edge_inputs
from pyg_remul.models._egnn_layer import EGNNLayer, apply_layers
from pyg_remul.models._geometric import KINDS, NBODY_REPS, GeometricModel

__all__ = ["MultiChannelEGNN"]


class MultiChannelEGNN(GeometricModel):
    r"""EGNN with several points and vectors of a node, in and out.

    After `Levy et al. (2023) <https://arxiv.org/abs/2309.03139>`_, an extension of
    :class:`~pyg_remul.models.EGNN`:

    .. math::
        h_i^0 = W \bigl(s_i \,\Vert\, (\lVert v_i^k \rVert)_k \,\Vert\,
                (\langle v_i^k, v_i^l \rangle)_{k<l}\bigr) + b, \qquad
        (h^{l+1}, x^{l+1}) = \operatorname{EGNNLayer}(h^l, x^l, v, e)

    where :math:`s_i` holds the scalars of node i and :math:`v_i^k` its K vectors. The first point
    among `inputs` is the position, further points enter as vectors from there. All C points
    :math:`x_i^c` of the layers start at the position; each point of the output is one of them at
    the end, each vector the displacement of one from the position, and the scalars of the output
    are a linear map of :math:`h_i^L`. Points and vectors are in the unit of the position.

    With one scalar, position and velocity in and one point out it is
    :class:`~pyg_remul.models.EGNN`, weight by weight. Its symmetry is ``"exact"`` under E(d),
    reflections and translations included, as long as the edge attributes are invariant. It commutes
    with permutations of the nodes. Without scalars in the output, the `node_mlp` of the last layer
    receives no gradient.

    Note:
        Levy et al. go from one point to several in the first layer, and back to one in the last.
        Here all layers have C points, every output has its own, and inner products enter.

    Args:
        hidden_channels: Width of the hidden layers.
        num_layers: Number L of layers.
        edge_dim: Width of the edge attributes to read; with 0 none are read.
        inputs: Names of the node attributes to read, a point and a scalar or vector among them.
        reps: Their representations, made of ``"scalar"``, ``"vector"`` and ``"point"``. Further
            attributes are ignored, so that ``reps`` of a dataset will do.
        out_rep: Representation of the output, made of the same, such as ``"point + 2xvector"``.
        num_points: Number C of points in the layers, no less than the points and vectors of the
            output; None for as many as these.
        dim: Number d of dimensions.
        edge_attr: Name of the edge attribute to read.
        input_distance: Whether the squared input distance is one more edge attribute.
        inner_products: Whether those of the vectors enter, beside their lengths.
        attention: As for :class:`~pyg_remul.models.egnn.EGNNLayer`.
        normalize: As for :class:`~pyg_remul.models.egnn.EGNNLayer`.
        tanh: As for :class:`~pyg_remul.models.egnn.EGNNLayer`.
        clamp: As for :class:`~pyg_remul.models.egnn.EGNNLayer`.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive, `edge_dim` is negative, `clamp` is not positive, an
            input is not declared, a kind is not understood, or there is no position or nothing
            beside it.

    Example:
        >>> reps = {"pos": "point", "history": "4xvector"}
        >>> model = MultiChannelEGNN(inputs=("pos", "history"), reps=reps, out_rep="point + vector")
        >>> edge_index = torch.tensor([[0, 1], [1, 0]])
        >>> model(Data(pos=torch.eye(2, 3), history=torch.ones(2, 12), edge_index=edge_index)).shape
        torch.Size([2, 6])
    """

    symmetry: ClassVar[Symmetry] = "exact"

    def __init__(
        self,
        hidden_channels: int = 64,
        num_layers: int = 4,
        edge_dim: int = 0,
        *,
        inputs: Sequence[str] = ("mass", "pos", "vel"),
        reps: Mapping[str, str] = NBODY_REPS,
        out_rep: str = "point",
        num_points: int | None = None,
        dim: int = 3,
        edge_attr: str = "edge_attr",
        input_distance: bool = True,
        inner_products: bool = True,
        attention: bool = False,
        normalize: bool = False,
        tanh: bool = False,
        clamp: float | None = 100.0,
    ) -> None:
        super().__init__(hidden_channels, num_layers, inputs, reps, out_rep, KINDS, dim)
        check_integers("not negative", edge_dim=edge_dim)
        self.edge_dim = edge_dim
        self.edge_attr = edge_attr
        self.input_distance = input_distance
        self.inner_products = inner_products
        self.num_points = self._check_num_points(num_points)
        num_vectors = self._count_vectors()
        self.embedding = nn.Linear(self._count_invariants(num_vectors), hidden_channels)
        self.layers = nn.ModuleList(
            EGNNLayer(
                hidden_channels,
                edge_dim + input_distance,
                num_points=self.num_points,
                num_vectors=num_vectors,
                attention=attention,
                normalize=normalize,
                tanh=tanh,
                clamp=clamp,
            )
            for _ in range(num_layers)
        )
        num_scalars = self.out_layout.counts.get("scalar", 0)
        self.readout = nn.Linear(hidden_channels, num_scalars) if num_scalars else None

    def core(self, x: Tensor, edge_index: Tensor, edge_attr: OptTensor = None) -> Tensor:
        """Returns the outputs of the nodes.

        Args:
            x: Inputs of the nodes, shape [N, in_channels].
            edge_index: Edges from its first row to its second, shape [2, E].
            edge_attr: Attributes of the edges without the distance, shape [E, edge_dim].

        Returns:
            Shape [N, out_channels].
        """
        objects = self.layout.split(x)
        pos, others = objects["point"][:, :1], objects["point"][:, 1:]
        vectors = torch.cat([others - pos, objects.get("vector", others[:, :0])], dim=1)
        h, points = apply_layers(
            self.layers,
            self.embedding(self._invariants(objects.get("scalar"), vectors)),
            pos.expand(-1, self.num_points, -1),
            edge_index,
            edge_attr,
            vectors,
            input_distance=self.input_distance,
        )
        count = self.out_layout.counts.get("point", 0)
        outputs = {"point": points[:, :count], "vector": points[:, count:] - pos}
        if self.readout is not None:
            outputs["scalar"] = self.readout(h).unsqueeze(-1)
        return self.out_layout.join(outputs)

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            data: A graph or a batch with the inputs and `edge_index`.

        Returns:
            Shape [N, out_channels], the columns in the order of `out_rep`.

        Raises:
            ValueError: If an attribute is missing or does not fit.
        """
        edge_index, edge_attr = edge_inputs(data, self.edge_attr, self.edge_dim)
        return self.core(self.node_inputs(data), edge_index, edge_attr)

    def _invariants(self, scalars: OptTensor, vectors: Tensor) -> Tensor:
        parts = [] if scalars is None else [scalars.squeeze(-1)]
        parts.append(length(vectors).squeeze(-1))
        if self.inner_products:
            number = vectors.size(1)
            first, second = torch.triu_indices(number, number, offset=1, device=vectors.device)
            parts.append((vectors[:, first] * vectors[:, second]).sum(dim=-1))
        return torch.cat(parts, dim=-1)

    def _count_vectors(self) -> int:
        counts = self._counts_beside_position()
        return counts["point"] + counts.get("vector", 0)

    def _count_invariants(self, num_vectors: int) -> int:
        pairs = num_vectors * (num_vectors - 1) // 2 if self.inner_products else 0
        count = self.layout.counts.get("scalar", 0) + num_vectors + pairs
        if count == 0:
            raise ValueError(
                f"`inputs` must hold a scalar or vector beside the position, got {self.reps}."
            )
        return count

    def _check_num_points(self, num_points: int | None) -> int:
        counts = self.out_layout.counts
        needed = max(counts.get("point", 0) + counts.get("vector", 0), 1)
        if num_points is None:
            return needed
        check_integers(num_points=num_points)
        if num_points < needed:
            raise ValueError(
                f"`num_points` must be at least {needed} for an output of {self.out_rep!r}, "
                f"got {num_points}."
            )
        return num_points
