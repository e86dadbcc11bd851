"""How far a surface on a grid is from convex."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_remul.checks import check_numbers

__all__ = ["local_minima", "nonconvex_points", "nonconvex_share"]

_ROUNDING = 64 * torch.finfo(torch.float64).eps


def nonconvex_points(surface: Tensor) -> Tensor:
    r"""Where a surface is seen not to be convex.

    .. math::
        f(p + d) + f(p - d) < 2 f(p)

    beyond rounding, in one of the four directions :math:`d` from a point :math:`p` of the grid to
    its neighbours. No convex surface has such a point. A saddle that falls only between the
    directions has none either: what is found is a lower bound.

    Args:
        surface: Values on a square grid, shape ``[n, n]``, such as a
            :func:`~pyg_remul.loss_surface.loss_surface`.

    Returns:
        Shape ``[n - 2, n - 2]``, boolean, for the points that are not on the border.

    Raises:
        ValueError: If the grid is not square, or has less than 3 points to a side.

    Example:
        >>> x = torch.linspace(-1, 1, 5, dtype=torch.float64)
        >>> nonconvex_points(x[:, None].expand(-1, 5) ** 3).any(dim=1)
        tensor([ True, False, False])
    """
    patches = _neighbourhoods(_checked(surface))
    # Opposite neighbours stand at places of the same sum.
    differences = patches[..., :4] + patches[..., 5:].flip(-1) - 2 * patches[..., 4:5]
    return differences.amin(dim=-1) < -_ROUNDING * patches.abs().amax(dim=-1)


def nonconvex_share(surface: Tensor, radius: float = 1.0) -> float:
    """The share of a surface, within a distance from its middle, that is not convex.

    Args:
        surface: Values on a square grid, shape ``[n, n]``.
        radius: The distance, relative to the largest coordinate along an axis; points of the border
            and beside a value that is not finite do not count.

    Returns:
        In ``[0, 1]``; 0 for a convex surface, NaN if no point counts.

    Raises:
        ValueError: As :func:`nonconvex_points`, or if the radius is not positive.

    Example:
        >>> x = torch.linspace(-1, 1, 21, dtype=torch.float64)
        >>> nonconvex_share(torch.hypot(x[:, None], x))
        0.0
        >>> nonconvex_share(-torch.hypot(x[:, None], x))
        1.0
    """
    check_numbers(radius=radius)
    axis = torch.linspace(-1, 1, len(surface), dtype=torch.float64)[1:-1]
    counted = torch.hypot(axis[:, None], axis) <= radius * (1 + _ROUNDING)
    counted &= _neighbourhoods(_checked(surface)).isfinite().all(dim=-1)
    return nonconvex_points(surface)[counted].double().mean().item()


def local_minima(surface: Tensor) -> int:
    """The number of points below all eight neighbours; a convex surface has at most one.

    Args:
        surface: Values on a square grid, shape ``[n, n]``.

    Raises:
        ValueError: As :func:`nonconvex_points`.

    Example:
        >>> x = torch.linspace(-1, 1, 9, dtype=torch.float64)
        >>> local_minima((x[:, None] ** 2 - 0.25) ** 2 + x**2)
        2
    """
    patches = _neighbourhoods(_checked(surface))
    neighbours = torch.cat([patches[..., :4], patches[..., 5:]], dim=-1)
    return int((patches[..., 4:5] < neighbours).all(dim=-1).sum())


def _neighbourhoods(f: Tensor) -> Tensor:
    """The 3 x 3 values around each inner point, row by row, shape ``[n - 2, n - 2, 9]``."""
    return f.unfold(0, 3, 1).unfold(1, 3, 1).flatten(-2)


def _checked(surface: Tensor) -> Tensor:
    if surface.dim() != 2 or surface.size(0) != surface.size(1) or len(surface) < 3:
        raise ValueError(
            "`surface` must be a square grid of at least 3 x 3 points, got shape "
            f"{list(surface.shape)}."
        )
    return surface.double()
