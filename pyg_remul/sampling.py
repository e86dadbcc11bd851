"""Drawing elements of isometry groups from uniform numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

import torch
from torch import Tensor

from pyg_remul.checks import check_integers
from pyg_remul.element import GroupElement

__all__ = ["ContinuousGroup", "Degrees", "Group", "check_degrees", "check_group"]

Degrees: TypeAlias = float | tuple[float, float]
"""The largest magnitude of an angle, or its range."""


class Group(ABC):
    r"""A group of isometries :math:`x \mapsto R x + t` with a way to draw from it.

    Every element is a pure function of one row of uniform numbers, and one call of
    :func:`torch.rand` in float64 draws all rows. Hence each draw honours the generator, float32 and
    float64 elements agree to rounding, and the first elements of a larger draw are those of a
    smaller one.
    """

    dim: int
    reflects: bool = False
    translates: bool = False

    @property
    @abstractmethod
    def _num_uniforms(self) -> int:
        """Uniform numbers that an element takes."""

    @abstractmethod
    def _from_uniforms(self, uniforms: Tensor) -> GroupElement:
        """Maps uniform numbers ``[num, k]`` to elements."""

    @abstractmethod
    def _options(self) -> dict[str, object]:
        """What the constructor was given, without defaults."""

    def sample(
        self,
        num: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> GroupElement:
        """Draws independent elements.

        Args:
            num: How many, at least 0.
            generator: Draws on the generator's own device; torch's global one by default.
            dtype: Of the result; torch's default dtype by default.
            device: Of the result; the generator's, or torch's default device, by default.

        Returns:
            Elements with ``matrix`` of shape ``[num, d, d]``, whatever ``num`` is, and, where the
            group translates, ``translation`` of shape ``[num, d]``.

        Raises:
            ValueError: If ``num`` is negative.

        Example:
            >>> from pyg_remul import SO3
            >>> SO3().sample(1, generator=torch.Generator().manual_seed(0)).matrix.shape
            torch.Size([1, 3, 3])
        """
        check_integers("not negative", num=num)
        source = device if generator is None else generator.device
        columns = self._num_uniforms
        uniforms = torch.rand(num, columns, generator=generator, dtype=torch.float64, device=source)
        element = self._from_uniforms(uniforms)
        return element.to(dtype=dtype or torch.get_default_dtype(), device=device)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options().items())
        return f"{type(self).__name__}({options})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))


class ContinuousGroup(Group):
    """A group whose rotations are functions of angles."""

    translation: float = 0.0

    @property
    @abstractmethod
    def _num_angles(self) -> int:
        """Uniform numbers that a rotation takes."""

    @abstractmethod
    def _rotation(self, uniforms: Tensor) -> Tensor:
        """Maps uniform numbers ``[num, k]`` to rotations ``[num, d, d]``."""

    @property
    def _num_uniforms(self) -> int:
        return self._num_angles + self.reflects + self.dim * self.translates

    def _from_uniforms(self, uniforms: Tensor) -> GroupElement:
        angles, rest = uniforms.tensor_split([self._num_angles], dim=-1)
        matrix = self._rotation(angles)
        if self.reflects:
            matrix = matrix * _reflection(rest[:, 0], self.dim)
        if not self.translates:
            return GroupElement(matrix)
        # The inverse distribution function keeps the one call of `rand`, which `randn` would not.
        normal = torch.special.ndtri(rest[:, -self.dim :].clamp(min=2.0**-54))
        return GroupElement(matrix, self.translation * normal)

    def _options(self) -> dict[str, object]:
        return {"translation": self.translation} if self.translates else {}


def _reflection(uniform: Tensor, dim: int) -> Tensor:
    """Fair signs as factors of ``[num, d, d]``: inversions of space, mirrors of the plane."""
    sign = torch.where(uniform < 0.5, 1.0, -1.0).to(uniform.dtype)
    if dim == 3:
        return sign[:, None, None]
    return torch.stack([torch.ones_like(sign), sign], dim=-1)[:, None, :]


def check_group(group: object) -> None:
    """Refuses what is no group, such as the class in place of its instance."""
    if not isinstance(group, Group):
        raise TypeError(f"`group` must be a group such as SO3(), got {group!r}.")


def check_degrees(degrees: Degrees | None) -> tuple[float, float] | None:
    """Reads a range of angles, refusing what is none."""
    if degrees is None:
        return None
    bounds = (0.0, degrees) if isinstance(degrees, (int, float)) else tuple(degrees)
    if len(bounds) != 2 or not 0 <= bounds[0] <= bounds[1] <= 180:
        raise ValueError(
            "`degrees` must be a magnitude in [0, 180] or an ascending pair of them, got "
            f"{degrees!r}."
        )
    return float(bounds[0]), float(bounds[1])
