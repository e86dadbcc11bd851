"""The Transformer on the nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from pyg_remul.checks import check_integers
from pyg_remul.models._base import NodeModel, graph_sizes
from pyg_remul.models._padding import Padding

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
        >>> TransformerBlock(channels=8, heads=2)(torch.ones(5, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    def __init__(self, channels: int, heads: int, norm_axes: NormAxes = "channels") -> None:
        super().__init__()
        self.heads = heads
        self.norm_axes = norm_axes
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the updated channels.

        Args:
            x: Channels of the nodes of graphs padded to n nodes, shape [B, n, C].
            mask: True for nodes, False for padding, shape [B, n]; None if there is no padding.

        Returns:
            Shape [B, n, C].
        """
        x = x + self._attend(self._norm(x, mask), mask)
        out: Tensor = x + self.mlp(self._norm(x, mask))
        return out

    def _norm(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.norm_axes == "channels":
            return functional.layer_norm(x, x.shape[-1:])
        if mask is None:
            return functional.layer_norm(x, x.shape[-2:])
        return _masked_graph_norm(x, mask)

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=None if mask is None else mask[:, None, None, :]
        )
        out: Tensor = self.out(attended.transpose(1, 2).flatten(-2))
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

        The fused kernels of attention have no second derivatives. To train on forces, wrap the
        forward pass in ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)``.

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

    def core(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns the channels after the last block.

        Args:
            x: Inputs of the nodes of graphs padded to n nodes, shape [B, n, in_channels].
            mask: True for nodes, False for padding, shape [B, n]; None if there is no padding.

        Returns:
            Shape [B, n, hidden_channels].
        """
        h: Tensor = self.embedding(x)
        for block in self.blocks:
            h = block(h, mask)
        return h

    def features(self, data: Data) -> Tensor:
        """Returns what the head sees of every node, shape [N, hidden_channels].

        Raises:
            ValueError: If an attribute is missing or does not fit.
        """
        x = self.node_inputs(data)
        padding = Padding(graph_sizes(data, self.inputs[0], x.size(0)), x.device)
        return padding.unpad(self.core(padding.pad(x), padding.mask))

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            data: A graph or a batch with the inputs; graphs may differ in size.

        Returns:
            Shape [N, out_channels].

        Raises:
            ValueError: As :meth:`features`.
        """
        out: Tensor = self.head(self.features(data))
        return out

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, heads={self.heads})"


def _masked_graph_norm(x: Tensor, mask: Tensor, eps: float = 1e-5) -> Tensor:
    """Layer norm [B, n, C] over the nodes and channels of each graph, leaving out its padding."""
    weight = mask.unsqueeze(-1).to(x.dtype)
    weight = weight / (weight.sum(dim=1, keepdim=True) * x.size(-1))
    centred = x - (x * weight).sum(dim=(1, 2), keepdim=True)
    variance = (centred.square() * weight).sum(dim=(1, 2), keepdim=True)
    return centred * (variance + eps).rsqrt()
