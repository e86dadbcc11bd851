"""Isometry groups of space and of the plane."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import final

import torch
from torch import Tensor

from pyg_remul.checks import check_numbers
from pyg_remul.rotations import (
    axis_angle_rotation,
    haar_rotation,
    planar_rotation,
    signed_angle,
    unit_axis,
)
from pyg_remul.sampling import ContinuousGroup, Degrees, Group, check_degrees
from pyg_remul.transfer import send

__all__ = ["E2", "E3", "O2", "O3", "SE2", "SE3", "SO2", "SO3", "Group"]

_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


class _SpaceGroup(ContinuousGroup):
    """Rotations of space, with options for reflections and translations."""

    dim = 3

    def __init__(self, degrees: Degrees | None = None, *, euler: bool = False) -> None:
        if euler and degrees is None:
            raise ValueError(
                "`euler` needs `degrees`, got degrees=None; use (0, 180) for all angles."
            )
        self.degrees = check_degrees(degrees)
        self.euler = euler

    @property
    def _num_angles(self) -> int:
        return 3

    def _rotation(self, uniforms: Tensor) -> Tensor:
        if self.degrees is None:
            return haar_rotation(uniforms)
        if not self.euler:
            angle = signed_angle(uniforms[:, 2], self.degrees)
            return axis_angle_rotation(unit_axis(uniforms[:, :2]), angle)
        angles = signed_angle(uniforms, self.degrees).unbind(-1)
        axes = torch.eye(3, dtype=uniforms.dtype, device=uniforms.device)
        axes = axes[:, None].expand(3, len(uniforms), 3)
        x, y, z = (
            axis_angle_rotation(axis, angle) for axis, angle in zip(axes, angles, strict=True)
        )
        return z @ y @ x

    def _options(self) -> dict[str, object]:
        options: dict[str, object] = {} if self.degrees is None else {"degrees": self.degrees}
        if self.euler:
            options["euler"] = True
        return options | super()._options()


class _TranslatingSpaceGroup(_SpaceGroup):
    translates = True

    def __init__(
        self, degrees: Degrees | None = None, *, euler: bool = False, translation: float = 1.0
    ) -> None:
        super().__init__(degrees, euler=euler)
        check_numbers("not negative", translation=translation)
        self.translation = float(translation)


class _PlaneGroup(ContinuousGroup):
    """Rotations of the plane, with options for reflections and translations."""

    dim = 2

    def __init__(self, degrees: Degrees | None = None) -> None:
        self.degrees = check_degrees(degrees)

    @property
    def _num_angles(self) -> int:
        return 1

    def _rotation(self, uniforms: Tensor) -> Tensor:
        return planar_rotation(signed_angle(uniforms[:, 0], self.degrees or (0.0, 180.0)))

    def _options(self) -> dict[str, object]:
        options: dict[str, object] = {} if self.degrees is None else {"degrees": self.degrees}
        return options | super()._options()


class _TranslatingPlaneGroup(_PlaneGroup):
    translates = True

    def __init__(self, degrees: Degrees | None = None, *, translation: float = 1.0) -> None:
        super().__init__(degrees)
        check_numbers("not negative", translation=translation)
        self.translation = float(translation)


@final
class SO3(_SpaceGroup):
    r"""Rotations of space.

    Args:
        degrees: ``None`` draws from the Haar measure. A number ``b`` or a pair ``(a, b)`` draws a
            uniform axis and an angle whose magnitude is uniform in :math:`[a, b]`, within [0, 180].
            Note that ``degrees=180`` is *not* the Haar measure, under which large angles are
            likelier.
        euler: Draws three angles about the fixed axes x, y, z (in this order of action), each with
            a uniform sign and a magnitude uniform in ``degrees``, instead of one net angle. The net
            angle then leaves the range.

    Raises:
        ValueError: If ``degrees`` is not such a range, or ``euler`` is set without it.

    Example:
        >>> SO3(degrees=10)
        SO3(degrees=(0.0, 10.0))
        >>> SO3(degrees=(90, 180)).sample(5).matrix.shape
        torch.Size([5, 3, 3])
    """


@final
class O3(_SpaceGroup):
    """Rotations of space, half of them composed with the inversion.

    Args:
        degrees: As for :class:`SO3`.
        euler: As for :class:`SO3`.

    Example:
        >>> element = O3().sample(200, generator=torch.Generator().manual_seed(0))
        >>> sorted(element.parity.unique().tolist())
        [-1.0, 1.0]
    """

    reflects = True


@final
class SE3(_TranslatingSpaceGroup):
    """Rotations and translations of space.

    Args:
        degrees: As for :class:`SO3`.
        euler: As for :class:`SO3`.
        translation: Standard deviation of each component of the normal translation, in the unit of
            the positions.

    Example:
        >>> SE3(translation=20).sample(2).translation.shape
        torch.Size([2, 3])
    """


@final
class E3(_TranslatingSpaceGroup):
    """Rotations, reflections and translations of space.

    Args:
        degrees: As for :class:`SO3`.
        euler: As for :class:`SO3`.
        translation: As for :class:`SE3`.

    Example:
        >>> E3(degrees=10)
        E3(degrees=(0.0, 10.0), translation=1.0)
    """

    reflects = True


@final
class SO2(ContinuousGroup):
    """Rotations of the plane, or of space about a fixed axis.

    Args:
        axis: ``None`` for the plane. ``"x"``, ``"y"``, ``"z"`` or any three numbers for the
            rotations of space about this axis, such as the vertical of data that know up from down.
        degrees: Range of the angle's magnitude, as for :class:`SO3`; all angles by default.

    Raises:
        ValueError: If ``axis`` is no direction or ``degrees`` no range.

    Example:
        >>> SO2().sample(4).matrix.shape, SO2(axis="y").sample(4).matrix.shape
        (torch.Size([4, 2, 2]), torch.Size([4, 3, 3]))
    """

    def __init__(
        self, axis: str | Sequence[float] | None = None, *, degrees: Degrees | None = None
    ) -> None:
        self.degrees = check_degrees(degrees)
        self.axis = axis
        self._direction = None if axis is None else _unit(axis)

    @property
    def dim(self) -> int:  # type: ignore[override]
        """2 for the plane, 3 about an axis of space."""
        return 2 if self._direction is None else 3

    @property
    def _num_angles(self) -> int:
        return 1

    def _rotation(self, uniforms: Tensor) -> Tensor:
        angle = signed_angle(uniforms[:, 0], self.degrees or (0.0, 180.0))
        if self._direction is None:
            return planar_rotation(angle)
        axis = send(torch.tensor(self._direction, dtype=angle.dtype), angle.device)
        return axis_angle_rotation(axis.expand(len(angle), 3), angle)

    def _options(self) -> dict[str, object]:
        options: dict[str, object] = {} if self.axis is None else {"axis": self.axis}
        return options | ({} if self.degrees is None else {"degrees": self.degrees})


def _unit(axis: str | Sequence[float]) -> tuple[float, ...]:
    numbers = _AXES.get(axis, ()) if isinstance(axis, str) else axis
    direction = tuple(map(float, numbers)) if isinstance(numbers, Iterable) else ()
    norm = math.hypot(*direction)
    if len(direction) != 3 or not 0 < norm < math.inf:
        raise ValueError(f"`axis` must be 'x', 'y', 'z' or a direction in space, got {axis!r}.")
    return tuple(value / norm for value in direction)


@final
class O2(_PlaneGroup):
    """Rotations of the plane, half of them composed with a mirror.

    Args:
        degrees: As for :class:`SO2`.
    """

    reflects = True


@final
class SE2(_TranslatingPlaneGroup):
    """Rotations and translations of the plane.

    Args:
        degrees: As for :class:`SO2`.
        translation: As for :class:`SE3`.
    """


@final
class E2(_TranslatingPlaneGroup):
    """Rotations, reflections and translations of the plane.

    Args:
        degrees: As for :class:`SO2`.
        translation: As for :class:`SE3`.
    """

    reflects = True
