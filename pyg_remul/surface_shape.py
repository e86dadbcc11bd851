"""How far a surface on a grid is from convex."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_remul.checks import check_numbers

__all__ = ["local_minima", "nonconvex_points", "nonconvex_share", "principal_curvatures"]

_ROUNDING = 64 * torch.finfo(torch.float64).eps


def principal_curvatures(surface: Tensor, extent: float = 1.0) -> Tensor:
    r"""The eigenvalues of the Hessian of a surface, by central differences.

    .. math::
        \operatorname{eig} \begin{pmatrix} f_{xx} & f_{xy} \\ f_{xy} & f_{yy} \end{pmatrix}

    at each point of the grid that is not on its border. A surface is convex where the smaller one
    is not negative. Li et al. (2018) draw maps of their ratio.

    Args:
        surface: Values on a square grid, shape ``[n, n]``, such as a
            :func:`~pyg_remul.loss_surface.loss_surface`.
        extent: Largest coordinate along each axis, the smallest being its negative.

    Returns:
        Shape ``[n - 2, n - 2, 2]``, float64, in ascending order; NaN where a value is not finite.

    Raises:
        ValueError: If the grid is not square, or has less than 3 points to a side.

    Example:
        >>> x = torch.linspace(-1, 1, 5, dtype=torch.float64)
        >>> principal_curvatures(x[:, None] ** 2 - 3 * x**2)[0, 0].round(decimals=9)
        tensor([-6.,  2.], dtype=torch.float64)
    """
    check_numbers(extent=extent)
    f, step = _checked(surface), 2 * extent / (len(surface) - 1)
    inner = f[1:-1, 1:-1]
    xx = f[2:, 1:-1] - 2 * inner + f[:-2, 1:-1]
    yy = f[1:-1, 2:] - 2 * inner + f[1:-1, :-2]
    xy = (f[2:, 2:] - f[2:, :-2] - f[:-2, 2:] + f[:-2, :-2]) / 4
    mean, radius = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    return torch.stack([mean - radius, mean + radius], dim=-1) / step**2


def nonconvex_points(surface: Tensor) -> Tensor:
    """Where a surface is not convex: the smaller of its curvatures is negative beyond rounding.

    Args:
        surface: Values on a square grid, shape ``[n, n]``.

    Returns:
        Shape ``[n - 2, n - 2]``, boolean, for the points that are not on the border.

    Raises:
        ValueError: As :func:`principal_curvatures`.
    """
    smaller = principal_curvatures(surface)[..., 0]
    largest = _neighbourhoods(_checked(surface).abs()).amax(dim=-1)
    step = 2 / (len(surface) - 1)
    return smaller < -_ROUNDING * largest / step**2


def nonconvex_share(surface: Tensor, radius: float = 1.0) -> float:
    """The share of a surface, within a distance from its middle, that is not convex.

    Args:
        surface: Values on a square grid, shape ``[n, n]``.
        radius: The distance, relative to the largest coordinate along an axis; points of the border
            and of no finite curvature do not count.

    Returns:
        In ``[0, 1]``; 0 for a convex surface, NaN if no point counts.

    Raises:
        ValueError: As :func:`principal_curvatures`, or if the radius is not positive.

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
    counted &= principal_curvatures(surface).isfinite().all(dim=-1)
    return nonconvex_points(surface)[counted].double().mean().item()


def local_minima(surface: Tensor) -> int:
    """The number of points below all eight neighbours; a convex surface has at most one.

    Args:
        surface: Values on a square grid, shape ``[n, n]``.

    Raises:
        ValueError: As :func:`principal_curvatures`.

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
