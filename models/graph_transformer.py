"""The Transformer on the nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from pyg_remul.checks import check_integers
from pyg_remul.models._base import NodeModel, node_layout
from pyg_remul.ops import Linear, RaggedLayout, ragged_attention

__all__ = ["GraphTransformer", "TransformerBlock"]

NormAxes = Literal["channels", "graph"]


class TransformerBlock(nn.Module):
    r"""Pre-norm block of `Brehmer et al. (2023) <https://arxiv.org/abs/2305.18415>`_'s baseline.

    .. math::
        z = x + W_o \operatorname{Attention}(W_{qkv} \operatorname{norm}(x)), \qquad
        x' = z + W_2 \operatorname{GELU}(W_1 \operatorname{norm}(z))

    where :math:`x` holds the C channels of every node, attention is scaled dot-product attention
    among the nodes of one graph, the hidden layer has 2C channels, every map has a bias and the
    norm has no parameters.

    Args:
        channels: Number C of channels, a multiple of `heads`.
        heads: Number of attention heads.
        norm_axes: Normalise over ``"channels"``, or over all channels of a ``"graph"``.

    Example:
        >>> import torch
        >>> block = TransformerBlock(channels=8, heads=2)
        >>> block(torch.ones(5, 8), RaggedLayout([2, 3])).shape
        torch.Size([5, 8])
    """

    def __init__(self, channels: int, heads: int, norm_axes: NormAxes = "channels") -> None:
        super().__init__()
        self.heads = heads
        self.norm_axes = norm_axes
        self.qkv = Linear(channels, 3 * channels)
        self.out = Linear(channels, channels)
        self.mlp = nn.Sequential(
            Linear(channels, 2 * channels), nn.GELU(), Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor, graphs: RaggedLayout) -> Tensor:
        """Returns the updated channels.

        Args:
            x: Channels of the nodes, shape [N, C].
            graphs: How the nodes belong to graphs.

        Returns:
            Shape [N, C].
        """
        x = x + self._attend(self._norm(x, graphs), graphs)
        out: Tensor = x + self.mlp(self._norm(x, graphs))
        return out

    def _norm(self, x: Tensor, graphs: RaggedLayout) -> Tensor:
        if self.norm_axes == "channels":
            return functional.layer_norm(x, x.shape[-1:])
        return _graph_norm(x, graphs)

    def _attend(self, x: Tensor, graphs: RaggedLayout) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)
        out: Tensor = self.out(ragged_attention(query, key, value, graphs).flatten(1))
        return out


class GraphTransformer(NodeModel):
    r"""Transformer baseline of `Brehmer et al. (2023) <https://arxiv.org/abs/2305.18415>`_.

    .. math::
        X^0 = X W_{in} + b_{in}, \qquad X^{l+1} = \operatorname{TransformerBlock}(X^l), \qquad
        Y = X^L W_{out} + b_{out}

    where the rows of :math:`X` hold the inputs of the nodes of one graph, :math:`X^l` has
    ``hidden_channels`` columns, and :math:`Y` holds the outputs, in the unit of the target. There
    is neither positional encoding nor dropout nor a final norm, and edges are not read. The
    defaults are those for N-body: mass, position and velocity.

    Its symmetry is ``"none"`` under rotations and translations; it commutes with permutations of
    the nodes of a graph.

    Note:
        ``norm_axes="graph"`` normalises jointly over the nodes and channels of a graph, as the
        baseline's released code did before its version 1.4.2.

    Args:
        in_channels: Total number of columns of the inputs.
        hidden_channels: Width of the blocks, a multiple of `heads`.
        out_channels: Number of outputs per node.
        num_layers: Number L of blocks.
        heads: Number of attention heads.
        inputs: Names of the node attributes to concatenate.
        norm_axes: ``"channels"`` or ``"graph"``.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive, `hidden_channels` is no multiple of `heads`, or
            `norm_axes` is unknown.

    Example:
        >>> import torch
        >>> model = GraphTransformer(6, 16, num_layers=2, heads=2, inputs=("pos", "vel"))
        >>> model(Data(pos=torch.ones(4, 3), vel=torch.zeros(4, 3))).shape
        torch.Size([4, 3])
    """

    def __init__(
        self,
        in_channels: int = 7,
        hidden_channels: int = 384,
        out_channels: int = 3,
        num_layers: int = 10,
        heads: int = 8,
        *,
        inputs: Sequence[str] = ("mass", "pos", "vel"),
        norm_axes: NormAxes = "channels",
    ) -> None:
        super().__init__(in_channels, hidden_channels, out_channels, num_layers, inputs)
        check_integers(heads=heads)
        if hidden_channels % heads:
            raise ValueError(
                f"`hidden_channels` must be a multiple of `heads` = {heads}, got {hidden_channels}."
            )
        if norm_axes not in ("channels", "graph"):
            raise ValueError(f"`norm_axes` must be 'channels' or 'graph', got {norm_axes!r}.")
        self.heads = heads
        self.embedding = nn.Linear(in_channels, hidden_channels)
        self.blocks = nn.ModuleList(
            TransformerBlock(hidden_channels, heads, norm_axes) for _ in range(num_layers)
        )
        self.head = nn.Linear(hidden_channels, out_channels)

    def core(self, x: Tensor, graphs: RaggedLayout | None = None) -> Tensor:
        """Returns the channels after the last block.

        Args:
            x: Inputs of the nodes, shape [N, in_channels].
            graphs: How the nodes belong to graphs; None if all are of one graph.

        Returns:
            Shape [N, hidden_channels].
        """
        graphs = graphs or RaggedLayout([x.size(0)])
        h: Tensor = self.embedding(x)
        for block in self.blocks:
            h = block(h, graphs)
        return h

    def features(self, data: Data) -> Tensor:
        """Returns what the head sees of every node, shape [N, hidden_channels].

        Raises:
            ValueError: If an attribute is missing or does not fit.
        """
        return self.core(*self._rows(data))

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            data: A graph or a batch with the inputs; graphs may differ in size.

        Returns:
            Shape [N, out_channels].

        Raises:
            ValueError: As :meth:`features`.
        """
        rows = self._rows(data)  # first, for a compiler goes on from here with one graph
        out: Tensor = self.head(self.core(*rows))
        return out

    def _rows(self, data: Data) -> tuple[Tensor, RaggedLayout | None]:
        x = self.node_inputs(data)
        return x, node_layout(data, self.inputs[0], x)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, heads={self.heads})"


def _graph_norm(x: Tensor, graphs: RaggedLayout, eps: float = 1e-5) -> Tensor:
    """Layer norm [N, C] over the nodes and channels of each graph."""
    if graphs.mask is None:
        blocks = graphs.to_blocks(x)
        return graphs.to_rows(functional.layer_norm(blocks, blocks.shape[1:]))
    centred = x - graphs.mean(x.mean(dim=-1, keepdim=True))
    variance = graphs.mean(centred.square().mean(dim=-1, keepdim=True))
    return centred * (variance + eps).rsqrt()
