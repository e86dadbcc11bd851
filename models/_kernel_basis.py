"""The equivariant kernels from which SE(3)-equivariant convolutions are mixed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from e3nn import o3
from torch import Tensor

from pyg_remul.models._exact_tables import ExactTables

__all__ = ["MAX_DEGREES", "EquivariantKernels", "KernelBasis", "num_kernels"]

MAX_DEGREES = 6
"""Degrees that a network can have; e3nn's spherical harmonics end at degree 11."""


class KernelBasis(NamedTuple):
    r"""The basis kernels of every edge, for all pairs of degrees below a bound.

    Attributes:
        kernels: For each output degree l, shape [E, 2l + 1, S]. The S columns are, for each input
            degree k in turn, :math:`2 \min(l, k) + 1` kernels of :math:`2 k + 1` columns.
    """

    kernels: tuple[Tensor, ...]

    def between(self, degrees_in: Sequence[int], degree_out: int) -> Tensor:
        """Returns the kernels from some of the degrees, in ascending order, to one degree."""
        kernels = self.kernels[degree_out]
        num_degrees = len(self.kernels)
        if len(degrees_in) == num_degrees:
            return kernels
        sizes = [num_kernels(degree_out, k) * (2 * k + 1) for k in range(num_degrees)]
        parts = kernels.split(sizes, dim=-1)
        return torch.cat([parts[k] for k in degrees_in], dim=-1)


def num_kernels(degree_out: int, degree_in: int) -> int:
    """Returns how many independent equivariant kernels lead from one degree to another."""
    return 2 * min(degree_out, degree_in) + 1


class EquivariantKernels(ExactTables):
    r"""The equivariant kernels of `Thomas et al. (2018) <https://arxiv.org/abs/1802.08219>`_.

    .. math::
        K^{lk}_J(\hat r)_{ab} = \sum_m C^{lJk}_{amb}\, Y_{Jm}(\hat r), \qquad
        K^{lk}_J(R \hat r) = D_l(R)\, K^{lk}_J(\hat r)\, D_k(R)^\top, \qquad |l - k| \le J \le l + k

    where :math:`C` is the Wigner 3j symbol of Frobenius norm one and :math:`Y_J` the spherical
    harmonics, orthonormal on the sphere, both real and in the component order of e3nn. A kernel has
    the Frobenius norm :math:`1 / \sqrt{4 \pi}`. For the direction zero of a zero-length edge only
    :math:`J = 0` is left, which keeps the law.

    Args:
        num_degrees: Number of degrees, at most :data:`MAX_DEGREES`.

    Example:
        >>> basis = EquivariantKernels(num_degrees=2)(torch.eye(3))
        >>> [tuple(kernels.shape) for kernels in basis.kernels]
        [(3, 1, 4), (3, 3, 10)]
    """

    def __init__(self, num_degrees: int) -> None:
        super().__init__()
        self.num_degrees = num_degrees
        self.set_tables()

    def tables(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The map from the harmonics to the kernels of each degree."""
        tables = _tables(self.num_degrees, dtype)
        return {f"table_{degree}": table for degree, table in enumerate(tables)}

    def forward(self, direction: Tensor) -> KernelBasis:
        """Returns the kernels of every edge.

        Args:
            direction: Unit vectors or zeros, shape [E, 3].
        """
        degrees = list(range(2 * self.num_degrees - 1))
        harmonics: Tensor = o3.spherical_harmonics(
            degrees, direction, normalize=False, normalization="integral"
        )
        tables = [self.get_buffer(f"table_{degree}") for degree in range(self.num_degrees)]
        kernels = (harmonics @ table for table in tables)
        rows = (2 * degree + 1 for degree in range(self.num_degrees))
        return KernelBasis(
            tuple(k.unflatten(-1, (row, -1)) for k, row in zip(kernels, rows, strict=True))
        )


@lru_cache(maxsize=2 * MAX_DEGREES)
def _tables(num_degrees: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    if dtype != torch.float64:
        return tuple(table.to(dtype) for table in _tables(num_degrees, torch.float64))
    return tuple(_table(degree, num_degrees) for degree in range(num_degrees))


def _table(degree: int, num_degrees: int) -> Tensor:
    """The map [(2 num_degrees - 1)^2, (2l + 1) S] from the harmonics to the kernels of degree l."""
    pairs = [_pair_table(degree, k, num_degrees) for k in range(num_degrees)]
    return torch.cat(pairs, dim=-1).flatten(1)


def _pair_table(degree_out: int, degree_in: int, num_degrees: int) -> Tensor:
    """The map [(2 num_degrees - 1)^2, 2l + 1, kernels * (2k + 1)] of one pair of degrees."""
    shape = (2 * degree_out + 1, num_kernels(degree_out, degree_in), 2 * degree_in + 1)
    table = torch.zeros((2 * num_degrees - 1) ** 2, *shape, dtype=torch.float64)
    lowest = abs(degree_out - degree_in)
    for place in range(shape[1]):
        degree = lowest + place
        symbol = o3.wigner_3j(degree_out, degree, degree_in, dtype=torch.float64)
        table[degree**2 : (degree + 1) ** 2, :, place] = symbol.transpose(0, 1)
    return table.flatten(-2)
