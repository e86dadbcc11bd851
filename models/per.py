"""Equivariant perceptrons by a projection regulariser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pyg_remul.checks import check_numbers
from pyg_remul.models._base import Symmetry
from pyg_remul.models._projection import Projection
from pyg_remul.models._tensor_layers import LeakyGate, reset_affine
from pyg_remul.models._tensor_perceptron import MOTION_REPS, TensorPerceptron
from pyg_remul.models._tensor_representation import TensorGroup, TensorRepresentation

__all__ = ["PER", "PenalisedLinear"]


class PenalisedLinear(nn.Linear):
    """Linear layer that tells how far it is from an equivariant one.

    Args:
        source: The tensors of the input.
        target: The tensors of the output.
    """

    def __init__(self, source: TensorRepresentation, target: TensorRepresentation) -> None:
        super().__init__(source.size, target.size)
        self.projection = Projection(source, target)

    def reset_parameters(self) -> None:
        """Draws an orthogonal matrix and uniform biases."""
        reset_affine(self.weight, self.bias)

    def penalty(self) -> Tensor:
        r"""Returns :math:`\frac12 \|W - P W\|^2 + \frac12 \|b - P b\|^2`, a scalar."""
        weight, bias = self.projection(self.weight, self.bias)
        return ((self.weight - weight).square().sum() + (self.bias - bias).square().sum()) / 2

    @torch.no_grad()
    def approach(self) -> None:
        """Moves half the way to the nearest equivariant map."""
        weight, bias = self.projection(self.weight, self.bias)
        self.weight.lerp_(weight, 0.5)
        self.bias.lerp_(bias, 0.5)


class PER(TensorPerceptron):
    r"""Projection-based equivariance regulariser of `Kim et al. (2023) <https://arxiv.org/abs/2306.00356>`_.

    It is an :class:`EMLP` whose affine maps are not projected, and whose nonlinearity gains a part
    :math:`w_g \, x \, \sigma(x)` that acts on every component alone, as that of :class:`RPP`. A
    regulariser draws them to the equivariant ones:

    .. math::
        \mathcal R = \lambda \sum_l \tfrac12
        \big( \|W_l - P W_l\|^2 + \|b_l - P b_l\|^2 \big) + \mu \sum_l \|w_{g,l}\|^2

    with :math:`P` the orthogonal projection onto the equivariant maps. Add :meth:`regularisation`
    to the loss. The parts :math:`w_g` start at 0.001.

    Its symmetry is ``"soft"`` under rotations about the origin (with ``group="O3"`` also under
    reflections): where :math:`\mathcal R` vanishes, it is exact. For translations, the number of
    nodes and the size of inputs see :class:`EMLP`.

    Note:
        Tensors are shared among the ranks as in :class:`EMLP`; the released code's own rule makes
        810 channels of 532.

    Args:
        num_nodes: Number of nodes of every graph, 31 joints by default; None maps each node alone.
        hidden_channels: Width of the hidden layers, at least 6 (27 for pseudovectors under O(3)).
        num_layers: Number of hidden layers.
        inputs: Names of the node attributes to read.
        reps: Their representations, made of scalars, vectors, points and pseudovectors.
        out_rep: Representation of the output, made of the same.
        group: ``"SO3"``, or ``"O3"`` for reflections as well.
        penalty: Weight :math:`\lambda \ge 0` of the distance from equivariant maps.
        gate_penalty: Weight :math:`\mu \ge 0` of the parts :math:`w_g`.
        start_halfway: Whether matrices and biases start halfway between those of :class:`EMLP` and
            their projections, :math:`\tfrac12 (W + P W)`, as in the paper for motion capture, where
            outputs would otherwise start many orders of magnitude too large.

    Raises:
        TypeError: If `inputs` is a single string, or a weight is no number.
        ValueError: If a size is not positive or `hidden_channels` does not suit, an input is not
            declared, a kind is not understood, `group` is unknown, or a weight is negative.

    Example:
        >>> from torch_geometric.data import Data
        >>> model = PER(num_nodes=2, hidden_channels=16)
        >>> model(Data(pos=torch.ones(2, 3), vel=torch.zeros(2, 3))).shape
        torch.Size([2, 3])
        >>> bool(model.regularisation() > 0)
        True
    """

    symmetry: ClassVar[Symmetry] = "soft"
    linear = PenalisedLinear
    nonlinearity = LeakyGate

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
        penalty: float = 1.0,
        gate_penalty: float = 1.0,
        start_halfway: bool = True,
    ) -> None:
        super().__init__(num_nodes, hidden_channels, num_layers, inputs, reps, out_rep, group)
        check_numbers("not negative", penalty=penalty, gate_penalty=gate_penalty)
        self.penalty = penalty
        self.gate_penalty = gate_penalty
        self.start_halfway = start_halfway
        self._approach()

    @property
    def _linears(self) -> list[PenalisedLinear]:
        return [module for module in self.modules() if isinstance(module, PenalisedLinear)]

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        super().reset_parameters()
        self._approach()

    def _approach(self) -> None:
        if self.start_halfway:
            for linear in self._linears:
                linear.approach()

    def regularisation(self) -> Tensor:
        r"""Returns the regulariser :math:`\mathcal R`, a scalar with gradient."""
        distances = torch.stack([linear.penalty() for linear in self._linears])
        gates = [module.weight for module in self.modules() if isinstance(module, LeakyGate)]
        squares = torch.stack([gate.square().sum() for gate in gates])
        return self.penalty * distances.sum() + self.gate_penalty * squares.sum()
