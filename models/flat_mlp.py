"""The multilayer perceptron on flattened graphs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_remul.checks import check_integers
from pyg_remul.models._base import NodeModel, check_graph_sizes
from pyg_remul.ops import Linear

__all__ = ["FlatMLP"]


class FlatMLP(NodeModel):
    r"""Perceptron on flattened graphs of `Finzi et al. (2021) <https://arxiv.org/abs/2104.09459>`_.

    .. math::
        Y = W_{L+1} h_L + b_{L+1}, \qquad h_l = \operatorname{swish}(W_l h_{l-1} + b_l)

    where :math:`h_0` of width ``num_nodes * in_channels`` holds the inputs of the nodes one after
    the other, :math:`h_l` has ``hidden_channels`` entries, and :math:`Y` holds the outputs of the
    nodes in the same order, in the unit of the target. Weights start Xavier-normal, biases at zero.

    Its symmetry is ``"none"``: it knows neither rotations nor permutations, and is tied to the
    number and order of the nodes.

    Args:
        num_nodes: Number of nodes :math:`n` of every graph; 31 joints by default.
        in_channels: Total number of columns of the inputs.
        hidden_channels: Width of the hidden layers.
        out_channels: Number of outputs per node.
        num_layers: Number :math:`L` of hidden layers.
        inputs: Names of the node attributes to concatenate.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive.

    Example:
        >>> import torch
        >>> model = FlatMLP(num_nodes=2, hidden_channels=16)
        >>> model(Data(pos=torch.ones(2, 3), vel=torch.zeros(2, 3))).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        num_nodes: int = 31,
        in_channels: int = 6,
        hidden_channels: int = 680,
        out_channels: int = 3,
        num_layers: int = 3,
        *,
        inputs: Sequence[str] = ("pos", "vel"),
    ) -> None:
        super().__init__(in_channels, hidden_channels, out_channels, num_layers, inputs)
        check_integers(num_nodes=num_nodes)
        self.num_nodes = num_nodes
        widths = [num_nodes * in_channels, *[hidden_channels] * num_layers]
        layers: list[nn.Module] = []
        for width, next_width in pairwise(widths):
            layers += [_XavierLinear(width, next_width), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.head = _XavierLinear(hidden_channels, num_nodes * out_channels)

    def core(self, x: Tensor) -> Tensor:
        """Returns the last hidden layer.

        Args:
            x: Flattened inputs, shape [B, num_nodes * in_channels].

        Returns:
            Shape [B, hidden_channels].
        """
        out: Tensor = self.layers(x)
        return out

    def features(self, data: Data) -> Tensor:
        """Returns what the head sees of every graph, shape [B, hidden_channels].

        Raises:
            ValueError: If the inputs do not fit, or a graph has not `num_nodes` nodes.
        """
        x = self.node_inputs(data)
        check_graph_sizes(data, self.inputs[0], x.size(0), self.num_nodes)
        return self.core(x.reshape(-1, self.num_nodes * self.in_channels))

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            data: A graph, or a batch of graphs of `num_nodes` nodes each.

        Returns:
            Shape [N, out_channels].

        Raises:
            ValueError: As :meth:`features`.
        """
        out: Tensor = self.head(self.features(data))
        return out.reshape(-1, self.out_channels)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, num_nodes={self.num_nodes})"


class _XavierLinear(Linear):
    def reset_parameters(self) -> None:
        nn.init.xavier_normal_(self.weight)
        nn.init.zeros_(self.bias)
