"""The linear maps of multivectors and scalars that commute with rotations and translations."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyg_remul.models._exact_tables import ExactTables
from pyg_remul.models._projective_algebra import BLADES, GRADES, NUM_EUCLIDEAN

__all__ = ["NUM_MAPS", "EquiLinear"]

_NUM_GRADES = 5
NUM_MAPS = 9
"""Five projections on a grade, then four products with e0, of the grades 0 to 3 without e0."""

_SLOTS = (*GRADES, *(_NUM_GRADES + grade for grade in GRADES[:NUM_EUCLIDEAN]))
_SIZES = [_SLOTS.count(slot) for slot in range(NUM_MAPS)]
_VARIANCES = (1, 4, 6, 2, 0.5, 0.5, 1.5, 1.5, 0.5)


class EquiLinear(ExactTables):
    r"""Equivariant linear map of `Brehmer et al. (2023) <https://arxiv.org/abs/2305.18415>`_.

    .. math::
        y_o &= \sum_i \Bigl( \sum_{k=0}^{4} \frac{w_{koi}}{\sqrt{n_k}} \langle x_i \rangle_k
            + \sum_{k=0}^{3} \frac{v_{koi}}{\sqrt{m_k}} \, e_0 \langle x_i \rangle_k \Bigr)
            + \sum_j a_{oj} s_j + b_o \\
        t_p &= \sum_j c_{pj} s_j + \sum_i d_{pi} \langle x_i \rangle_0 + f_p

    where :math:`\langle x \rangle_k` is the part of grade k of a multivector, with :math:`n_k`
    blades, :math:`m_k` of them without :math:`e_0`, and the s and t are scalars. No other linear
    maps commute with the rotations, translations and reflections of multivectors. Instead of a
    product with a 16 x 16 table it takes 24 small matrix products: one for each blade, and one from
    each blade without :math:`e_0` to :math:`e_0` times that blade.

    Weights start uniform, within bounds that keep the variance of every grade; see the paper's
    appendix.

    Args:
        in_channels: Number of multivectors that enter.
        out_channels: Number of multivectors that leave.
        in_scalars: Number of scalars that enter.
        out_scalars: Number of scalars that leave; may be zero.

    Example:
        >>> x, s = EquiLinear(2, 4, 3, 5)(torch.ones(16, 7, 2), torch.ones(7, 3))
        >>> x.shape, s.shape
        (torch.Size([16, 7, 4]), torch.Size([7, 5]))
    """

    filter_axes: ClassVar = {"weight": (1,)}
    index: Tensor
    sizes: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, in_scalars: int, out_scalars: int
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.weight = nn.Parameter(torch.empty(NUM_MAPS, out_channels, in_channels))
        self.from_scalars = nn.Parameter(torch.empty(out_channels + out_scalars, in_scalars))
        self.to_scalars = (
            nn.Parameter(torch.empty(out_scalars, in_channels)) if out_scalars else None
        )
        self.bias = nn.Parameter(torch.empty(out_channels + out_scalars))
        self.set_tables()
        self.reset_parameters()

    def tables(self, dtype: torch.dtype) -> dict[str, Tensor]:  # noqa: ARG002
        """The map of every blade, and the number of blades of every map."""
        return {"index": torch.tensor(_SLOTS), "sizes": torch.tensor(_SIZES).view(-1, 1, 1)}

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        in_channels, in_scalars = self.weight.size(-1), self.from_scalars.size(-1)
        with torch.no_grad():
            for slot, variance in enumerate(_VARIANCES):
                shared = 2 if slot == 0 else 1  # grade 0 adds up multivectors and scalars
                _draw(self.weight[slot], variance / (shared * in_channels))
            _draw(self.from_scalars, 1 / (2 * in_scalars))
            if self.to_scalars is not None:
                _draw(self.to_scalars, 1 / (2 * in_channels))
            _draw(self.bias, 1 / (in_channels + in_scalars))

    def forward(self, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the images of multivectors and scalars.

        Args:
            x: Multivectors, shape [16, ..., in_channels].
            s: Scalars, shape [..., in_scalars].

        Returns:
            Shapes [16, ..., out_channels] and [..., out_scalars].
        """
        blades = (self.weight * self.sizes.to(self.weight.dtype).rsqrt()).index_select(
            0, self.index
        )
        same, lifted = blades.mT.split([len(BLADES), NUM_EUCLIDEAN])
        flat = x.flatten(1, -2)
        euclidean, ideal = flat.split(NUM_EUCLIDEAN)
        scalars = functional.linear(s, self.from_scalars, self.bias)
        to_grade_zero, t = scalars.split(
            [self.out_channels, scalars.size(-1) - self.out_channels], -1
        )
        first, rest = torch.bmm(euclidean, same[:NUM_EUCLIDEAN]).split([1, NUM_EUCLIDEAN - 1])
        ideal = torch.baddbmm(torch.bmm(ideal, same[NUM_EUCLIDEAN:]), euclidean, lifted)
        first = first + to_grade_zero.reshape(1, -1, self.out_channels)
        y = torch.cat([first, rest, ideal]).view(*x.shape[:-1], self.out_channels)
        if self.to_scalars is not None:
            t = t + functional.linear(x[0], self.to_scalars)
        return y, t


def _draw(weight: Tensor, squared_bound: float) -> None:
    bound = math.sqrt(squared_bound)
    nn.init.uniform_(weight, -bound, bound)
