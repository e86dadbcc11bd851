"""Normalisation and nonlinearity of the geometric algebra Transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyg_remul.models._equivariant_linear import EquiLinear
from pyg_remul.models._multivectors import geometric_product, inner_product, join

__all__ = ["GeometricMLP", "equi_norm"]


def equi_norm(x: Tensor, s: Tensor, eps: float = 0.01) -> tuple[Tensor, Tensor]:
    r"""Normalises multivectors and scalars of every node.

    .. math::
        x_c' = x_c \Big/ \sqrt{\max\bigl(\tfrac1C \textstyle\sum_c \langle x_c, x_c \rangle,
        \varepsilon\bigr)}, \qquad s' = \operatorname{LayerNorm}(s)

    Neither has parameters.

    Args:
        x: Multivectors, shape [16, ..., C].
        s: Scalars, shape [..., S].
        eps: Smallest mean square to divide by.

    Returns:
        The same shapes.
    """
    scale = inner_product(x, x).mean(dim=-1, keepdim=True).clamp(min=eps).rsqrt()
    return x * scale, functional.layer_norm(s, s.shape[-1:])


class GeometricMLP(nn.Module):
    r"""The nonlinear half of a block of `Brehmer et al. (2023) <https://arxiv.org/abs/2305.18415>`_.

    .. math::
        (z, t) &= \operatorname{EquiLinear}\bigl((a b \,\Vert\, (c^* \wedge d^*)^*),\, s\bigr) \\
        (x', s') &= \operatorname{EquiLinear}\bigl(\operatorname{GELU}(\langle z \rangle_0)\, z,\,
        \operatorname{GELU}(t)\bigr)

    where a, b, c and d are linear maps of the multivectors x and scalars s, C multivectors each,
    :math:`a b` is the geometric product and :math:`(c^* \wedge d^*)^*` the join. There are 2C
    hidden multivectors and 2S hidden scalars. The gates use the hyperbolic tangent's approximation
    of GELU, the scalars GELU itself.

    Note:
        The paper multiplies the join by a reference multivector's coefficient of
        :math:`e_{123}`, to flip its sign under reflections. Points have the coefficient one, so
        it is left out: under rotations and translations it changes nothing.

    Args:
        channels: Number C of multivectors.
        scalars: Number S of scalars.

    Example:
        >>> x, s = GeometricMLP(4, 8)(torch.ones(16, 7, 4), torch.ones(7, 8))
        >>> x.shape, s.shape
        (torch.Size([16, 7, 4]), torch.Size([7, 8]))
    """

    def __init__(self, channels: int, scalars: int) -> None:
        super().__init__()
        self.factors = _Factors(channels, 4 * channels, scalars, 0)
        self.hidden = EquiLinear(2 * channels, 2 * channels, scalars, 2 * scalars)
        self.out = EquiLinear(2 * channels, channels, 2 * scalars, scalars)

    def forward(self, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what is added to the multivectors and scalars, in the same shapes.

        Args:
            x: Multivectors, shape [16, ..., C].
            s: Scalars, shape [..., S].
        """
        a, b, c, d = self.factors(x, s)[0].chunk(4, dim=-1)
        products = torch.cat([geometric_product(a, b), join(c, d)], dim=-1)
        z, t = self.hidden(products, s)
        out: tuple[Tensor, Tensor] = self.out(
            z * functional.gelu(z[0], approximate="tanh"), functional.gelu(t)
        )
        return out


class _Factors(EquiLinear):
    """Maps to the four factors; the second starts near the scalar one, so that ab is near a."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        second = slice(self.out_channels // 4, self.out_channels // 2)
        with torch.no_grad():
            self.weight[:, second] *= 0.5
            self.from_scalars[second] *= 0.5
            self.bias[second] += 1.0
