"""The residual pathway prior on equivariant perceptrons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyg_remul.checks import check_numbers
from pyg_remul.models._base import Symmetry
from pyg_remul.models._projection import Projection
from pyg_remul.models._tensor_layers import LeakyGate, reset_affine
from pyg_remul.models._tensor_perceptron import MOTION_REPS, TensorPerceptron
from pyg_remul.models._tensor_representation import TensorGroup, TensorRepresentation

__all__ = ["RPP", "ResidualLinear"]


class ResidualLinear(nn.Module):
    r"""Affine map with an equivariant and a free path.

    .. math::
        y = (P W_e + W_f) \, x + P b_e + b_f

    with all matrices and biases of full size, and :math:`P` the
    :class:`projection <pyg_remul.models._projection.Projection>` onto the equivariant ones.

    Args:
        source: The tensors of :math:`x`.
        target: The tensors of :math:`y`.

    Attributes:
        equivariant_weight: Shape [target, source].
        basic_weight: Shape [target, source], initially 1e-3 times the former.
    """

    def __init__(self, source: TensorRepresentation, target: TensorRepresentation) -> None:
        super().__init__()
        self.equivariant_weight = nn.Parameter(torch.empty(target.size, source.size))
        self.equivariant_bias = nn.Parameter(torch.empty(target.size))
        self.basic_weight = nn.Parameter(torch.empty(target.size, source.size))
        self.basic_bias = nn.Parameter(torch.empty(target.size))
        self.projection = Projection(source, target)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the equivariant path, and lets the free one start at a thousandth of it."""
        reset_affine(self.equivariant_weight, self.equivariant_bias)
        with torch.no_grad():
            torch.mul(self.equivariant_weight, 1e-3, out=self.basic_weight)
            torch.mul(self.equivariant_bias, 1e-3, out=self.basic_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, source] to [B, target]."""
        weight, bias = self.projection(self.equivariant_weight, self.equivariant_bias)
        return functional.linear(x, weight + self.basic_weight, bias + self.basic_bias)


class RPP(TensorPerceptron):
    r"""Residual pathway prior of `Finzi et al. (2021) <https://arxiv.org/abs/2112.01388>`_.

    It is an :class:`EMLP` whose affine maps have a free path beside the equivariant one, and whose
    nonlinearity gains a part :math:`w_g \, x \, \sigma(x)` that acts on every component alone. A
    Gaussian prior prefers the equivariant path:

    .. math::
        W = P W_e + W_f, \qquad
        \mathcal R = \lambda_f \Big( \sum \|W_f\|^2 + \sum \|w_g\|^2 \Big)
        + \lambda_e \sum \|W_e\|^2 + \lambda_b \sum \|b_f\|^2

    with sums over all layers; the equivariant biases and the coefficients of the quadratic maps
    have no prior. Add :meth:`regularisation` to the loss. The free weights and biases
    :math:`W_f, b_f` start at a thousandth of the others, :math:`w_g` at 0.001.

    Its symmetry is ``"soft"`` under rotations about the origin (with ``group="O3"`` also under
    reflections): where :math:`W_f`, :math:`b_f` and :math:`w_g` vanish, it is exact. For
    translations, the number of nodes and the size of inputs see :class:`EMLP`.

    Note:
        The released code has no prior on the free biases, :math:`\lambda_b = 0`. These keep a
        trained model off equivariance however large :math:`\lambda_f` is.

    Args:
        num_nodes: Number of nodes of every graph, 31 joints by default; None maps each node alone.
        hidden_channels: Width of the hidden layers, at least 6 (27 for pseudovectors under O(3)).
        num_layers: Number of hidden layers.
        inputs: Names of the node attributes to read.
        reps: Their representations, made of scalars, vectors, points and pseudovectors.
        out_rep: Representation of the output, made of the same.
        group: ``"SO3"``, or ``"O3"`` for reflections as well.
        basic_prior: Weight :math:`\lambda_f \ge 0` of the free path in the prior.
        equivariant_prior: Weight :math:`\lambda_e \ge 0` of the equivariant path.
        bias_prior: Weight :math:`\lambda_b \ge 0` of the free biases.

    Raises:
        TypeError: If `inputs` is a single string, or a weight is no number.
        ValueError: If a size is not positive or `hidden_channels` does not suit, an input is not
            declared, a kind is not understood, `group` is unknown, or a weight is negative.

    Example:
        >>> from torch_geometric.data import Data
        >>> model = RPP(num_nodes=2, hidden_channels=16)
        >>> model(Data(pos=torch.ones(2, 3), vel=torch.zeros(2, 3))).shape
        torch.Size([2, 3])
        >>> bool(model.regularisation() > 0)
        True
    """

    symmetry: ClassVar[Symmetry] = "soft"
    linear = ResidualLinear
    nonlinearity = LeakyGate

    def __init__(
        self,
        num_nodes: int | None = 31,
        hidden_channels: int = 348,
        num_layers: int = 3,
        *,
        inputs: Sequence[str] = ("pos", "vel"),
        reps: Mapping[str, str] = MOTION_REPS,
        out_rep: str = "point",
        group: TensorGroup = "SO3",
        basic_prior: float = 100.0,
        equivariant_prior: float = 1e-3,
        bias_prior: float = 0.0,
    ) -> None:
        super().__init__(num_nodes, hidden_channels, num_layers, inputs, reps, out_rep, group)
        check_numbers(
            "not negative",
            basic_prior=basic_prior,
            equivariant_prior=equivariant_prior,
            bias_prior=bias_prior,
        )
        self.basic_prior = basic_prior
        self.equivariant_prior = equivariant_prior
        self.bias_prior = bias_prior

    def regularisation(self) -> Tensor:
        r"""Returns the prior's penalty :math:`\mathcal R`, a scalar with gradient."""
        linears = [module for module in self.modules() if isinstance(module, ResidualLinear)]
        gates = [module.weight for module in self.modules() if isinstance(module, LeakyGate)]
        return (
            self.basic_prior * _squares([*(linear.basic_weight for linear in linears), *gates])
            + self.equivariant_prior * _squares([linear.equivariant_weight for linear in linears])
            + self.bias_prior * _squares([linear.basic_bias for linear in linears])
        )


def _squares(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum()
