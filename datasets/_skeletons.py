"""Skeletons and their motions, as ASF and AMC files describe them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import Tensor

__all__ = ["Angle", "Bone", "Motion", "Skeleton"]

Angle: TypeAlias = Literal["deg", "rad"]


@dataclass(frozen=True)
class Bone:
    """A bone in the rest pose, or the root, which has no length.

    Attributes:
        name: Its name.
        parent: The index of the bone at whose far end it begins, -1 for the root.
        direction: Unit vector from its beginning to its far end in the rest pose, in the frame of
            the world; zero for the root.
        length: Its length in ASF units; 0 for the root.
        axis: Angles about x, y and z, in radians, of the frame in which it turns.
        axis_order: The order in which these are applied, a permutation of ``"XYZ"``.
        dof: The channels of a motion, in order: ``"RX"``, ``"RY"``, ``"RZ"`` are rotations, applied
            in this order, and the root's ``"TX"``, ``"TY"``, ``"TZ"`` translations.
    """

    name: str
    parent: int
    direction: tuple[float, float, float]
    length: float
    axis: tuple[float, float, float]
    axis_order: str
    dof: tuple[str, ...]


@dataclass(frozen=True)
class Skeleton:
    """A tree of bones, each after its parent.

    Joint ``j`` is the far end of bone ``j``; the root, bone and joint 0, is a point.

    Attributes:
        name: Its name.
        bones: The root and the bones, in depth-first order.
        angle: Unit of angles in the skeleton's files; those of :class:`Bone` are radians.
        length: The file's unit of length: an ASF unit is ``1 / length`` inches.
    """

    name: str
    bones: tuple[Bone, ...]
    angle: Angle
    length: float

    @property
    def joints(self) -> tuple[str, ...]:
        """The names of the joints, those of the bones."""
        return tuple(bone.name for bone in self.bones)

    @property
    def parents(self) -> tuple[int, ...]:
        """The parent of each joint, -1 for the root."""
        return tuple(bone.parent for bone in self.bones)

    @property
    def lengths(self) -> Tensor:
        """The distance of each joint to its parent in ASF units, shape ``[joints]``."""
        return torch.tensor([bone.length for bone in self.bones], dtype=torch.float64)

    @property
    def directions(self) -> Tensor:
        """The unit vector from each joint's parent to it in the rest pose, ``[joints, 3]``."""
        return torch.tensor([bone.direction for bone in self.bones], dtype=torch.float64)

    @property
    def edge_index(self) -> Tensor:
        """The bones as edges from parent to child, shape ``[2, joints - 1]``."""
        return torch.tensor([self.parents[1:], range(1, len(self.bones))])

    @property
    def metres(self) -> float:
        """The length of an ASF unit in metres, 0.056444 for the recordings of CMU."""
        return 0.0254 / self.length

    @cached_property
    def channels(self) -> dict[str, slice]:
        """The columns of a motion that belong to each bone that moves."""
        channels, start = {}, 0
        for bone in self.bones:
            if bone.dof:
                channels[bone.name] = slice(start, start + len(bone.dof))
                start += len(bone.dof)
        return channels

    @property
    def num_channels(self) -> int:
        """The columns of a motion."""
        return sum(len(bone.dof) for bone in self.bones)


@dataclass(frozen=True)
class Motion:
    """What a skeleton does.

    Attributes:
        values: The channels of each frame, shape ``[frames, channels]`` in float64, in the order of
            :attr:`Skeleton.channels`: translations in ASF units, angles in radians.
        first_frame: The number of the first frame; the others follow one by one.
    """

    values: Tensor
    first_frame: int
