"""The E(n)-equivariant graph network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.typing import OptTensor

from pyg_remul.checks import check_integers
from pyg_remul.lengths import length
from pyg_remul.models._base import (
    NodeModel,
    Symmetry,
    attribute,
    check_names,
    edge_inputs,
)
from pyg_remul.models._egnn_layer import EGNNLayer, apply_layers

__all__ = ["EGNN", "EGNNLayer"]


class EGNN(NodeModel):
    r"""Equivariant graph network of `Satorras et al. (2021) <https://arxiv.org/abs/2102.09844>`_.

    .. math::
        h_i^0 = W s_i + b, \qquad (h^{l+1}, x^{l+1}) = \operatorname{EGNNLayer}(h^l, x^l, v, e),
        \qquad y_i = x_i^L

    where :math:`s_i` holds the invariant inputs of node i, :math:`x_i^0` its position,
    :math:`v_i` its velocity, :math:`e_{ij}` the attributes of the edge from j to i, and
    :math:`y_i` the predicted position, in the unit of :math:`x_i^0`. The defaults are those for
    MD17: charges :math:`z/z_{\max}` and speeds of the nodes, and four edge attributes beside the
    squared distance, which stays that of the input in all layers.

    Its symmetry is ``"exact"`` under E(d), reflections and translations included, for outputs that
    are points, as long as `inputs` and the edge attributes are invariant. It commutes with
    permutations of the nodes. There is no final linear map, hence no `head`; the last layer's
    channels do not reach the output, so that its `node_mlp` receives no gradient.

    Note:
        Departs from the released code in the bound on displacements; see :class:`EGNNLayer`. For
        several vectors or points of a node, in or out, there is
        :class:`~pyg_remul.models.MultiChannelEGNN`.

    Args:
        in_channels: Total number of columns of the invariant inputs, one per name in `norm_inputs`.
        hidden_channels: Width of the hidden layers.
        out_channels: Number d of coordinates.
        num_layers: Number L of layers.
        edge_dim: Width of the edge attributes to read; with 0 none are read.
        inputs: Names of the invariant node attributes to concatenate.
        norm_inputs: Names of node attributes that are vectors and enter by their length.
        velocity: Name of the velocities, or None for a network without them.
        position: Name of the positions.
        edge_attr: Name of the edge attribute to read.
        input_distance: Whether the squared input distance is one more edge attribute.
        attention: As for :class:`EGNNLayer`.
        normalize: As for :class:`EGNNLayer`.
        tanh: As for :class:`EGNNLayer`.
        clamp: As for :class:`EGNNLayer`.

    Raises:
        TypeError: If `inputs` or `norm_inputs` is a single string.
        ValueError: If a size is not positive, `edge_dim` is negative or `clamp` is not positive.

    Example:
        >>> import torch
        >>> model = EGNN(in_channels=1, edge_dim=0, inputs=(), norm_inputs=("vel",))
        >>> edge_index = torch.tensor([[0, 1], [1, 0]])
        >>> model(Data(pos=torch.eye(2, 3), vel=torch.ones(2, 3), edge_index=edge_index)).shape
        torch.Size([2, 3])
    """

    symmetry: ClassVar[Symmetry] = "exact"

    def __init__(
        self,
        in_channels: int = 2,
        hidden_channels: int = 64,
        out_channels: int = 3,
        num_layers: int = 4,
        edge_dim: int = 4,
        *,
        inputs: Sequence[str] = ("charge",),
        norm_inputs: Sequence[str] = ("vel",),
        velocity: str | None = "vel",
        position: str = "pos",
        edge_attr: str = "edge_attr",
        input_distance: bool = True,
        attention: bool = False,
        normalize: bool = False,
        tanh: bool = False,
        clamp: float | None = 100.0,
    ) -> None:
        super().__init__(in_channels, hidden_channels, out_channels, num_layers, inputs)
        check_integers("not negative", edge_dim=edge_dim)
        self.norm_inputs = check_names("norm_inputs", norm_inputs)
        self.velocity = velocity
        self.position = position
        self.edge_dim = edge_dim
        self.edge_attr = edge_attr
        self.input_distance = input_distance
        self.embedding = nn.Linear(in_channels, hidden_channels)
        self.layers = nn.ModuleList(
            EGNNLayer(
                hidden_channels,
                edge_dim + input_distance,
                num_vectors=int(velocity is not None),
                attention=attention,
                normalize=normalize,
                tanh=tanh,
                clamp=clamp,
            )
            for _ in range(num_layers)
        )

    def core(
        self,
        x: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        edge_attr: OptTensor = None,
        vel: OptTensor = None,
    ) -> tuple[Tensor, Tensor]:
        """Returns the channels and positions after the last layer.

        Args:
            x: Invariant inputs of the nodes, shape [N, in_channels].
            pos: Positions of the nodes, shape [N, d].
            edge_index: Edges from its first row to its second, shape [2, E].
            edge_attr: Attributes of the edges without the distance, shape [E, edge_dim].
            vel: Velocities of the nodes, shape [N, d].

        Returns:
            Shapes [N, hidden_channels] and [N, d].
        """
        vectors = None if vel is None else vel.unsqueeze(1)
        h, points = apply_layers(
            self.layers,
            self.embedding(x),
            pos.unsqueeze(1),
            edge_index,
            edge_attr,
            vectors,
            input_distance=self.input_distance,
        )
        return h, points.squeeze(1)

    def forward(self, data: Data) -> Tensor:
        """Returns the predicted positions of all nodes.

        Args:
            data: A graph or a batch with the inputs, positions and `edge_index`.

        Returns:
            Shape [N, d].

        Raises:
            ValueError: If an attribute is missing or does not fit.
        """
        edge_index, edge_attr = edge_inputs(data, self.edge_attr, self.edge_dim)
        pos = self._coordinates(data, self.position)
        vel = None if self.velocity is None else self._coordinates(data, self.velocity)
        return self.core(self.node_inputs(data), pos, edge_index, edge_attr, vel)[1]

    def _coordinates(self, data: Data, name: str) -> Tensor:
        value = attribute(data, name)
        if value.size(1) != self.out_channels:
            raise ValueError(
                f"`out_channels` must equal the width of `data.{name}`, {value.size(1)}, "
                f"got {self.out_channels}."
            )
        return value

    def _columns(self, data: Data) -> dict[str, Tensor]:
        norms = {f"|{name}|": length(attribute(data, name)) for name in self.norm_inputs}
        return {**super()._columns(data), **norms}
