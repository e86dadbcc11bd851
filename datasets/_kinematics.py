"""Positions of joints from the angles between bones."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from pyg_remul.checks import check_choice
from pyg_remul.datasets._skeletons import Motion, Skeleton
from pyg_remul.rotations import axis_angle_rotation

__all__ = ["forward_kinematics"]

# Frames at a time, which bounds the memory of intermediate matrices and keeps them in the cache.
CHUNK = 512

_AXES: Final = torch.eye(3, dtype=torch.float64)


def forward_kinematics(skeleton: Skeleton, motion: Motion, *, units: str = "asf") -> Tensor:
    r"""Computes where the joints are, for all frames at once.

    With :math:`R(\theta)` the product of a bone's elementary rotations, the first in order applied
    first, and :math:`C_j` that of its axis, a joint :math:`j` with parent :math:`k` is at

    .. math::
        M_j = M_k C_j R(\theta_j) C_j^{-1}, \qquad p_j = p_k + \ell_j M_j d_j,

    where :math:`\ell_j` and :math:`d_j` are the bone's length and direction; the root is at
    :math:`p_0 = t` with :math:`M_0 = R(\theta_0)`.

    Args:
        skeleton: The bones.
        motion: Channels of ``F`` frames, which may carry gradients.
        units: ``"asf"`` for the units of the file, or ``"m"`` for metres.

    Returns:
        Positions, shape ``[F, joints, 3]`` in float64, in the order of ``skeleton.joints``.

    Raises:
        ValueError: If ``units`` is unknown or ``motion`` has the channels of another skeleton.

    Example:
        >>> from pyg_remul.datasets.asf_amc import Bone, Motion, Skeleton
        >>> root = Bone("root", -1, (0, 0, 0), 0, (0, 0, 0), "XYZ", ("TX", "TY", "TZ"))
        >>> arm = Bone("arm", 0, (1, 0, 0), 2, (0, 0, 0), "XYZ", ("RZ",))
        >>> skeleton = Skeleton("one arm", (root, arm), "deg", 0.45)
        >>> motion = Motion(torch.tensor([[1, 0, 5, 0], [1, 0, 5, torch.pi / 2]]).double(), 1)
        >>> forward_kinematics(skeleton, motion)[:, 1].round(decimals=3)
        tensor([[3., 0., 5.],
                [1., 2., 5.]], dtype=torch.float64)
    """
    check_choice("units", units, ("asf", "m"))
    if motion.values.dim() != 2 or motion.values.size(1) != skeleton.num_channels:
        raise ValueError(
            f"`motion` must have values of shape [frames, {skeleton.num_channels}], got "
            f"{list(motion.values.shape)}."
        )
    positions = [_positions(skeleton, values) for values in motion.values.split(CHUNK)]
    return torch.cat(positions) * (skeleton.metres if units == "m" else 1.0)


def _positions(skeleton: Skeleton, values: Tensor) -> Tensor:
    """Follows the tree from the root."""
    turns = _turns(skeleton, values)
    offsets = skeleton.lengths[:, None] * skeleton.directions
    rotations: list[Tensor] = []
    positions: list[Tensor] = []
    start = 0
    for bone, offset in zip(skeleton.bones, offsets, strict=True):
        is_root = bone.parent < 0
        rotation = _AXES.expand(len(values), 3, 3) if is_root else rotations[bone.parent]
        # What is applied first stands last in the product.
        for place in reversed(range(len(bone.dof))):
            if bone.dof[place][0] == "R":
                rotation = rotation @ turns[start + place]
        start += len(bone.dof)
        rotations.append(rotation)
        position = _translation(skeleton, values) if is_root else positions[bone.parent]
        positions.append(position + rotation @ offset)
    return torch.stack(positions, dim=1)


def _translation(skeleton: Skeleton, values: Tensor) -> Tensor:
    """The root's position, shape ``[F, 3]``."""
    dof = skeleton.bones[0].dof
    columns = [
        values[:, dof.index(token)] if token in dof else torch.zeros_like(values[:, 0])
        for token in ("TX", "TY", "TZ")
    ]
    return torch.stack(columns, dim=1)


def _turns(skeleton: Skeleton, values: Tensor) -> Tensor:
    r"""The rotation of each channel, shape ``[channels, F, 3, 3]``; a translation's is of no use.

    :math:`C R(\theta) C^{-1}` turns about the fixed axis :math:`C e`, and a rotation about a fixed
    axis is linear in 1, the sine and the cosine of its angle.
    """
    axes = _turning_axes(skeleton)
    none, quarter, half = (
        axis_angle_rotation(axes, torch.full((len(axes),), angle, dtype=torch.float64))
        for angle in (0.0, math.pi / 2, math.pi)
    )
    middle, cosine = (none + half) / 2, (none - half) / 2
    basis = torch.stack([middle, quarter - middle, cosine], dim=1).flatten(2)
    angles = values.T.double()
    parts = torch.stack([torch.ones_like(angles), angles.sin(), angles.cos()], dim=-1)
    return (parts @ basis).unflatten(-1, (3, 3))


def _turning_axes(skeleton: Skeleton) -> Tensor:
    """The axis about which each channel turns in the rest pose, shape ``[channels, 3]``."""
    order = torch.tensor([["XYZ".index(a) for a in bone.axis_order] for bone in skeleton.bones])
    angles = torch.tensor([bone.axis for bone in skeleton.bones], dtype=torch.float64)
    turns = axis_angle_rotation(_AXES[order].flatten(0, 1), angles.gather(1, order).flatten())
    first, second, third = turns.unflatten(0, (-1, 3)).unbind(1)
    frames = third @ second @ first
    channels = [
        (joint, "XYZ".index(token[1]))
        for joint, bone in enumerate(skeleton.bones)
        for token in bone.dof
    ]
    return torch.stack([frames[joint, :, axis] for joint, axis in channels])
