"""Molecules drawn in a plane."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor
from torch.nn.functional import normalize

from pyg_remul.drawing import draw_graph
from pyg_remul.figures import BLUE, GREY, ORANGE
from pyg_remul.views import View

__all__ = ["BROKEN", "ELEMENTS", "FACE", "draw_atoms", "draw_bonds", "face_on"]

ELEMENTS: Final = {1: ("H", "#ececec"), 6: ("C", GREY), 7: ("N", BLUE), 8: ("O", ORANGE)}
"""The letter and the colour of each element, close to the usual ones and told apart by all."""

FACE: Final = View(up="z")
"""The view of what :func:`face_on` turns."""

BROKEN: Final = (0.0, (2.0, 1.2))
"""The style of broken lines."""

_GAP, _CLEAR = 0.16, 0.8  # between two lines, and two atoms, in A
_TILTS = torch.arange(0.0, 45.0, 5.0, dtype=torch.float64)
_TURNS = torch.arange(0.0, 360.0, 15.0, dtype=torch.float64)
_NO_EDGES = torch.empty(2, 0, dtype=torch.long)


def face_on(pos: Tensor) -> Tensor:
    """The rotation of a molecule after which :data:`FACE` sees it where it looks largest.

    The viewer looks along the direction in which the molecule extends least, or up to 40 degrees
    beside it if atoms would hide each other, and the molecule is as low as it can be.

    Args:
        pos: Positions, shape ``[N, 3]``.

    Returns:
        A rotation R, shape ``[3, 3]``, that takes x to the right and y away as ``pos @ R.mT``.

    Example:
        >>> water = torch.tensor([[0.0, 0.8, 0.6], [0, 0, 0], [0, -0.8, 0.6]])
        >>> (water @ face_on(water).mT).abs().double().round(decimals=6).tolist()
        [[0.8, 0.0, 0.6], [0.0, 0.0, 0.0], [0.8, 0.0, 0.6]]
    """
    centred = pos - pos.mean(dim=0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh
    away = _least_hidden(centred, axes)
    across = normalize(axes[0] - (axes[0] @ away) * away, dim=0)
    other = torch.linalg.cross(across, away)
    angle = torch.deg2rad(torch.arange(180, dtype=pos.dtype))[:, None]
    ups = angle.cos() * other + angle.sin() * across
    heights = centred @ ups.T
    up = ups[(heights.amax(dim=0) - heights.amin(dim=0)).argmin()]
    return torch.stack([torch.linalg.cross(away, up), away, up])


def _least_hidden(pos: Tensor, axes: Tensor) -> Tensor:
    """The direction near the last principal axis along which no two atoms come too close."""
    tilt, turn = (torch.deg2rad(x) for x in torch.meshgrid(_TILTS, _TURNS, indexing="ij"))
    plane = torch.stack([turn.cos(), turn.sin()], dim=-1) @ axes[:2].to(turn)
    views = tilt.cos()[..., None] * axes[2].to(tilt) + tilt.sin()[..., None] * plane
    views = views.flatten(0, 1).to(pos.dtype)
    flat = pos - (pos @ views.T).T[..., None] * views[:, None]
    apart = torch.cdist(flat, flat) + _CLEAR * torch.eye(len(pos), dtype=pos.dtype)
    best = (apart.amin(dim=(1, 2)).clamp(max=_CLEAR) - 0.1 * tilt.flatten()).argmax()
    return views[best] * axes[2][axes[2].abs().argmax()].sign()


def draw_atoms(
    axes: Axes, pos: Tensor, z: Tensor, *, size: float, letters: bool = True, alpha: float = 1.0
) -> None:
    """Draws atoms in the colours of their elements, hydrogen smaller.

    Args:
        axes: Where to draw.
        pos: Positions to look at by :data:`FACE`, shape ``[N, 3]``.
        z: Atomic numbers, shape ``[N]``.
        size: The diameter of atoms other than hydrogen, in points.
        letters: Whether to write the elements.
        alpha: Opacity.
    """
    names, colors = zip(*(ELEMENTS[number] for number in z.tolist()), strict=True)
    widths = np.where(z.numpy() > 1, size, 0.8 * size)
    atoms = draw_graph(
        axes, pos, _NO_EDGES, view=FACE, node_colors=colors, node_sizes=list(widths**2)
    )
    atoms.nodes.set(edgecolor="black", linewidth=0.06 * size, alpha=alpha, zorder=3)
    points, depth = FACE.project(pos)
    for point, own, name, width in zip(points, depth, names, widths, strict=True):
        hidden = (np.linalg.norm(points - point, axis=1) < 0.3) & (depth < own)
        if letters and not hidden.any():
            color = "black" if name == "H" else "white"
            style: dict[str, Any] = {
                "ha": "center",
                "va": "center_baseline",
                "fontsize": 0.68 * width,
            }
            axes.text(point[0], point[1], name, color=color, zorder=4, **style)


def draw_bonds(axes: Axes, pos: Tensor, bonds: Tensor, orders: Tensor, **style: Any) -> None:
    """Draws bonds as one, two or three lines, delocalised ones as a full and a broken line.

    The broken line is on the side to which the neighbours lie, within a ring.

    Args:
        axes: Where to draw.
        pos: Positions to look at by :data:`FACE`, shape ``[N, 3]``.
        bonds: Pairs of atoms, each once, shape ``[2, E]``.
        orders: Electron pairs of each bond, shape ``[E]``, not whole where it is delocalised.
        **style: Of the lines, such as ``linewidth`` and ``color``.
    """
    points, _ = FACE.project(pos)
    full, broken = [], []
    for (i, j), order in zip(bonds.T.tolist(), orders.tolist(), strict=True):
        along = (points[j] - points[i]) / np.linalg.norm(points[j] - points[i])
        across = np.array([-along[1], along[0]])
        if order % 1:
            side = np.sign(across @ _towards_neighbours(points, bonds, i, j))
            full.append(points[[i, j]])
            ends = points[[i, j]] + _GAP * np.stack([along, -along])
            broken.append(ends + _GAP * side * across)
        else:
            lines = np.arange(order) - (order - 1) / 2
            full += [points[[i, j]] + _GAP * line * across for line in lines]
    axes.add_collection(LineCollection(full, capstyle="round", zorder=2, **style))
    axes.add_collection(LineCollection(broken, linestyles=[BROKEN], zorder=2, **style))


def _towards_neighbours(points: Any, bonds: Tensor, i: int, j: int) -> Any:
    """The sum of the directions from a bond's middle to the other neighbours of its ends."""
    ends = bonds.T.tolist()
    near = [b if a in (i, j) else a for a, b in ends if (a in (i, j)) != (b in (i, j))]
    return np.sum(points[near] - points[[i, j]].mean(axis=0), axis=0)
