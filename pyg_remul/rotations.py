"""Rotation matrices from uniform numbers and from angles."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyg_remul.transfer import send

__all__ = ["axis_angle_rotation", "haar_rotation", "planar_rotation", "signed_angle", "unit_axis"]


# The matrix of a unit quaternion (x, y, z, w), row by row: each entry is the sum of two products
# of the quaternion's entries, such as 2xy - 2zw in the first row's middle, beside the identity.
_FIRST = "-yy +xy +xz +xy -xx +yz +xz +yz -xx"
_SECOND = "-zz -zw +yw +zw -zz -xw -yw +xw -yy"


def _quaternion_products() -> Tensor:
    """The ``[16, 9]`` matrix from the products of a quaternion's entries to the rotation's."""
    matrix = torch.zeros(4, 4, 9, dtype=torch.float64)
    for terms in (_FIRST, _SECOND):
        for entry, term in enumerate(terms.split()):
            left, right = map("xyzw".index, term[1:])
            matrix[left, right, entry] = float(term[0] + "2")
    return matrix.flatten(0, 1)


_PRODUCTS, _IDENTITY = _quaternion_products(), torch.eye(3, dtype=torch.float64)


def haar_rotation(uniforms: Tensor) -> Tensor:
    """Maps three uniform numbers to a rotation that is uniform on SO(3).

    By the uniform quaternion of Shoemake ("Uniform random rotations", Graphics Gems III, 1992).

    Args:
        uniforms: Numbers in [0, 1), shape ``[num, 3]``.

    Returns:
        Rotations, shape ``[num, 3, 3]``.
    """
    angles = 2 * math.pi * uniforms[:, 1:]
    radii = torch.stack([1 - uniforms[:, 0], uniforms[:, 0]], dim=-1).sqrt()
    quaternion = torch.cat([radii * angles.sin(), radii * angles.cos()], dim=-1)
    products = (quaternion[:, :, None] * quaternion[:, None, :]).flatten(1)
    # Two terms with factors of 2 add up exactly alike in any order, however the product is blocked.
    table, identity = (
        send(exact, products.device, products.dtype) for exact in (_PRODUCTS, _IDENTITY)
    )
    return (products @ table).unflatten(-1, (3, 3)) + identity


def unit_axis(uniforms: Tensor) -> Tensor:
    """Maps two uniform numbers to a direction that is uniform on the sphere.

    Args:
        uniforms: Numbers in [0, 1), shape ``[num, 2]``.

    Returns:
        Unit vectors, shape ``[num, 3]``.
    """
    height = 2 * uniforms[:, 0] - 1
    radius = (1 - height * height).clamp(min=0).sqrt()
    sine, cosine = _circle(uniforms[:, 1])
    return torch.stack([radius * cosine, radius * sine, height], dim=-1)


def axis_angle_rotation(axis: Tensor, angle: Tensor) -> Tensor:
    r"""Rotates about an axis, by Rodrigues' formula :math:`I + \sin\theta K + (1-\cos\theta) K^2`.

    Args:
        axis: Unit vectors, shape ``[num, 3]``; :math:`K v` is their cross product with :math:`v`.
        angle: Right-handed angles :math:`\theta` in radians, shape ``[num]``.

    Returns:
        Rotations, shape ``[num, 3, 3]``.
    """
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    sine, versine = angle.sin()[:, None, None], 2 * (angle / 2).sin().square()[:, None, None]
    identity = torch.eye(3, dtype=cross.dtype, device=cross.device)
    return identity + sine * cross + versine * (cross @ cross)


def planar_rotation(angle: Tensor) -> Tensor:
    """Rotates the plane counter-clockwise.

    Args:
        angle: Angles in radians, shape ``[num]``.

    Returns:
        Rotations, shape ``[num, 2, 2]``.
    """
    sine, cosine = angle.sin(), angle.cos()
    return torch.stack([cosine, -sine, sine, cosine], dim=-1).unflatten(-1, (2, 2))


def signed_angle(uniform: Tensor, degrees: tuple[float, float]) -> Tensor:
    r"""Maps a uniform number to an angle in :math:`[-b, -a] \cup [a, b]`, uniformly.

    Args:
        uniform: Numbers in [0, 1), any shape.
        degrees: The range ``(a, b)`` of the magnitude.

    Returns:
        Angles in radians.
    """
    low, high = (math.radians(value) for value in degrees)
    signed = 2 * uniform - 1
    return (low + signed.abs() * (high - low)).copysign(signed)


def _circle(uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Sine and cosine of a uniform angle."""
    angle = 2 * math.pi * uniform
    return angle.sin(), angle.cos()
