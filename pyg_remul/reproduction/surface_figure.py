"""Figures of loss surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from pyg_remul.figures import paper_style, save_figures
from pyg_remul.loss_surface import grid_axis
from pyg_remul.surface_shape import nonconvex_points

__all__ = ["Surfaces", "plot_contours", "plot_reliefs"]

Surfaces: TypeAlias = Mapping[str, Sequence[Tensor]]
"""For each model its surfaces, square grids ``[n, n]``, one for each pair of directions."""

_COLOURS = "viridis"  # the lighter the higher, in print and to colour-blind readers too
_QUANTILE = 0.98  # of all losses, above which they have one colour: poles would take the scale
_LEVELS = 6  # in a factor of ten
_STYLE = {"hatch.linewidth": 0.5}
_WIDTH = 7.0  # inches, of two columns of text


def plot_contours(surfaces: Surfaces, stem: Path, extent: float = 1.0) -> list[Path]:
    """Draws lines of equal loss, a row for each model and a column for each pair of directions.

    All panels share logarithmic levels and colours. As a logarithm is no judge of convexity, the
    points where the loss itself is not convex are hatched.

    Args:
        surfaces: The surfaces.
        stem: Where to save the figure, without an ending.
        extent: Largest coordinate along each direction.

    Returns:
        The figure as PNG and as SVG.
    """
    bounds, axis = _shared_bounds(surfaces), grid_axis(_num_points(surfaces), extent)
    with paper_style(), mpl.rc_context(_STYLE):
        figure, panels = _lay_out(surfaces, bounds, height=2.1)
        for axes, surface in panels:
            _draw_contours(axes, surface, bounds, axis)
            axes.set(aspect="equal", xlabel="first direction", ylabel="second direction")
            axes.set(xticks=(-extent, 0, extent), yticks=(-extent, 0, extent))
            axes.label_outer()
        hatched = Patch(facecolor="white", edgecolor="black", hatch="/////", label="not convex")
        figure.legend(handles=[hatched], loc="lower left", frameon=False, handleheight=1.2)
        return save_figures(figure, stem)


def plot_reliefs(surfaces: Surfaces, stem: Path, extent: float = 1.0) -> list[Path]:
    """Draws the loss as a landscape, a row for each model and a column for each pair of directions.

    All panels share logarithmic heights and colours.

    Args:
        surfaces: The surfaces.
        stem: Where to save the figure, without an ending.
        extent: Largest coordinate along each direction.

    Returns:
        The figure as PNG and as SVG.
    """
    bounds, axis = _shared_bounds(surfaces), grid_axis(_num_points(surfaces), extent)
    low, high = np.log10(bounds)
    decades = range(int(np.ceil(low)), int(np.floor(high)) + 1)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    with paper_style(), mpl.rc_context(_STYLE):
        figure, panels = _lay_out(surfaces, bounds, height=2.3, projection="3d")
        for axes, surface in panels:
            values = surface.clamp(*bounds).numpy()
            axes.plot_surface(
                x,
                y,
                np.log10(values),
                facecolors=ScalarMappable(LogNorm(*bounds), _COLOURS).to_rgba(values),
                rcount=len(x),
                ccount=len(x),
                linewidth=0,
                antialiased=False,
                rasterized=True,
            )
            axes.set(zlim=(low, high), xticks=(-extent, 0, extent), yticks=(-extent, 0, extent))
            axes.set_zticks(decades, [f"$10^{{{decade}}}$" for decade in decades])
            axes.tick_params(pad=-2)
            axes.view_init(elev=28, azim=-55)
            axes.set_box_aspect((1, 1, 0.75), zoom=1.05)
        return save_figures(figure, stem)


def _draw_contours(axes: Any, surface: Tensor, bounds: tuple[float, float], axis: Tensor) -> None:
    low, high = bounds
    levels = np.geomspace(low, high, int(np.ceil(_LEVELS * np.log10(high / low))) + 1)
    options: dict[str, Any] = {"levels": levels, "norm": LogNorm(low, high)}
    values = surface.clamp(low, high).T
    axes.contourf(axis, axis, values, cmap=_COLOURS, rasterized=True, **options)
    axes.contour(axis, axis, values, colors="black", linewidths=0.3, alpha=0.5, **options)
    inner = axis[1:-1]
    axes.contourf(
        inner,
        inner,
        nonconvex_points(surface).T.double(),
        levels=[0.5, 1.5],
        colors="none",
        hatches=["/////"],
    )
    axes.plot(0, 0, marker="+", color="white", markersize=6)


def _shared_bounds(surfaces: Surfaces) -> tuple[float, float]:
    """The smallest loss above 0, and one that few exceed."""
    values = torch.stack([surface for grids in surfaces.values() for surface in grids])
    shown = values[values.isfinite() & (values > 0)]
    return shown.min().item(), shown.quantile(_QUANTILE).item()


def _num_points(surfaces: Surfaces) -> int:
    return len(next(iter(surfaces.values()))[0])


def _lay_out(
    surfaces: Surfaces, bounds: tuple[float, float], *, height: float, **kind: Any
) -> tuple[Figure, list[tuple[Any, Tensor]]]:
    """A figure with titles and a colour bar, and its empty panels with their surfaces."""
    columns = len(next(iter(surfaces.values())))
    figure = Figure((_WIDTH, 0.6 + height * len(surfaces)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(surfaces), columns, squeeze=False, subplot_kw=kind)
    for row, name in zip(grid, surfaces, strict=True):
        for pair, axes in enumerate(row, start=1):
            axes.set_title(f"{name}, pair {pair}")
    figure.colorbar(
        ScalarMappable(LogNorm(*bounds), _COLOURS),
        ax=grid,
        orientation="horizontal",
        extend="max",
        shrink=0.6,
        aspect=40,
        pad=0.02,
        label="mean squared error of the training set",
    )
    flat = (surface for row in surfaces.values() for surface in row)
    return figure, list(zip(grid.flat, flat, strict=True))
