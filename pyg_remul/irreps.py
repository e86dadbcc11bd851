"""Wigner matrices in e3nn's basis, computed from the rotation matrix itself."""

from __future__ import annotations

from functools import lru_cache

import torch
from e3nn import o3
from torch import Tensor

from pyg_remul.checks import check_integers
from pyg_remul.precision import full_precision
from pyg_remul.transfer import send

__all__ = ["irreps_to_tensor", "tensor_to_irreps", "wigner_matrices"]


@lru_cache(maxsize=128)
def _coupling(l1: int, l2: int, l3: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The coupling of two degrees to a third, with columns that are orthonormal."""
    symbol: Tensor = o3.wigner_3j(l1, l2, l3, dtype=dtype, device="cpu")
    return send(symbol * (2 * l3 + 1) ** 0.5, device)


def wigner_matrices(rotation: Tensor, degree: int) -> list[Tensor]:
    r"""Returns the real Wigner matrices :math:`D_0, \dots, D_L` of rotations, by recursion.

    .. math::
        D_l = C_l^\top \, (R \otimes D_{l-1}) \, C_l

    with :math:`R` the rotation and :math:`C_l` the orthonormal coupling of degrees 1 and
    :math:`l-1` to :math:`l`. Neither angles nor the default dtype are involved, so the result is as
    exact as ``rotation`` is (1e-15 in float64), on its device and without synchronisation.

    Args:
        rotation: Proper rotations, shape ``[B, 3, 3]``.
        degree: The highest degree :math:`L \ge 0`.

    Returns:
        :math:`L + 1` tensors of shape ``[B, 2 l + 1, 2 l + 1]``, in the component order of e3nn
        (``x, y, z`` for :math:`l = 1`).

    Example:
        >>> from pyg_remul import SO3
        >>> rotation = SO3().sample(5, dtype=torch.float64).matrix
        >>> [tuple(matrix.shape) for matrix in wigner_matrices(rotation, 2)]
        [(5, 1, 1), (5, 3, 3), (5, 5, 5)]
    """
    check_integers("not negative", degree=degree)
    matrices = [rotation.new_ones(rotation.size(0), 1, 1)]
    with full_precision(rotation.device):
        for level in range(1, degree + 1):
            coupling = _coupling(1, level - 1, level, rotation.dtype, rotation.device)
            lowered = torch.einsum("Bac,cdn->Badn", rotation, coupling)
            lowered = torch.einsum("Bbd,Badn->Babn", matrices[-1], lowered)
            matrices.append(torch.einsum("abm,Babn->Bmn", coupling, lowered))
    return matrices


def tensor_to_irreps(tensor: Tensor) -> Tensor:
    r"""Changes Cartesian tensors to the irreps ``"0e + 1e + 2e"`` of e3nn.

    The map is orthonormal. Its parts are the trace over :math:`\sqrt 3`, the antisymmetric part,
    and the symmetric traceless part in e3nn's order for :math:`l = 2`, which is that of
    :math:`(xz, xy, y^2 - (x^2 + z^2) / 2, yz, (z^2 - x^2) / 2)` up to normalisation.

    Args:
        tensor: Shape ``[..., 3, 3]``.

    Returns:
        Shape ``[..., 9]``. Turning it as ``"0e + 1e + 2e"`` equals turning ``tensor`` as
        ``"tensor"``.

    Example:
        >>> irreps = tensor_to_irreps(torch.eye(3, dtype=torch.float64))
        >>> [round(value, 4) + 0.0 for value in irreps.tolist()[:4]]
        [1.7321, 0.0, 0.0, 0.0]
    """
    if tensor.shape[-2:] != (3, 3):
        raise ValueError(f"`tensor` must have shape [..., 3, 3], got {list(tensor.shape)}.")
    return tensor.flatten(-2) @ _tensor_basis(tensor.dtype, tensor.device)


def irreps_to_tensor(irreps: Tensor) -> Tensor:
    """Changes ``"0e + 1e + 2e"`` back to Cartesian tensors; inverts :func:`tensor_to_irreps`.

    Args:
        irreps: Shape ``[..., 9]``.

    Returns:
        Shape ``[..., 3, 3]``.

    Example:
        >>> tensor = torch.arange(9.0).view(3, 3)
        >>> torch.allclose(irreps_to_tensor(tensor_to_irreps(tensor)), tensor, atol=1e-5)
        True
    """
    if irreps.shape[-1:] != (9,):
        raise ValueError(f"`irreps` must have shape [..., 9], got {list(irreps.shape)}.")
    return (irreps @ _tensor_basis(irreps.dtype, irreps.device).mT).unflatten(-1, (3, 3))


def _tensor_basis(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The orthogonal ``[9, 9]`` matrix whose columns are the irreps of a flattened tensor."""
    return torch.cat(
        [_coupling(1, 1, level, dtype, device).flatten(0, 1) for level in range(3)], dim=-1
    )
