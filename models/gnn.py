"""The message-passing network without symmetry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.inits import reset
from torch_geometric.typing import OptTensor

from pyg_remul.checks import check_integers
from pyg_remul.models._base import NodeModel, edge_inputs
from pyg_remul.models._edge_maps import check_edge_attr, split_first_map
from pyg_remul.ops import EdgeNetwork, Linear, Topology, edge_messages

__all__ = ["GNN", "GNNLayer"]


class GNNLayer(nn.Module):
    r"""Message-passing layer of `Satorras et al. (2021) <https://arxiv.org/abs/2102.09844>`_.

    .. math::
        h_i' = h_i + \phi_h\Bigl(h_i \,\Vert \sum_{j \to i} \phi_e(h_i \Vert h_j \Vert e_{ij})\Bigr)

    where :math:`h_i` holds the F channels of node i, :math:`e_{ij}` the attributes of the edge from
    j to i, :math:`\phi_e` is Linear-SiLU-Linear-SiLU and :math:`\phi_h` Linear-SiLU-Linear.

    Note:
        The weights of :math:`\phi_e` go to :func:`~pyg_remul.ops.edge_messages`. Its modules are
        not called, and hooks on them do not run.

    Args:
        channels: Number F of channels of the nodes.
        edge_dim: Width D of the edge attributes; with 0 none are used.

    Example:
        >>> layer = GNNLayer(channels=8)
        >>> layer(torch.ones(2, 8), torch.tensor([[0], [1]])).shape
        torch.Size([2, 8])
    """

    def __init__(self, channels: int, edge_dim: int = 0) -> None:
        super().__init__()
        self.edge_dim = edge_dim
        self.edge_mlp = nn.Sequential(
            Linear(2 * channels + edge_dim, channels),
            nn.SiLU(),
            Linear(channels, channels),
            nn.SiLU(),
        )
        self.node_mlp = nn.Sequential(
            Linear(2 * channels, channels), nn.SiLU(), Linear(channels, channels)
        )

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        reset(self.edge_mlp)
        reset(self.node_mlp)

    def forward(
        self, h: Tensor, edge_index: Tensor | Topology, edge_attr: Tensor | None = None
    ) -> Tensor:
        """Returns the updated channels of the nodes.

        Args:
            h: Channels of the nodes, shape [N, F].
            edge_index: Edges from its first row to its second, shape [2, E], or these as a
                topology, which several layers share.
            edge_attr: Attributes of the edges, shape [E, D].

        Returns:
            Shape [N, F].

        Raises:
            ValueError: If `edge_attr` has not the width that the layer reads.
        """
        check_edge_attr(edge_attr, self.edge_dim)
        topology = Topology.of(edge_index, h.size(0))
        first, second = cast(Linear, self.edge_mlp[0]), cast(Linear, self.edge_mlp[2])
        target, source, _, edge_weight = split_first_map(first, h)
        network = EdgeNetwork(target, source, second.weight, second.bias)
        if edge_attr is not None:
            network = network._replace(edge_attr=edge_attr, edge_weight=edge_weight)
        messages, _ = edge_messages(topology, network)
        out: Tensor = h + self.node_mlp(torch.cat([h, messages], dim=-1))
        return out


class GNN(NodeModel):
    r"""Message-passing baseline of `Satorras et al. (2021) <https://arxiv.org/abs/2102.09844>`_.

    .. math::
        h_i^0 = W x_i + b, \qquad h^{l+1} = \operatorname{GNNLayer}(h^l, e), \qquad
        y_i = \operatorname{Linear}(\operatorname{SiLU}(\operatorname{Linear}(h_i^L)))

    where :math:`x_i` holds the inputs of node i, :math:`e_{ij}` the attributes of the edge from j
    to i, :math:`h_i` ``hidden_channels`` channels, and :math:`y_i` the outputs, in the unit of the
    target. The network sees raw coordinates. The defaults are those for MD17: positions and charges
    :math:`z/z_{\max}` of the nodes, and :math:`(z_i, z_j, \text{hop})` of the edges.

    Its symmetry is ``"none"`` under rotations and translations; it commutes with permutations of
    the nodes.

    Args:
        in_channels: Total number of columns of the inputs.
        hidden_channels: Width of the hidden layers.
        out_channels: Number of outputs per node.
        num_layers: Number L of message-passing layers.
        edge_dim: Width D of the edge attributes; with 0 none are read.
        inputs: Names of the node attributes to concatenate.
        edge_attr: Name of the edge attribute to read.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive or `edge_dim` is negative.

    Example:
        >>> model = GNN(in_channels=3, edge_dim=0, inputs=("pos",))
        >>> model(Data(pos=torch.ones(2, 3), edge_index=torch.tensor([[0], [1]]))).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        in_channels: int = 4,
        hidden_channels: int = 64,
        out_channels: int = 3,
        num_layers: int = 4,
        edge_dim: int = 3,
        *,
        inputs: Sequence[str] = ("pos", "charge"),
        edge_attr: str = "edge_attr",
    ) -> None:
        super().__init__(in_channels, hidden_channels, out_channels, num_layers, inputs)
        check_integers("not negative", edge_dim=edge_dim)
        self.edge_dim = edge_dim
        self.edge_attr = edge_attr
        self.embedding = nn.Linear(in_channels, hidden_channels)
        self.layers = nn.ModuleList(GNNLayer(hidden_channels, edge_dim) for _ in range(num_layers))
        self.decoder = nn.Sequential(Linear(hidden_channels, hidden_channels), nn.SiLU())
        self.head = nn.Linear(hidden_channels, out_channels)

    def core(self, x: Tensor, edge_index: Tensor, edge_attr: OptTensor = None) -> Tensor:
        """Returns the last hidden layer.

        Args:
            x: Inputs of the nodes, shape [N, in_channels].
            edge_index: Edges from its first row to its second, shape [2, E].
            edge_attr: Attributes of the edges, shape [E, D].

        Returns:
            Shape [N, hidden_channels].
        """
        h: Tensor = self.embedding(x)
        topology = Topology(edge_index, x.size(0))
        for layer in self.layers:
            h = layer(h, topology, edge_attr)
        out: Tensor = self.decoder(h)
        return out

    def features(self, data: Data) -> Tensor:
        """Returns what the head sees of every node, shape [N, hidden_channels].

        Raises:
            ValueError: If an attribute is missing or does not fit.
        """
        edge_index, edge_attr = edge_inputs(data, self.edge_attr, self.edge_dim)
        return self.core(self.node_inputs(data), edge_index, edge_attr)

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            data: A graph or a batch with the inputs and `edge_index`.

        Returns:
            Shape [N, out_channels].

        Raises:
            ValueError: As :meth:`features`.
        """
        out: Tensor = self.head(self.features(data))
        return out
