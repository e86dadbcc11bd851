"""Messages block by block, so that what belongs to the edges stays in the processor's cache.

The backward pass computes every block anew instead of storing it: the memory grows with the number
of nodes, not of edges.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import silu

from pyg_remul.lengths import squared_length
from pyg_remul.ops._dense import product, weight_gradient
from pyg_remul.ops.displacement import DisplacementOptions, displacement, displacement_backward
from pyg_remul.ops.edge_network import EdgeNetwork
from pyg_remul.ops.segments import Topology

__all__ = ["block_backward", "block_forward"]

_ENTRIES = {"cpu": 2**18, "cuda": 2**24}
"""Of one tensor of a block; on a CPU those of a block fit into the cache together."""

_Operands: TypeAlias = Any
"""An :class:`EdgeNetwork`; which of its operands are there depends on the layer."""


def block_forward(
    topology: Topology, network: EdgeNetwork, options: DisplacementOptions
) -> tuple[Tensor, Tensor]:
    """Computes what :func:`~pyg_remul.ops.edge_network.plain_messages` does, without gradient.

    Half-precision operands are computed with in float32.
    """
    net = _upcast(network)
    sums = torch.zeros_like(net.target)
    moved = sums.new_zeros(0) if net.points is None else torch.zeros_like(net.points)
    for rows in _blocks(topology, net):
        block = _Block(topology, net, rows, keep=False)
        sums.index_add_(0, block.target, block.messages())
        if block.difference is not None:
            motion = block.motion()
            moved.index_add_(0, block.target, displacement(*motion, _needed(options, *motion)))
    if net.points is not None:
        moved /= topology.degrees(moved.dtype).view(-1, 1, 1)
    dtype = network.target.dtype
    return sums.to(dtype), moved.to(dtype if network.points is None else network.points.dtype)


def block_backward(
    topology: Topology,
    network: EdgeNetwork,
    options: DisplacementOptions,
    grad_sums: Tensor,
    grad_moved: Tensor,
    *,
    edge_grad: bool,
) -> EdgeNetwork:
    """Returns the gradients of the operands.

    Args:
        topology: The edges.
        network: The operands.
        options: The variant of the displacements.
        grad_sums: Gradient of the sums of the messages, shape [N, F].
        grad_moved: Gradient of the means of the displacements, shape [N, C, d], or empty.
        edge_grad: Whether that of the attributes of the edges is wanted.
    """
    net = _upcast(network)
    wanted = net if edge_grad else net._replace(edge_attr=None)
    grads: _Operands = wanted.map(torch.zeros_like)
    grad_sums = grad_sums.to(net.target.dtype)
    if net.points is not None:
        grad_moved = grad_moved.to(net.points.dtype)
        grad_moved = grad_moved / topology.degrees(grad_moved.dtype).view(-1, 1, 1)
    for rows in _blocks(topology, net):
        block = _Block(topology, net, rows, keep=True)
        block.messages()
        grad = grad_sums.index_select(0, block.target)
        if block.difference is None:
            block.messages_backward(grads, grad)
            continue
        motion = block.motion()
        grad_weights, grad_difference = displacement_backward(
            *motion, _needed(options, *motion), grad_moved.index_select(0, block.target)
        )
        grad += block.motion_backward(grads, grad_weights)
        grad_distance = block.messages_backward(grads, grad)
        block.points_backward(grads, grad_difference, grad_distance)
    dtype, points = network.target.dtype, grads.points
    if network.points is not None:
        points = points.to(network.points.dtype)
    return grads.map(lambda x: x.to(dtype))._replace(points=points)


def _upcast(network: EdgeNetwork) -> _Operands:
    """Halves as float32; points keep a precision of their own."""
    dtype = torch.promote_types(network.target.dtype, torch.float32)
    points = network.points
    if points is not None:
        points = points.to(torch.promote_types(points.dtype, torch.float32))
    return network._replace(points=None).map(lambda x: x.to(dtype))._replace(points=points)


def _blocks(topology: Topology, net: _Operands) -> Iterator[slice]:
    entries = _ENTRIES.get(net.target.device.type, _ENTRIES["cpu"])
    if net.points is not None:  # with which come many small operations, that more edges share
        entries *= 2
    size = max(1, entries // net.target.size(1))
    return (slice(start, start + size) for start in range(0, topology.num_edges, size))


def _needed(
    options: DisplacementOptions, weights: Tensor, difference: Tensor
) -> DisplacementOptions:
    """Leaves out the bound where no displacement can reach it, which spares a third of the work.

    Only on a CPU: another device would have to be waited for.
    """
    if weights.device.type != "cpu":
        return options
    reach = math.sqrt(difference.size(-1) * weights.size(1))
    for factor in (weights, difference):
        low, high = factor.aminmax()
        reach *= max(-low.item(), high.item())
    return options._replace(clamp=math.inf) if reach <= options.clamp else options


class _Block:
    """The b edges of a block, with the values that the backward pass needs again, if they are kept.

    If not, activations take the place of what they are computed from, which the cache holds.
    """

    def __init__(self, topology: Topology, net: _Operands, rows: slice, *, keep: bool) -> None:
        self.net, self.rows, self.keep = net, rows, keep
        self.target, self.source = topology.target[rows], topology.source[rows]
        self.difference: Any = None
        extra, weight = [], []  # squared distances and attributes, and what acts on them
        if net.points is not None:
            ends = net.points.index_select(0, self.target)
            self.difference = ends - net.points.index_select(0, self.source)
            extra.append(squared_length(self.difference).squeeze(-1).to(net.target.dtype))
            weight.append(net.distance_weight)
        if net.edge_attr is not None:
            extra.append(net.edge_attr[rows])
            weight.append(net.edge_weight)
        self.extra = torch.cat(extra, dim=1) if extra else None
        self.extra_weight: Any = torch.cat(weight, dim=1) if weight else None

    def messages(self) -> Tensor:
        """The messages, shape [b, F]."""
        net = self.net
        self.z = net.target.index_select(0, self.target)
        self.z += net.source.index_select(0, self.source)
        if self.extra is not None:
            self.z.addmm_(self.extra, self.extra_weight.T)
        self.hidden = silu(self.z, inplace=not self.keep)
        self.out = product(self.hidden, net.weight, net.bias)
        self.ungated = self.gated = silu(self.out, inplace=not self.keep)
        if net.gate_weight is not None:
            self.gate = product(self.ungated, net.gate_weight, net.gate_bias).sigmoid_()
            self.gated = self.ungated * self.gate
        return self.gated

    def motion(self) -> tuple[Tensor, Tensor]:
        """The weights of the differences, shape [b, C * C], and these, shape [b, C, d]."""
        net = self.net
        self.position_z = product(self.gated, net.position_weight, net.position_bias)
        self.position_hidden = silu(self.position_z, inplace=not self.keep)
        weights = product(self.position_hidden, net.position_out)
        return weights.to(self.difference.dtype), self.difference

    def motion_backward(self, grads: _Operands, grad: Tensor) -> Tensor:
        """Takes the gradient of the weights of the differences to that of the messages."""
        grad = grad.to(self.position_hidden.dtype)
        _add(grads.position_out, grad.T @ self.position_hidden)
        grad = _silu_backward(grad @ self.net.position_out, self.position_z)
        _add(grads.position_weight, weight_gradient(grad, self.gated))
        _add(grads.position_bias, grad.sum(dim=0))
        return product(grad, self.net.position_weight.T)

    def messages_backward(self, grads: _Operands, grad: Tensor) -> Any:
        """Takes the gradient of the messages to that of the squared distances, [b, C]."""
        net = self.net
        if net.gate_weight is not None:
            grad_gate = (grad * self.ungated).sum(dim=1, keepdim=True)
            grad_gate *= self.gate * (1 - self.gate)
            _add(grads.gate_weight, grad_gate.T @ self.ungated)
            _add(grads.gate_bias, grad_gate.sum(dim=0))
            grad = grad * self.gate + grad_gate * net.gate_weight
        grad = _silu_backward(grad, self.out)
        _add(grads.weight, weight_gradient(grad, self.hidden))
        _add(grads.bias, grad.sum(dim=0))
        grad = _silu_backward(product(grad, net.weight.T), self.z)
        grads.target.index_add_(0, self.target, grad)
        grads.source.index_add_(0, self.source, grad)
        return self._extra_backward(grads, grad)

    def _extra_backward(self, grads: _Operands, grad: Tensor) -> Any:
        if self.extra is None:
            return None
        num_points = 0 if self.difference is None else self.difference.size(1)
        grad_weight = weight_gradient(self.extra, grad).T
        if num_points:
            _add(grads.distance_weight, grad_weight[:, :num_points])
        if grads.edge_weight is not None:
            _add(grads.edge_weight, grad_weight[:, num_points:])
        if grads.edge_attr is not None:
            grads.edge_attr[self.rows] = product(grad, self.net.edge_weight.T)
        return grad @ self.net.distance_weight if num_points else None

    def points_backward(self, grads: _Operands, grad: Tensor, grad_distance: Tensor) -> None:
        """Takes the gradients of differences and squared distances to that of the points."""
        grad = grad + 2 * grad_distance.unsqueeze(-1) * self.difference
        grads.points.index_add_(0, self.target, grad)
        grads.points.index_add_(0, self.source, grad.neg_())  # its `alpha` is many times slower


def _silu_backward(grad: Tensor, z: Tensor) -> Tensor:
    """Takes a gradient through SiLU, in its own place, which the cache holds already."""
    return torch.ops.aten.silu_backward.grad_input(grad, z, grad_input=grad)


def _add(total: Tensor | None, part: Tensor) -> None:
    """Adds to a gradient, if it is wanted."""
    if total is not None:
        total += part
