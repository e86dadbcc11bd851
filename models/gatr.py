"""The geometric algebra Transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_remul.checks import check_integers, check_numbers
from pyg_remul.models._base import Symmetry, node_layout
from pyg_remul.models._equivariant_linear import EquiLinear
from pyg_remul.models._gatr_attention import GeometricAttention
from pyg_remul.models._gatr_layers import GeometricMLP, equi_norm
from pyg_remul.models._gatr_objects import (
    centroid,
    embed_objects,
    embedding_sizes,
    excess,
    read_objects,
    readout_sizes,
)
from pyg_remul.models._geometric import KINDS, NBODY_REPS, GeometricModel
from pyg_remul.ops import RaggedLayout

__all__ = ["GATr", "GATrBlock"]


class GATrBlock(nn.Module):
    r"""Pre-norm block of `Brehmer et al. (2023) <https://arxiv.org/abs/2305.18415>`_.

    .. math::
        h' = h + \operatorname{Attention}(\operatorname{norm}(h)), \qquad
        h'' = h' + \operatorname{MLP}(\operatorname{norm}(h'))

    where h holds C multivectors and S scalars of every node.

    Args:
        channels: Number C of multivectors.
        scalars: Number S of scalars.
        heads: Number of attention heads.

    Example:
        >>> import torch
        >>> block = GATrBlock(4, 8, heads=2)
        >>> x, s = block(torch.ones(16, 3, 4), torch.ones(3, 8), RaggedLayout([1, 2]))
        >>> x.shape, s.shape
        (torch.Size([16, 3, 4]), torch.Size([3, 8]))
    """

    def __init__(self, channels: int, scalars: int, heads: int) -> None:
        super().__init__()
        self.attention = GeometricAttention(channels, scalars, heads)
        self.mlp = GeometricMLP(channels, scalars)

    def forward(self, x: Tensor, s: Tensor, graphs: RaggedLayout) -> tuple[Tensor, Tensor]:
        """Returns the updated multivectors and scalars.

        Args:
            x: Multivectors of the nodes, shape [16, N, C].
            s: Scalars, shape [N, S].
            graphs: How the nodes belong to graphs.

        Returns:
            Shapes [16, N, C] and [N, S].
        """
        y, t = self.attention(*equi_norm(x, s), graphs)
        x, s = x + y, s + t
        y, t = self.mlp(*equi_norm(x, s))
        return x + y, s + t


class GATr(GeometricModel):
    r"""Geometric algebra Transformer of `Brehmer et al. (2023) <https://arxiv.org/abs/2305.18415>`_.

    .. math::
        h_i^0 = \operatorname{EquiLinear}(\operatorname{embed}(x_i)), \qquad
        h^{l+1} = \operatorname{GATrBlock}(h^l), \qquad
        y_i = \operatorname{read}(\operatorname{EquiLinear}(h_i^L))

    where :math:`x_i` holds scalars, vectors and points of node i, and :math:`h_i` multivectors of
    the projective geometric algebra G(3,0,1) and scalars. The k-th multivector that enters is the
    sum of the k-th scalar, the k-th vector as a translation, and the k-th point; scalars beyond the
    multivectors enter as scalars. What leaves is read from the k-th multivector likewise, scalars
    from scalars. Attention is among all nodes of a graph; edges are not read. The defaults are
    those for N-body: mass, position and velocity make one multivector.

    Its symmetry is ``"exact"`` under rotations and translations, for outputs of every kind; a
    pseudovector may stand as a ``"vector"``. Under reflections it is not, for a mirrored point
    should change the sign of its multivector, but is embedded like any other. It commutes with
    permutations of the nodes of a graph. Inputs and outputs have the units of the data. There is
    no `head`, as points are read from their multivectors by a division; for
    ``GradNorm(last_layer=...)`` there is ``readout.weight``.

    Note:
        The network sees points relative to the mean of the graph's. By its symmetry this changes
        no result but for rounding, which far from the origin would spoil single precision, and
        for points of weight nearly zero, where the released code depends on the origin. A vector
        is read relative to the same mean. The released code makes the initial weights of grade 0
        larger than it means to, by a factor of :math:`\sqrt 2`; here they are as meant.

    Args:
        hidden_channels: Number of multivectors in the blocks.
        num_layers: Number L of blocks.
        hidden_scalars: Number of scalars in the blocks.
        heads: Number of attention heads; a divisor of twice `hidden_channels` and of twice
            `hidden_scalars`.
        inputs: Names of the node attributes to read.
        reps: Their representations, made of ``"scalar"``, ``"vector"`` and ``"point"``; ``reps`` of
            a dataset will do.
        out_rep: Representation of the output, made of the same kinds.
        penalty: Weight of :meth:`regularisation`.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive, `heads` does not fit, an input is not declared, a
            kind is not understood, or `out_rep` has points without any in `inputs`.

    Example:
        >>> import torch
        >>> model = GATr(8, num_layers=2, hidden_scalars=16, heads=4, inputs=("pos", "vel"))
        >>> model(Data(pos=torch.ones(4, 3), vel=torch.zeros(4, 3))).shape
        torch.Size([4, 3])
    """

    symmetry: ClassVar[Symmetry] = "exact"

    def __init__(
        self,
        hidden_channels: int = 16,
        num_layers: int = 10,
        *,
        hidden_scalars: int = 128,
        heads: int = 8,
        inputs: Sequence[str] = ("mass", "pos", "vel"),
        reps: Mapping[str, str] = NBODY_REPS,
        out_rep: str = "point",
        penalty: float = 0.01,
    ) -> None:
        super().__init__(hidden_channels, num_layers, inputs, reps, out_rep, KINDS)
        check_integers(hidden_scalars=hidden_scalars, heads=heads)
        check_numbers("not negative", penalty=penalty)
        _check_heads(heads, hidden_channels=hidden_channels, hidden_scalars=hidden_scalars)
        if "point" in self.out_layout.counts and "point" not in self.layout.counts:
            raise ValueError(
                f"`inputs` must hold a point for `out_rep` to hold one, got {self.reps}."
            )
        self.hidden_scalars = hidden_scalars
        self.heads = heads
        self.penalty = penalty
        self._excess: Tensor | None = None
        in_channels, in_scalars = embedding_sizes(self.layout.counts)
        self.embedding = EquiLinear(in_channels, hidden_channels, in_scalars, hidden_scalars)
        self.blocks = nn.ModuleList(
            GATrBlock(hidden_channels, hidden_scalars, heads) for _ in range(num_layers)
        )
        out_channels, out_scalars = readout_sizes(self.out_layout.counts)
        self.readout = EquiLinear(hidden_channels, out_channels, hidden_scalars, out_scalars)

    def core(self, x: Tensor, graphs: RaggedLayout | None = None) -> tuple[Tensor, Tensor]:
        """Returns the outputs of the nodes, and what :meth:`regularisation` adds up.

        Args:
            x: Inputs of the nodes, shape [N, in_channels].
            graphs: How the nodes belong to graphs; None if all are of one graph.

        Returns:
            Shapes [N, out_channels] and [N].
        """
        graphs = graphs or RaggedLayout([x.size(0)])
        objects = self.layout.split(x)
        origin = centroid(objects["point"], graphs) if "point" in objects else x.new_zeros(())
        if "point" in objects:
            objects["point"] = objects["point"] - origin
        h, s = self.embedding(*embed_objects(objects))
        for block in self.blocks:
            h, s = block(h, s, graphs)
        h, s = self.readout(h, s)
        outputs = read_objects(h, s, self.out_layout.counts)
        if "point" in outputs:
            outputs["point"] = outputs["point"] + origin
        return self.out_layout.join(outputs), excess(h, s, self.out_layout.counts)

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            data: A graph or a batch with the inputs; graphs may differ in size.

        Returns:
            Shape [N, out_channels].

        Raises:
            ValueError: If an attribute is missing or does not fit.
        """
        x = self.node_inputs(data)
        graphs = node_layout(data, self.inputs[0], x)
        out, summands = self.core(x, graphs)
        num_graphs = 1 if graphs is None else graphs.num_graphs
        self._excess = summands.sum() / num_graphs if self.training else None
        return out

    def regularisation(self) -> Tensor:
        r"""Returns the penalty of the last pass, which is to be added to the loss.

        .. math::
            \lambda \, \frac1B \sum_i \Bigl( \sum_k (|w_{ik}| - 1)^2 + s_i^2 \Bigr)

        with :math:`\lambda` the `penalty`, B the number of graphs, :math:`w_{ik}` the weight of
        the k-th point that is read from node i, by which its coordinates are divided, and
        :math:`s_i` the scalar that leaves unread if none is read.

        Returns:
            A scalar with gradient; zero if the last pass was in evaluation mode or there was
            none. Of several passes in one step only the last counts, so with
            ``RemulLoss(passes="separate")`` it is that of the turned graphs.
        """
        if self._excess is None:
            return self.readout.bias.new_zeros(())
        return self.penalty * self._excess

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the penalty, which holds on to the graph of the last pass."""
        return {**super().__getstate__(), "_excess": None}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.in_channels}, {self.hidden_channels}, "
            f"{self.out_channels}, num_layers={self.num_layers}, "
            f"hidden_scalars={self.hidden_scalars}, heads={self.heads})"
        )


def _check_heads(heads: int, **widths: int) -> None:
    for name, width in widths.items():
        if 2 * width % heads:
            raise ValueError(
                f"`heads` must be a divisor of twice `{name}`, {2 * width}, got {heads}."
            )
