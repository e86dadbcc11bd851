"""The E(n)-equivariant graph network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.inits import reset
from torch_geometric.typing import OptTensor
from torch_geometric.utils import scatter

from pyg_remul.checks import check_integers, check_numbers
from pyg_remul.models._base import (
    NodeModel,
    Symmetry,
    attribute,
    check_names,
    edge_inputs,
)

__all__ = ["EGNN", "EGNNLayer"]


class EGNNLayer(MessagePassing):
    r"""E(n)-equivariant layer of `Satorras et al. (2021) <https://arxiv.org/abs/2102.09844>`_.

    .. math::
        m_{ij} &= \phi_e(h_i \,\Vert\, h_j \,\Vert\, \lVert x_i - x_j \rVert^2 \,\Vert\, e_{ij}) \\
        x_i' &= x_i + \operatorname{mean}_{j \to i} (x_i - x_j)\, \phi_x(m_{ij})
              + \phi_v(h_i)\, v_i \\
        h_i' &= h_i + \phi_h\Bigl(h_i \,\Vert \sum_{j \to i} m_{ij}\Bigr)

    where :math:`x_i` and :math:`v_i` are the position and velocity of node i with d entries,
    :math:`h_i` its F invariant channels and :math:`e_{ij}` the attributes of the edge from j to i.
    :math:`\phi_e` is Linear-SiLU-Linear-SiLU, the others are Linear-SiLU-Linear; the last map of
    :math:`\phi_x` has no bias and starts near zero, Xavier-uniform with gain 0.001.

    Note:
        The released code clamps each component of an edge's displacement to 100, which breaks the
        symmetry where it acts. Here the length of the displacement is bounded instead, and that of
        the velocity term too: it grows with the square of the coordinates, layer by layer.

    Args:
        channels: Number F of invariant channels.
        edge_dim: Width D of the edge attributes; with 0 none are used.
        velocity: Whether the layer has the velocity term.
        normalize: Whether to divide :math:`x_i - x_j` by its length plus one.
        tanh: Whether to bound :math:`\phi_x` by a hyperbolic tangent.
        clamp: Longest displacement by an edge or by the velocity, in the unit of the positions;
            None for no bound.

    Example:
        >>> layer = EGNNLayer(channels=8)
        >>> h, pos = layer(torch.ones(2, 8), torch.rand(2, 3), torch.tensor([[0], [1]]))
        >>> h.shape, pos.shape
        (torch.Size([2, 8]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        channels: int,
        edge_dim: int = 0,
        *,
        velocity: bool = False,
        normalize: bool = False,
        tanh: bool = False,
        clamp: float | None = 100.0,
    ) -> None:
        super().__init__(aggr=None)
        self.normalize = normalize
        self.clamp = clamp
        self.edge_mlp = nn.Sequential(
            nn.Linear(2 * channels + 1 + edge_dim, channels),
            nn.SiLU(),
            nn.Linear(channels, channels),
            nn.SiLU(),
        )
        self.position_mlp = nn.Sequential(
            nn.Linear(channels, channels),
            nn.SiLU(),
            _SmallLinear(channels, 1, bias=False),
            nn.Tanh() if tanh else nn.Identity(),
        )
        self.velocity_mlp = _perceptron(channels, channels, 1) if velocity else None
        self.node_mlp = _perceptron(2 * channels, channels, channels)

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        for child in self.children():
            reset(child)

    def forward(
        self,
        h: Tensor,
        pos: Tensor,
        edge_index: Tensor,
        edge_attr: OptTensor = None,
        vel: OptTensor = None,
    ) -> tuple[Tensor, Tensor]:
        """Returns the updated channels and positions.

        Args:
            h: Invariant channels of the nodes, shape [N, F].
            pos: Positions of the nodes, shape [N, d].
            edge_index: Edges from its first row to its second, shape [2, E].
            edge_attr: Invariant attributes of the edges, shape [E, D].
            vel: Velocities of the nodes, shape [N, d]; read by a layer with the velocity term.

        Returns:
            Shapes [N, F] and [N, d].

        Raises:
            ValueError: If the layer has the velocity term and `vel` is None.
        """
        messages, displacement = self.propagate(edge_index, h=h, pos=pos, edge_attr=edge_attr)
        pos = pos + displacement
        if self.velocity_mlp is not None:
            if vel is None:
                raise ValueError("`vel` must be given to a layer with the velocity term, got None.")
            pos = pos + self._bounded(self.velocity_mlp(h) * vel)
        return h + self.node_mlp(torch.cat([h, messages], dim=-1)), pos

    def message(
        self, h_i: Tensor, h_j: Tensor, pos_i: Tensor, pos_j: Tensor, edge_attr: OptTensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the message and the displacement of every edge, shapes [E, F] and [E, d]."""
        difference = pos_i - pos_j
        parts = [h_i, h_j, _squared_norm(difference)]
        message = self.edge_mlp(torch.cat(parts if edge_attr is None else [*parts, edge_attr], -1))
        if self.normalize:
            difference = difference / (_safe_norm(difference) + 1)
        return message, self._bounded(difference * self.position_mlp(message))

    def aggregate(
        self, inputs: tuple[Tensor, Tensor], index: Tensor, dim_size: int
    ) -> tuple[Tensor, Tensor]:
        """Sums the messages and averages the displacements that arrive at every node."""
        messages, displacements = inputs
        return (
            scatter(messages, index, dim=0, dim_size=dim_size, reduce="sum"),
            scatter(displacements, index, dim=0, dim_size=dim_size, reduce="mean"),
        )

    def _bounded(self, displacement: Tensor) -> Tensor:
        if self.clamp is None:
            return displacement
        return displacement * (self.clamp / _safe_norm(displacement).clamp(min=self.clamp))


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
        Departs from the released code in the bound on displacements; see :class:`EGNNLayer`.

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
        normalize: As for :class:`EGNNLayer`.
        tanh: As for :class:`EGNNLayer`.
        clamp: As for :class:`EGNNLayer`.

    Raises:
        TypeError: If `inputs` or `norm_inputs` is a single string.
        ValueError: If a size is not positive, `edge_dim` is negative or `clamp` is not positive.

    Example:
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
        normalize: bool = False,
        tanh: bool = False,
        clamp: float | None = 100.0,
    ) -> None:
        super().__init__(in_channels, hidden_channels, out_channels, num_layers, inputs)
        check_integers("not negative", edge_dim=edge_dim)
        if clamp is not None:
            check_numbers(clamp=clamp)
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
                velocity=velocity is not None,
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
        if self.input_distance:
            source, target = edge_index[0], edge_index[1]
            distance = _squared_norm(pos[target] - pos[source])
            edge_attr = distance if edge_attr is None else torch.cat([edge_attr, distance], dim=-1)
        h: Tensor = self.embedding(x)
        for layer in self.layers:
            h, pos = layer(h, pos, edge_index, edge_attr, vel)
        return h, pos

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
        norms = {f"|{name}|": _safe_norm(attribute(data, name)) for name in self.norm_inputs}
        return {**super()._columns(data), **norms}


class _SmallLinear(nn.Linear):
    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight, gain=0.001)


def _perceptron(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.SiLU(),
        nn.Linear(hidden_channels, out_channels),
    )


def _squared_norm(vector: Tensor) -> Tensor:
    return vector.square().sum(dim=-1, keepdim=True)


def _safe_norm(vector: Tensor) -> Tensor:
    """The length, with gradient zero where it is zero; the root alone would give NaN there."""
    squared = _squared_norm(vector)
    positive = squared > 0
    return squared.where(positive, 1).sqrt().where(positive, 0)
