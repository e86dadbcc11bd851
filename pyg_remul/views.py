"""Parallel projections of space onto a plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pyg_remul.checks import check_choice, check_numbers

__all__ = ["View"]

# For each upward axis, the horizontal axes that point to the right and away from the viewer.
_HORIZONTAL: Final = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}


@dataclass(frozen=True)
class View:
    """Where a parallel projection looks from.

    With ``up="y"``, z points to the right and the viewer looks along x; with ``"z"``, x to the
    right and along y; with ``"x"``, y to the right and along z.

    Args:
        up: The axis that points up.
        azimuth: Degrees by which the viewer walks round the vertical axis, to the left.
        elevation: Degrees by which the viewer looks down from above.
    """

    up: str = "y"
    azimuth: float = 0.0
    elevation: float = 0.0

    def __post_init__(self) -> None:
        check_choice("up", self.up, _HORIZONTAL)
        check_numbers("any", azimuth=self.azimuth, elevation=self.elevation)

    def project(self, pos: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Projects points.

        Args:
            pos: Points, shape ``[..., 3]``.

        Returns:
            Their coordinates to the right and upwards, ``[..., 2]``, and their depth, ``[...]``,
            which grows away from the viewer.

        Example:
            >>> import torch
            >>> View(up="z").project(torch.tensor([[1.0, 2.0, 3.0]]))
            (array([[1., 3.]]), array([2.]))
        """
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        right, away, up = np.eye(3)[[*_HORIZONTAL[self.up], "xyz".index(self.up)]]
        right, away = (
            np.cos(azimuth) * right + np.sin(azimuth) * away,
            np.cos(azimuth) * away - np.sin(azimuth) * right,
        )
        up, away = (
            np.cos(elevation) * up + np.sin(elevation) * away,
            np.cos(elevation) * away - np.sin(elevation) * up,
        )
        points = pos.detach().cpu().double().numpy()
        return points @ np.stack([right, up], axis=1), points @ away
