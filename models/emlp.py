"""The equivariant multilayer perceptron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyg_remul.models._base import Symmetry
from pyg_remul.models._projection import Projection
from pyg_remul.models._tensor_layers import reset_affine
from pyg_remul.models._tensor_perceptron import MOTION_REPS, TensorPerceptron
from pyg_remul.models._tensor_representation import TensorGroup, TensorRepresentation

__all__ = ["EMLP", "EquivariantLinear"]


class EquivariantLinear(nn.Module):
    r"""Affine map whose matrix and bias are projected onto the equivariant ones.

    .. math::
        y = P W \, x + P b

    with :math:`W` and :math:`b` of full size, and :math:`P` the
    :class:`projection <pyg_remul.models._projection.Projection>`.

    Args:
        source: The tensors of :math:`x`.
        target: The tensors of :math:`y`.
    """

    def __init__(self, source: TensorRepresentation, target: TensorRepresentation) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(target.size, source.size))
        self.bias = nn.Parameter(torch.empty(target.size))
        self.projection = Projection(source, target)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws an orthogonal matrix and uniform biases."""
        reset_affine(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, source] to [B, target]."""
        return functional.linear(x, *self.projection(self.weight, self.bias))


class EMLP(TensorPerceptron):
    r"""Equivariant perceptron of `Finzi et al. (2021) <https://arxiv.org/abs/2104.09459>`_.

    .. math::
        Y = W_{L+1} h_L + b_{L+1}, \qquad
        h_l = \operatorname{gate}(z_l + 0.1 \, W(z_l) \, z_l), \qquad z_l = W_l h_{l-1} + b_l

    where :math:`h_0` holds the inputs of the nodes one after the other, :math:`h_l` holds
    ``hidden_channels`` components of Cartesian tensors, shared evenly among the ranks, and
    :math:`Y` the outputs of the nodes, in the unit of the target. Matrices and biases are of full
    size and projected onto the equivariant ones in every pass; :math:`W(z)` is a quadratic map,
    and the gate lets a scalar of its own switch each tensor. Matrices start orthogonal, biases
    uniform on :math:`[0, 1 / \sqrt n)` for n outputs.

    Its symmetry is ``"exact"`` under rotations about the origin, with ``group="O3"`` also under
    reflections. Under translations it is not equivariant, points count as vectors: centre the data.
    It is tied to the number and order of the nodes unless ``num_nodes`` is None.

    Note:
        The quadratic map makes outputs grow with a power of the inputs, :math:`2^L` for large
        ones; inputs should be of order one.

    Args:
        num_nodes: Number of nodes of every graph, 31 joints by default; None maps each node alone.
        hidden_channels: Width of the hidden layers, at least 6 (27 for pseudovectors under O(3)).
        num_layers: Number :math:`L` of hidden layers.
        inputs: Names of the node attributes to read.
        reps: Their representations, made of scalars, vectors, points and pseudovectors.
        out_rep: Representation of the output, made of the same.
        group: ``"SO3"``, or ``"O3"`` for reflections as well.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive or `hidden_channels` does not suit, an input is not
            declared, a kind is not understood, or `group` is unknown.

    Example:
        >>> from torch_geometric.data import Data
        >>> model = EMLP(num_nodes=2, hidden_channels=16)
        >>> model(Data(pos=torch.ones(2, 3), vel=torch.zeros(2, 3))).shape
        torch.Size([2, 3])
    """

    symmetry: ClassVar[Symmetry] = "exact"
    linear = EquivariantLinear

    def __init__(
        self,
        num_nodes: int | None = 31,
        hidden_channels: int = 532,
        num_layers: int = 3,
        *,
        inputs: Sequence[str] = ("pos", "vel"),
        reps: Mapping[str, str] = MOTION_REPS,
        out_rep: str = "point",
        group: TensorGroup = "SO3",
    ) -> None:
        super().__init__(num_nodes, hidden_channels, num_layers, inputs, reps, out_rep, group)
