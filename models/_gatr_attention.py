"""Attention among multivectors and scalars."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.nn.inits import reset

from pyg_remul.models._equivariant_linear import EquiLinear
from pyg_remul.models._projective_algebra import BLADES, NUM_EUCLIDEAN, POSITIONS
from pyg_remul.ops import RaggedLayout, ragged_attention

__all__ = ["GeometricAttention", "key_features", "query_features"]

_WEIGHT = POSITIONS[1, 2, 3]
_IDEAL = [POSITIONS[blade] for blade in ((0, 1, 2), (0, 1, 3), (0, 2, 3))]


class GeometricAttention(nn.Module):
    r"""Multi-query attention of `Brehmer et al. (2023) <https://arxiv.org/abs/2305.18415>`_.

    .. math::
        A_{hij} = \operatorname{softmax}_j \frac{1}{\sqrt{12 c + d}} \Bigl(
            \sum_{m=1}^{c} \bigl( \langle q_{him}, k_{jm} \rangle' - e^{\omega_{hm}} \lVert
            \hat t(q_{him}) \, \hat w(k_{jm}) - \hat t(k_{jm}) \, \hat w(q_{him}) \rVert^2 \bigr)
            + \sum_{r=1}^{d} \tilde q_{hir} \, \tilde k_{jr} \Bigr)

    for head h and nodes i and j, with multivectors q and k and scalars :math:`\tilde q` and
    :math:`\tilde k`. :math:`\langle \cdot, \cdot \rangle'` is the inner product without
    :math:`e_{123}`. The second term is the squared distance of two points: a multivector with
    the coefficient w of :math:`e_{123}` and the coefficients t of the other blades of grade 3 is
    the point t / w, and :math:`(\hat t, \hat w) = (t, w) \, w / (w^2 + 10^{-3})`. All heads share
    their keys and values, c multivectors and d scalars; together they have twice the channels of
    the block. Linear maps come before and after; the latter starts small.

    Args:
        channels: Number C of multivectors, 2C a multiple of `heads`.
        scalars: Number S of scalars, 2S a multiple of `heads`.
        heads: Number of heads.

    Example:
        >>> attention = GeometricAttention(channels=4, scalars=8, heads=2)
        >>> x, s = attention(torch.ones(16, 3, 4), torch.ones(3, 8), RaggedLayout([1, 2]))
        >>> x.shape, s.shape
        (torch.Size([16, 3, 4]), torch.Size([3, 8]))
    """

    filter_axes: ClassVar = {"log_scale": ()}

    def __init__(self, channels: int, scalars: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.width = 2 * channels // heads
        self.scalar_width = 2 * scalars // heads
        self.qkv = EquiLinear(
            channels, (heads + 2) * self.width, scalars, (heads + 2) * self.scalar_width
        )
        self.out = _SmallOutput(heads * self.width, channels, heads * self.scalar_width, scalars)
        self.log_scale = nn.Parameter(torch.zeros(1, heads, self.width))

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        for child in self.children():
            reset(child)
        nn.init.zeros_(self.log_scale)

    def forward(self, x: Tensor, s: Tensor, graphs: RaggedLayout) -> tuple[Tensor, Tensor]:
        """Returns what is added to the multivectors and scalars, in the same shapes.

        Args:
            x: Multivectors of the nodes, shape [16, N, C].
            s: Scalars, shape [N, S].
            graphs: How the nodes belong to graphs.
        """
        x, s = self.qkv(x, s)
        multivectors, scalars = self._split(x, self.width), self._split(s, self.scalar_width)
        query, key, value = zip(multivectors, scalars, strict=True)
        attended = ragged_attention(
            query_features(*query, self.log_scale),
            key_features(*key).unsqueeze(1),
            torch.cat([*value[0], value[1]], dim=-1).unsqueeze(1),
            graphs,
        )
        y, t = attended.split([len(BLADES) * self.width, self.scalar_width], dim=-1)
        y = y.unflatten(-1, (len(BLADES), self.width)).movedim(-2, 0)
        out: tuple[Tensor, Tensor] = self.out(y.flatten(-2), t.flatten(-2))
        return out

    def _split(self, x: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [..., heads, width], keys [..., width] and values [..., width]."""
        query, key, value = x.split([self.heads * width, width, width], dim=-1)
        return query.unflatten(-1, (self.heads, width)), key, value


def query_features(x: Tensor, s: Tensor, log_scale: Tensor) -> Tensor:
    """Returns vectors whose inner products with :func:`key_features` are the logits, unscaled.

    Args:
        x: Multivectors, shape [16, ..., heads, c].
        s: Scalars, shape [..., heads, d].
        log_scale: Logarithm of the weight of the squared distances, shape [heads, c].

    Returns:
        Shape [..., heads, 12 c + d].
    """
    weight, ideal = _regular_point(x)
    scale = log_scale.exp()
    distance = [-scale * _squared_norm(ideal), -scale * weight.square()]
    cross = 2 * scale * weight * ideal
    return torch.cat([*x[: NUM_EUCLIDEAN - 1], *distance, *cross, s], dim=-1)


def key_features(x: Tensor, s: Tensor) -> Tensor:
    """Returns the counterparts of :func:`query_features`.

    Args:
        x: Multivectors, shape [16, ..., c].
        s: Scalars, shape [..., d].

    Returns:
        Shape [..., 12 c + d].
    """
    weight, ideal = _regular_point(x)
    distance = [weight.square(), _squared_norm(ideal)]
    return torch.cat([*x[: NUM_EUCLIDEAN - 1], *distance, *(weight * ideal), s], dim=-1)


def _regular_point(x: Tensor, eps: float = 1e-3) -> tuple[Tensor, Tensor]:
    """The coefficient of e123 and the three others of grade 3, times w / (w^2 + eps)."""
    weight = x[_WEIGHT]
    factor = weight / (weight.square() + eps)
    return weight * factor, torch.stack([x[index] for index in _IDEAL]) * factor


def _squared_norm(ideal: Tensor) -> Tensor:
    return ideal.square().sum(dim=0)


class _SmallOutput(EquiLinear):
    """Starts with a tenth of the usual weights."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            for parameter in self.parameters():
                grade_zero = self.out_channels if parameter is self.bias else 0
                parameter[grade_zero:] *= 0.1
