"""The tensors that no rotation changes."""

from __future__ import annotations

from functools import lru_cache
from math import sqrt

import torch
from e3nn import o3
from torch import Tensor

from pyg_remul.checks import check_integers

__all__ = ["invariant_basis"]


def invariant_basis(rank: int, dtype: torch.dtype = torch.float64) -> Tensor:
    r"""Returns an orthonormal basis :math:`Q` of the invariant Cartesian tensors of a rank.

    .. math::
        R^{\otimes r} Q = Q \;\; \text{for every rotation } R, \qquad Q^\top Q = 1

    The condition is solved by coupling: the tensors of half the rank are reduced to irreducible
    parts, index by index, and two parts of one degree give one invariant each. An inversion
    multiplies the basis by :math:`(-1)^r`; the invariants of O(3) are those of even rank.

    Args:
        rank: Rank :math:`r \ge 0`.
        dtype: Type of the result, which is computed once, in float64.

    Returns:
        Shape ``[3^r, q]``, the indices of a tensor flattened, on the CPU; shared, not to be written
        to. For r = 0 to 8, q is 1, 0, 1, 1, 3, 6, 15, 36, 91.

    Example:
        >>> invariant_basis(2).view(3, 3).abs().round(decimals=4).tolist()
        [[0.5774, 0.0, 0.0], [0.0, 0.5774, 0.0], [0.0, 0.0, 0.5774]]
    """
    check_integers("not negative", rank=rank)
    return _basis(rank, dtype)


@lru_cache(maxsize=32)
def _basis(rank: int, dtype: torch.dtype) -> Tensor:
    # What is kept must not depend on the modes in which it is first asked for.
    with torch.inference_mode(mode=False), torch.device("cpu"):
        if dtype != torch.float64:
            return _basis(rank, torch.float64).to(dtype)
        left, right = _irreducible_parts(rank - rank // 2), _irreducible_parts(rank // 2)
        columns = [torch.empty(3**rank, 0, dtype=dtype)]
        for degree in sorted(left.keys() & right.keys()):
            pairs = torch.einsum("smp,tmq->stpq", left[degree], right[degree])
            columns.append(pairs.reshape(3**rank, -1) / sqrt(2 * degree + 1))
        return torch.cat(columns, dim=1)


def _irreducible_parts(rank: int) -> dict[int, Tensor]:
    """Reduces the tensors of a rank, coupling one index after the other.

    Returns:
        For each degree l, shape [3^rank, 2l + 1, multiplicity]. All columns are orthonormal, and
        the components of one degree turn alike.
    """
    if rank == 0:
        return {0: torch.ones(1, 1, 1, dtype=torch.float64)}
    parts: dict[int, list[Tensor]] = {}
    for degree, basis in _irreducible_parts(rank - 1).items():
        for coupled in range(abs(degree - 1), degree + 2):
            symbol = o3.wigner_3j(degree, 1, coupled, dtype=torch.float64)
            columns = torch.einsum("tmp,mvk->tvkp", basis, symbol * sqrt(2 * coupled + 1))
            parts.setdefault(coupled, []).append(columns.flatten(0, 1))
    return {degree: torch.cat(columns, dim=-1) for degree, columns in parts.items()}
