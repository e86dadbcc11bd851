"""How the objective and the equivariance loss are weighted against each other."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from pyg_remul.checks import check_numbers
from pyg_remul.last_layer import LastLayer
from pyg_remul.ranks import mean_over_ranks

__all__ = ["ConstantWeighting", "GradNorm", "Weighting", "gradnorm_gradient"]


class Weighting(nn.Module, ABC):
    r"""Combines the two losses to :math:`\alpha L_\mathrm{obj} + \beta L_\mathrm{equi}`."""

    weights: Tensor

    def __init__(self, alpha: float, beta: float, *, persistent: bool) -> None:
        super().__init__()
        check_numbers("not negative", alpha=alpha, beta=beta)
        if alpha == beta == 0:
            raise ValueError("`alpha` and `beta` must not both be 0.")
        self.initial = (float(alpha), float(beta))
        self.register_buffer("weights", torch.tensor(self.initial), persistent=persistent)

    @property
    def alpha(self) -> Tensor:
        """The objective's weight, a 0-dimensional tensor without gradient."""
        return self.weights[0]

    @property
    def beta(self) -> Tensor:
        """The equivariance loss's weight, a 0-dimensional tensor without gradient."""
        return self.weights[1]

    @property
    def uses_objective(self) -> bool:
        """Whether the objective can have any weight; if not, its pass is skipped."""
        return self.initial[0] > 0

    def recording(self) -> AbstractContextManager[None]:
        """A context for the model's passes, in which a weighting may take notes of its own."""
        return nullcontext()

    @abstractmethod
    def forward(
        self, objective: Tensor | None, equivariance: Tensor, predictions: Sequence[Any]
    ) -> Tensor:
        """Returns the total loss.

        Args:
            objective: The objective, 0-dimensional, or ``None`` where it was not computed.
            equivariance: The equivariance loss, 0-dimensional.
            predictions: What the model returned, pass by pass.
        """


class ConstantWeighting(Weighting):
    r"""Weights that stay as they are, the constant penalty of REMUL.

    See `Relaxed Equivariance via Multitask Learning <https://arxiv.org/abs/2410.17878>`_, Sec. 3.2.

    ``alpha=0, beta=1`` is data augmentation: the plain graphs are not evaluated at all.

    Args:
        alpha: Weight :math:`\alpha \ge 0` of the objective.
        beta: Weight :math:`\beta \ge 0` of the equivariance loss.

    Raises:
        ValueError: If a weight is negative or not finite, or both are 0.

    Example:
        >>> weighting = ConstantWeighting(alpha=1.0, beta=0.5)
        >>> weighting(torch.tensor(2.0), torch.tensor(4.0), []).item()
        4.0
    """

    def __init__(self, alpha: float = 1.0, beta: float = 1.0) -> None:
        super().__init__(alpha, beta, persistent=False)

    def forward(
        self,
        objective: Tensor | None,
        equivariance: Tensor,
        predictions: Sequence[Any],  # noqa: ARG002
    ) -> Tensor:
        """Returns the weighted sum, or the second term alone without an objective."""
        alpha, beta = self.initial
        return beta * equivariance if objective is None else alpha * objective + beta * equivariance

    def extra_repr(self) -> str:
        """The weights, for ``repr``."""
        return "alpha={}, beta={}".format(*self.initial)


class GradNorm(Weighting):
    r"""Weights that balance the gradients of the two losses, the gradual penalty of REMUL.

    Algorithm 1 of `REMUL <https://arxiv.org/abs/2410.17878>`_, after `GradNorm
    <https://arxiv.org/abs/1711.02257>`_. With :math:`g_k = \lVert \nabla_W L_k \rVert_2` on the
    weights :math:`W` of the last layer, :math:`G_k = w_k g_k` for :math:`w = (\alpha, \beta)`,
    their mean :math:`\bar G`, and the relative rates
    :math:`r_k = \tilde L_k / \mathrm{mean}(\tilde L)` of the losses
    :math:`\tilde L_k = L_k / L_k(0)`,

    .. math::
        L_g = \sum_k \lvert G_k - \bar G r_k^\gamma \rvert, \qquad
        w_k \leftarrow w_k - \eta \, \partial L_g / \partial w_k .

    The network's step uses the weights from before the update.

    Note:
        As in GradNorm, the targets :math:`\bar G r_k^\gamma` are constants of the derivative, which
        then is :math:`\operatorname{sign}(G_k - \bar G r_k^\gamma) \, g_k` and needs no second
        derivative of the network; and the weights are scaled back to their initial sum after each
        update. The paper's algorithm shows no scaling: ``renormalise=False`` is that, and its
        weights drift unless :math:`\gamma` is 0 or 1.

    Args:
        head: The final ``nn.Linear``, whose output is the model's prediction up to its shape. The
            gradient is then the outer product of :math:`\partial L / \partial` prediction with the
            head's input, which needs no further backward pass and lives with ``torch.compile``.
        last_layer: Instead of ``head``, any weight, for models whose prediction is not a linear
            layer's output. Its gradients come from two more partial backward passes.
        alpha: Initial weight of the objective, positive.
        beta: Initial weight of the equivariance loss, positive.
        eta: Learning rate :math:`\eta` of the weights, positive.
        gamma: Strength :math:`\gamma \ge 0` that pulls the losses to equal rates.
        renormalise: Whether to keep the weights' sum.
        minimum: Lower bound of the weights, before they are scaled.

    Raises:
        ValueError: If an argument is out of range, or not exactly one of ``head`` and
            ``last_layer`` is given.

    Example:
        >>> layer = nn.Linear(3, 1)
        >>> weighting = GradNorm(head=layer)
        >>> with weighting.recording():
        ...     pair = layer(torch.tensor([[1.0, 2, 3], [3, 2, 1]]))
        >>> loss = weighting(pair[0].square().mean(), (pair[1] - 1).square().mean(), [pair])
        >>> round(float(weighting.alpha + weighting.beta), 4)
        2.0
    """

    initial_losses: Tensor

    def __init__(
        self,
        head: nn.Linear | None = None,
        *,
        last_layer: Tensor | None = None,
        alpha: float = 1.0,
        beta: float = 1.0,
        eta: float = 0.025,
        gamma: float = 1.5,
        renormalise: bool = True,
        minimum: float = 1e-3,
    ) -> None:
        super().__init__(alpha, beta, persistent=True)
        check_numbers(alpha=alpha, beta=beta, eta=eta, minimum=minimum)
        check_numbers("not negative", gamma=gamma)
        self.eta, self.gamma = eta, gamma
        self.renormalise, self.minimum = renormalise, minimum
        self.layer = LastLayer(head, last_layer)
        self.register_buffer("initial_losses", torch.full((2,), math.nan))

    def reset(self) -> None:
        """Returns to the initial weights and forgets the initial losses."""
        self.weights.copy_(torch.tensor(self.initial))
        self.initial_losses.fill_(math.nan)

    def recording(self) -> AbstractContextManager[None]:
        """Keeps the head's inputs."""
        return self.layer.recording()

    def forward(
        self, objective: Tensor | None, equivariance: Tensor, predictions: Sequence[Any]
    ) -> Tensor:
        """Returns the total loss under the present weights, then updates them if training."""
        if objective is None:
            raise ValueError("`objective` must be given for GradNorm to balance, got None.")
        if self.weights.device != equivariance.device:
            self.to(equivariance.device)
        losses = torch.stack([objective, equivariance])
        alpha, beta = self.weights.clone()
        if self.training and torch.is_grad_enabled():
            self._update(losses, predictions)
        return alpha * objective + beta * equivariance

    def _update(self, losses: Tensor, predictions: Sequence[Any]) -> None:
        gradients = self.layer.gradients(losses, predictions)
        with torch.no_grad():
            values = mean_over_ranks(losses.detach().float())
            # The norm of a mean gradient is no mean of norms.
            norms = mean_over_ranks(gradients).flatten(1).norm(dim=1)
            self.initial_losses.copy_(
                self.initial_losses.where(self.initial_losses.isfinite(), values)
            )
            rates = values / self.initial_losses
            rates = rates / rates.mean()
            step = gradnorm_gradient(self.weights, norms, rates, self.gamma)
            weights = (self.weights - self.eta * step).clamp(min=self.minimum)
            if self.renormalise:
                weights = weights * (sum(self.initial) / weights.sum())
            # A loss of 0 at the start has no rate, and one that is not finite no gradient to trust;
            # the weights would not show it, for the sign of NaN is 0.
            valid = (rates.isfinite() & norms.isfinite()).all()
            self.weights.copy_(torch.where(valid, weights, self.weights))

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        alpha, beta = self.initial
        return (
            f"alpha={alpha}, beta={beta}, eta={self.eta}, gamma={self.gamma}, "
            f"renormalise={self.renormalise}"
        )


def gradnorm_gradient(weights: Tensor, norms: Tensor, rates: Tensor, gamma: float) -> Tensor:
    r"""Differentiates GradNorm's loss with its targets held constant.

    .. math::
        \partial L_g / \partial w_k
        = \operatorname{sign}\bigl(w_k g_k - \bar G r_k^\gamma\bigr) \, g_k

    Args:
        weights: The weights :math:`w`, shape ``[K]``.
        norms: Gradient norms :math:`g` of the unweighted losses, shape ``[K]``.
        rates: Relative rates :math:`r`, shape ``[K]``.
        gamma: The exponent :math:`\gamma`.

    Returns:
        Shape ``[K]``.

    Example:
        >>> ones = torch.ones(2)
        >>> gradnorm_gradient(ones, torch.tensor([1.0, 3.0]), ones, gamma=1.5).tolist()
        [-1.0, 3.0]
    """
    weighted = weights * norms
    return (weighted - weighted.mean() * rates.pow(gamma)).sign() * norms
