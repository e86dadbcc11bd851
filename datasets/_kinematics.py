"""Positions of joints from the angles between bones."""

from __future__ import annotations

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
    frames = _rest_frames(skeleton)
    turns = (frames @ _turns(skeleton, values) @ frames.mT).unbind(1)
    offsets = skeleton.lengths[:, None] * skeleton.directions
    rotations, positions = [turns[0]], [_translation(skeleton, values)]
    for turn, offset, parent in zip(turns[1:], offsets[1:], skeleton.parents[1:], strict=True):
        rotations.append(rotations[parent] @ turn)
        positions.append(positions[parent] + rotations[-1] @ offset)
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
    """The rotation of each bone in its own frame, shape ``[F, joints, 3, 3]``."""
    axes = torch.zeros(3, len(skeleton.bones), dtype=torch.long)
    # A further column of zeros serves the rotations that a bone does not have.
    columns = torch.full_like(axes, values.size(1))
    start = 0
    for joint, bone in enumerate(skeleton.bones):
        rotations = [(i, token) for i, token in enumerate(bone.dof) if token[0] == "R"]
        for rank, (place, token) in enumerate(rotations):
            axes[rank, joint], columns[rank, joint] = "XYZ".index(token[1]), start + place
        start += len(bone.dof)
    angles = torch.cat([values, torch.zeros_like(values[:, :1])], dim=1)[:, columns]
    return _compose(axes, angles)


def _rest_frames(skeleton: Skeleton) -> Tensor:
    """The frame in which each bone turns, shape ``[joints, 3, 3]``."""
    axes = torch.tensor([["XYZ".index(a) for a in bone.axis_order] for bone in skeleton.bones]).T
    angles = torch.tensor([bone.axis for bone in skeleton.bones], dtype=torch.float64).T
    return _compose(axes, angles.gather(0, axes)[None])[0]


def _compose(axes: Tensor, angles: Tensor) -> Tensor:
    """Turns about three axes in turn: axes ``[3, J]``, angles ``[F, 3, J]`` to ``[F, J, 3, 3]``."""
    vectors = _AXES[axes].expand(*angles.shape, 3)
    turns = axis_angle_rotation(vectors.flatten(0, -2), angles.flatten())
    first, second, third = turns.unflatten(0, angles.shape).unbind(1)
    return third @ second @ first
