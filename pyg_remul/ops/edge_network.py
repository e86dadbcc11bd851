"""The network on the edges that the layers of graph networks share, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from pyg_remul.lengths import squared_length
from pyg_remul.ops.displacement import DisplacementOptions, displacement
from pyg_remul.ops.segments import Topology

__all__ = ["EdgeNetwork", "plain_messages"]


class EdgeNetwork(NamedTuple):
    r"""What the messages of a layer are computed from.

    The layers' first map acts on the concatenation of both nodes' channels and the attributes of
    the edge. It is linear, hence the sum of what it does to each: the parts of the nodes are
    computed once a node, not once an edge, and handed over as `target` and `source`.

    .. math::
        z_{ij} &= u_i + v_j + W_q \bigl(\lVert x_i^c - x_j^c \rVert^2\bigr)_c + W_e e_{ij} \\
        m_{ij} &= a_{ij} \operatorname{SiLU}(W \operatorname{SiLU}(z_{ij}) + b), \qquad
            a_{ij} = \sigma(w_a \cdot \operatorname{SiLU}(\ldots) + b_a) \text{ or } 1 \\
        p_{ij}^c &= \Bigl\lfloor \sum_k t_{ij}^{ck} (x_i^k - x_j^k) \Bigr\rfloor, \qquad
            t_{ij} = W_t \operatorname{SiLU}(W_x m_{ij} + b_x)

    where :math:`\lfloor \cdot \rfloor` bounds the length of the displacement :math:`p_{ij}^c`.

    Attributes:
        target: :math:`u_i` with the bias of the first map, shape [N, F].
        source: :math:`v_j`, shape [N, F].
        weight: :math:`W`, shape [F, F].
        bias: :math:`b`, shape [F].
        edge_attr: :math:`e_{ij}`, shape [E, D].
        edge_weight: :math:`W_e`, shape [F, D].
        gate_weight: :math:`w_a`, shape [1, F].
        gate_bias: :math:`b_a`, shape [1].
        points: :math:`x_i^c`, shape [N, C, d].
        distance_weight: :math:`W_q`, shape [F, C].
        position_weight: :math:`W_x`, shape [F, F].
        position_bias: :math:`b_x`, shape [F].
        position_out: :math:`W_t`, shape [C * C, F].
    """

    target: Tensor
    source: Tensor
    weight: Tensor
    bias: Tensor
    edge_attr: Tensor | None = None
    edge_weight: Tensor | None = None
    gate_weight: Tensor | None = None
    gate_bias: Tensor | None = None
    points: Tensor | None = None
    distance_weight: Tensor | None = None
    position_weight: Tensor | None = None
    position_bias: Tensor | None = None
    position_out: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> EdgeNetwork:
        """Applies a function to every operand that is there."""
        return EdgeNetwork._make(None if x is None else function(x) for x in self)


def plain_messages(
    topology: Topology, network: EdgeNetwork, options: DisplacementOptions
) -> tuple[Tensor, Tensor]:
    """Computes what arrives at every node, whole tensors at a time.

    All derivatives exist. The memory grows with the number of edges.

    Args:
        topology: The edges.
        network: The operands.
        options: The variant of the displacements.

    Returns:
        The sums of the messages, shape [N, F], and the means of the displacements, shape
        [N, C, d]; the latter is empty without `points`.
    """
    target, source, points = topology.target, topology.source, network.points
    z = network.target.index_select(0, target) + network.source.index_select(0, source)
    if network.edge_attr is not None and network.edge_weight is not None:
        z = z + linear(network.edge_attr, network.edge_weight)
    if points is None:
        messages = _messages(z, network)
        return _sum(messages, topology), messages.new_empty(0)
    difference = points.index_select(0, target) - points.index_select(0, source)
    distance = squared_length(difference).squeeze(-1).to(z.dtype)
    first, hidden_weight, last = (
        cast(Tensor, x)
        for x in (network.distance_weight, network.position_weight, network.position_out)
    )
    messages = _messages(z + linear(distance, first), network)
    hidden = silu(linear(messages, hidden_weight, network.position_bias))
    weights = linear(hidden, last).to(points.dtype)
    moved = _sum(displacement(weights, difference, options), topology)
    return _sum(messages, topology), moved / topology.degrees(points.dtype).view(-1, 1, 1)


def _messages(z: Tensor, network: EdgeNetwork) -> Tensor:
    messages = silu(linear(silu(z), network.weight, network.bias))
    if network.gate_weight is None:
        return messages
    return messages * torch.sigmoid(linear(messages, network.gate_weight, network.gate_bias))


def _sum(rows: Tensor, topology: Topology) -> Tensor:
    return rows.new_zeros(topology.num_nodes, *rows.shape[1:]).index_add(0, topology.target, rows)
