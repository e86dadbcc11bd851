"""The layer of the E(n)-equivariant graph networks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.nn.inits import reset
from torch_geometric.typing import OptTensor

from pyg_remul.checks import check_integers, check_numbers
from pyg_remul.lengths import squared_length
from pyg_remul.models._edge_maps import check_edge_attr, split_first_map
from pyg_remul.ops import DisplacementOptions, EdgeNetwork, Linear, Topology, edge_messages
from pyg_remul.ops.displacement import bounded, combine

__all__ = ["EGNNLayer", "apply_layers"]


class EGNNLayer(nn.Module):
    r"""E(n)-equivariant layer of `Satorras et al. (2021) <https://arxiv.org/abs/2102.09844>`_.

    .. math::
        m_{ij} &= a_{ij}\, \phi_e\bigl(h_i \,\Vert\, h_j \,\Vert\,
                  (\lVert x_i^c - x_j^c \rVert^2)_c \,\Vert\, e_{ij}\bigr) \\
        x_i^{c\prime} &= x_i^c + \operatorname{mean}_{j \to i}
                  \sum_p \phi_x(m_{ij})_{cp}\, (x_i^p - x_j^p) + \sum_k \phi_v(h_i)_{ck}\, v_i^k \\
        h_i' &= h_i + \phi_h\Bigl(h_i \,\Vert \sum_{j \to i} m_{ij}\Bigr)

    where :math:`h_i` holds the F invariant channels of node i, :math:`x_i^c` its C points,
    :math:`v_i^k` its K vectors, all of d entries, and :math:`e_{ij}` the attributes of the edge
    from j to i. :math:`\phi_e` is Linear-SiLU-Linear-SiLU, the others are Linear-SiLU-Linear; the
    last map of :math:`\phi_x` has no bias and starts near zero, Xavier-uniform with gain 0.001.
    The published layer has one point, the position, and at most one vector, the velocity; several
    points are those of `Levy et al. (2023) <https://arxiv.org/abs/2309.03139>`_. The weight
    :math:`a_{ij} = \sigma(\operatorname{Linear}(\phi_e(\ldots)))` is the soft edge of Satorras et
    al.'s Eq. 8 with `attention`, and 1 without.

    Note:
        The released code clamps each component of an edge's displacement to 100, which breaks the
        symmetry where it acts. Here the length of the displacement is bounded instead, and that of
        the vectors' term too: it grows with the square of the coordinates, layer by layer.
        `normalize` is that of the code for N-body systems; the code for molecules divides by the
        bare length, whose gradients explode between nodes that meet. `tanh` has range one in both.

    Args:
        channels: Number F of invariant channels.
        edge_dim: Width D of the edge attributes; with 0 none are used.
        num_points: Number C of points of a node.
        num_vectors: Number K of vectors of a node; with 0 the layer has no such term.
        attention: Whether to weight the messages.
        normalize: Whether to divide :math:`x_i^c - x_j^c` by its length plus one.
        tanh: Whether to bound :math:`\phi_x` by a hyperbolic tangent.
        clamp: Longest displacement by an edge or by the vectors, in the unit of the points; None
            for no bound.

    Raises:
        TypeError: If a size is no integer or `clamp` no number.
        ValueError: If a size is negative, or `channels`, `num_points` or `clamp` not positive.

    Example:
        >>> layer = EGNNLayer(channels=8)
        >>> h, points = layer(torch.ones(2, 8), torch.rand(2, 1, 3), torch.tensor([[0], [1]]))
        >>> h.shape, points.shape
        (torch.Size([2, 8]), torch.Size([2, 1, 3]))
    """

    def __init__(
        self,
        channels: int,
        edge_dim: int = 0,
        *,
        num_points: int = 1,
        num_vectors: int = 0,
        attention: bool = False,
        normalize: bool = False,
        tanh: bool = False,
        clamp: float | None = 100.0,
    ) -> None:
        super().__init__()
        check_integers(channels=channels, num_points=num_points)
        check_integers("not negative", edge_dim=edge_dim, num_vectors=num_vectors)
        if clamp is not None:
            check_numbers(clamp=clamp)
        self.edge_dim = edge_dim
        self.options = DisplacementOptions(normalize, tanh, math.inf if clamp is None else clamp)
        self.edge_mlp = nn.Sequential(
            Linear(2 * channels + num_points + edge_dim, channels),
            nn.SiLU(),
            Linear(channels, channels),
            nn.SiLU(),
        )
        self.attention = nn.Sequential(nn.Linear(channels, 1), nn.Sigmoid()) if attention else None
        self.position_mlp = nn.Sequential(
            Linear(channels, channels),
            nn.SiLU(),
            _SmallLinear(channels, num_points**2, bias=False),
        )
        self.velocity_mlp = (
            _perceptron(channels, channels, num_points * num_vectors) if num_vectors else None
        )
        self.node_mlp = _perceptron(2 * channels, channels, channels)

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        for child in self.children():
            reset(child)

    def forward(
        self,
        h: Tensor,
        points: Tensor,
        edge_index: Tensor | Topology,
        edge_attr: OptTensor = None,
        vectors: OptTensor = None,
    ) -> tuple[Tensor, Tensor]:
        """Returns the updated channels and points.

        Args:
            h: Invariant channels of the nodes, shape [N, F].
            points: Points of the nodes, shape [N, C, d].
            edge_index: Edges from its first row to its second, shape [2, E], or these as a
                topology, which several layers share.
            edge_attr: Invariant attributes of the edges, shape [E, D].
            vectors: Vectors of the nodes, shape [N, K, d]; read by a layer with `num_vectors`.

        Returns:
            Shapes [N, F] and [N, C, d].

        Raises:
            ValueError: If `edge_attr` has not the width that the layer reads, or if the layer has
                `num_vectors` and `vectors` is None.
        """
        check_edge_attr(edge_attr, self.edge_dim)
        topology = Topology.of(edge_index, h.size(0))
        messages, displacement = edge_messages(
            topology, self._edge_network(h, points, edge_attr), self.options
        )
        points = points + displacement
        if self.velocity_mlp is not None:
            if vectors is None:
                raise ValueError("`vectors` must be given to a layer with `num_vectors`, got None.")
            moved = combine(self.velocity_mlp(h), vectors)
            points = points + bounded(moved, self.options.clamp)
        return h + self.node_mlp(torch.cat([h, messages], dim=-1)), points

    def _edge_network(self, h: Tensor, points: Tensor, edge_attr: OptTensor) -> EdgeNetwork:
        first, second, position_first, position_last = (
            cast(Linear, layer)
            for layers in (self.edge_mlp, self.position_mlp)
            for layer in (layers[0], layers[2])
        )
        target, source, distance_weight, edge_weight = split_first_map(first, h, points.size(1))
        network = EdgeNetwork(
            target,
            source,
            second.weight,
            second.bias,
            points=points,
            distance_weight=distance_weight,
            position_weight=position_first.weight,
            position_bias=position_first.bias,
            position_out=position_last.weight,
        )
        if edge_attr is not None:
            network = network._replace(edge_attr=edge_attr, edge_weight=edge_weight)
        if self.attention is not None:
            gate = cast(nn.Linear, self.attention[0])
            network = network._replace(gate_weight=gate.weight, gate_bias=gate.bias)
        return network


class _SmallLinear(Linear):
    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight, gain=0.001)


def _perceptron(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        Linear(in_channels, hidden_channels),
        nn.SiLU(),
        Linear(hidden_channels, out_channels),
    )


def apply_layers(
    layers: Iterable[nn.Module],
    h: Tensor,
    points: Tensor,
    edge_index: Tensor,
    edge_attr: OptTensor,
    vectors: OptTensor,
    *,
    input_distance: bool,
) -> tuple[Tensor, Tensor]:
    """Applies layers one after the other.

    Args:
        layers: Instances of :class:`EGNNLayer`.
        h: As for the layer.
        points: As for the layer.
        edge_index: As for the layer.
        edge_attr: As for the layer, of all layers.
        vectors: As for the layer, of all layers.
        input_distance: Whether the squared distance of the first points that go into the first
            layer is one more edge attribute, the last one.
    """
    if input_distance:
        pos = points[:, 0]
        distance = squared_length(pos[edge_index[1]] - pos[edge_index[0]])
        edge_attr = distance if edge_attr is None else torch.cat([edge_attr, distance], dim=-1)
    topology = Topology(edge_index, h.size(0))
    for layer in layers:
        h, points = layer(h, points, topology, edge_attr, vectors)
    return h, points
