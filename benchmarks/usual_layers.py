r"""The field's usual formulation of the GNN and EGNN layers, as a reference.

Both concatenate what an edge joins, apply a perceptron edge by edge, and scatter the results to the
nodes, as the released code of `Satorras et al. (2021) <https://arxiv.org/abs/2102.09844>`_ and
most PyG layers do. Their parameters bear the names of those in :mod:`pyg_remul.models`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter

from pyg_remul.models import EGNN, GNN
from pyg_remul.models._base import edge_inputs

__all__ = [
    *("REDUCTIONS", "UsualEGNN", "UsualEGNNLayer", "UsualGNN", "UsualGNNLayer"),
    "usual_name",
]

Reduce: TypeAlias = Callable[[Tensor, Tensor, int, str], Tensor]
"""Reduces rows [E, F] by their index [E] to a number of rows, by ``"sum"`` or ``"mean"``."""


def _by_torch(rows: Tensor, index: Tensor, num_rows: int, reduce: str) -> Tensor:
    return scatter(rows, index, dim=0, dim_size=num_rows, reduce=reduce)


def _by_torch_scatter(rows: Tensor, index: Tensor, num_rows: int, reduce: str) -> Tensor:
    library = import_module("torch_scatter")
    return library.scatter(rows, index, dim=0, dim_size=num_rows, reduce=reduce)


REDUCTIONS: dict[str, Reduce] = {"torch": _by_torch}
"""The implementations at hand, by the package that they come from."""
if find_spec("torch_scatter") is not None:
    REDUCTIONS["torch_scatter"] = _by_torch_scatter


def usual_name(package: str) -> str:
    """What the formulation is called that sums by a package."""
    return f"usual, sums by {package}"


def _perceptron(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.SiLU(),
        nn.Linear(hidden_channels, out_channels),
    )


class UsualGNNLayer(MessagePassing):
    """The equation of :class:`pyg_remul.models.gnn.GNNLayer`, term by term.

    Args:
        channels: Number F of channels of the nodes.
        edge_dim: Width D of the edge attributes.
        reduce: How messages are summed.
    """

    def __init__(self, channels: int, edge_dim: int, reduce: Reduce = _by_torch) -> None:
        super().__init__(aggr=None)
        self.reduce = reduce
        self.edge_mlp = _perceptron(2 * channels + edge_dim, channels, channels)
        self.edge_mlp.append(nn.SiLU())
        self.node_mlp = _perceptron(2 * channels, channels, channels)

    def forward(self, h: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """Returns the channels [N, F], updated by edges [2, E] with attributes [E, D]."""
        messages = self.propagate(edge_index, h=h, edge_attr=edge_attr)
        return h + self.node_mlp(torch.cat([h, messages], dim=-1))

    def message(self, h_i: Tensor, h_j: Tensor, edge_attr: Tensor) -> Tensor:
        """Returns the message of every edge, shape [E, F]."""
        return self.edge_mlp(torch.cat([h_i, h_j, edge_attr], dim=-1))

    def aggregate(self, inputs: Tensor, index: Tensor, dim_size: int) -> Tensor:
        """Sums the messages that arrive at every node."""
        return self.reduce(inputs, index, dim_size, "sum")


class UsualEGNNLayer(MessagePassing):
    """The equation of the EGNN layer for one position and one velocity, term by term.

    See :class:`pyg_remul.models.egnn.EGNNLayer`.

    Args:
        channels: Number F of invariant channels.
        edge_dim: Width D of the edge attributes.
        clamp: Longest displacement by an edge or by the velocity.
        reduce: How messages are summed, and displacements averaged.
    """

    def __init__(
        self, channels: int, edge_dim: int, clamp: float = 100.0, reduce: Reduce = _by_torch
    ) -> None:
        super().__init__(aggr=None)
        self.clamp = clamp
        self.reduce = reduce
        self.edge_mlp = _perceptron(2 * channels + 1 + edge_dim, channels, channels)
        self.edge_mlp.append(nn.SiLU())
        self.position_mlp = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 1, bias=False)
        )
        self.velocity_mlp = _perceptron(channels, channels, 1)
        self.node_mlp = _perceptron(2 * channels, channels, channels)

    def forward(
        self, h: Tensor, pos: Tensor, edge_index: Tensor, edge_attr: Tensor, vel: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the channels [N, F] and positions [N, d], updated by edges and velocities."""
        messages, displacement = self.propagate(edge_index, h=h, pos=pos, edge_attr=edge_attr)
        pos = pos + displacement + self._bounded(self.velocity_mlp(h) * vel)
        return h + self.node_mlp(torch.cat([h, messages], dim=-1)), pos

    def message(
        self, h_i: Tensor, h_j: Tensor, pos_i: Tensor, pos_j: Tensor, edge_attr: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the message [E, F] and the displacement [E, d] of every edge."""
        difference = pos_i - pos_j
        distance = difference.square().sum(dim=-1, keepdim=True)
        message = self.edge_mlp(torch.cat([h_i, h_j, distance, edge_attr], dim=-1))
        return message, self._bounded(self.position_mlp(message) * difference)

    def aggregate(
        self, inputs: tuple[Tensor, Tensor], index: Tensor, dim_size: int
    ) -> tuple[Tensor, Tensor]:
        """Sums the messages and averages the displacements that arrive at every node."""
        messages, displacements = inputs
        return (
            self.reduce(messages, index, dim_size, "sum"),
            self.reduce(displacements, index, dim_size, "mean"),
        )

    def _bounded(self, displacement: Tensor) -> Tensor:
        length = displacement.square().sum(dim=-1, keepdim=True).clamp(min=1e-20).sqrt()
        return displacement * (self.clamp / length.clamp(min=self.clamp))


class UsualGNN(GNN):
    """A network with the weights of another and layers in the usual formulation.

    Args:
        model: The other; its edges have attributes.
        reduce: How messages are summed.
    """

    def __init__(self, model: GNN, reduce: Reduce = _by_torch) -> None:
        super().__init__(
            *(model.in_channels, model.hidden_channels, model.out_channels, model.num_layers),
            model.edge_dim,
            inputs=model.inputs,
            edge_attr=model.edge_attr,
        )
        self.layers = nn.ModuleList(
            UsualGNNLayer(model.hidden_channels, model.edge_dim, reduce) for _ in model.layers
        )
        _take_weights(self, model)

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes, shape [N, out_channels]."""
        edge_index, edge_attr = edge_inputs(data, self.edge_attr, self.edge_dim)
        h = self.embedding(self.node_inputs(data))
        for layer in self.layers:
            h = layer(h, edge_index, edge_attr)
        return self.head(self.decoder(h))


class UsualEGNN(EGNN):
    """A network with the weights of another and layers in the usual formulation.

    Args:
        model: The other; its edges have attributes, its nodes velocities, and its layers no options
            but the default ones.
        reduce: How messages are summed, and displacements averaged.
    """

    def __init__(self, model: EGNN, reduce: Reduce = _by_torch) -> None:
        super().__init__(
            *(model.in_channels, model.hidden_channels, model.out_channels, model.num_layers),
            model.edge_dim,
            inputs=model.inputs,
            norm_inputs=model.norm_inputs,
            edge_attr=model.edge_attr,
        )
        self.layers = nn.ModuleList(
            UsualEGNNLayer(model.hidden_channels, model.edge_dim + 1, reduce=reduce)
            for _ in model.layers
        )
        _take_weights(self, model)

    def forward(self, data: Data) -> Tensor:
        """Returns the predicted positions of all nodes, shape [N, d]."""
        edge_index, edge_attr = edge_inputs(data, self.edge_attr, self.edge_dim)
        pos, vel = data.pos, data.vel
        distance = (pos[edge_index[1]] - pos[edge_index[0]]).square().sum(dim=-1, keepdim=True)
        parts = [distance] if edge_attr is None else [edge_attr, distance]
        attributes = torch.cat(parts, dim=-1)
        h = self.embedding(self.node_inputs(data))
        for layer in self.layers:
            h, pos = layer(h, pos, edge_index, attributes, vel)
        return pos


def _take_weights(model: nn.Module, other: nn.Module) -> None:
    """Copies dtype, device and weights."""
    model.to(next(other.parameters()))
    model.load_state_dict(other.state_dict())
