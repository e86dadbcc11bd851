"""The figures of the molecules of MD17: flat formulas, and balls and sticks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from pyg_remul.datasets._md17_samples import molecular_graph
from pyg_remul.figures import paper_style, save_figures
from pyg_remul.molecular_drawing import BROKEN, ELEMENTS, FACE, draw_atoms, draw_bonds, face_on
from pyg_remul.molecules import MOLECULES, load_molecule
from pyg_remul.reproduction.ball_and_stick import render_balls_and_sticks
from pyg_remul.reproduction.bond_orders import bond_orders
from pyg_remul.views import View

__all__ = ["draw_molecules"]

_WIDTH, _LEGEND = 7.0, 0.3  # of the figure and of the row of its legend, in inches
_COLUMNS = 4
_MARGIN, _TITLE = 0.95, 0.9  # around a molecule and above it, in A
_ATOM = 0.68  # diameter of an atom in the flat drawings, in A
_RADII = {1: 0.27, 6: 0.42, 7: 0.41, 8: 0.40}  # of balls, in A
_ANGLES = (*range(-45, -14, 5), *range(15, 46, 5))  # 15 degrees at least, to look solid
_TILTED = [View("z", azimuth, elevation) for azimuth in _ANGLES for elevation in _ANGLES]
_NAMES = {1: "hydrogen", 6: "carbon", 7: "nitrogen", 8: "oxygen"}
_BELOW: Final[dict[str, Any]] = {"loc": "lower center", "ncols": 4, "frameon": False}


@dataclasses.dataclass(frozen=True)
class _Molecule:
    """A molecule as it is seen by ``FACE``, about the middle of the picture."""

    title: str
    z: Tensor
    bonds: Tensor
    pos: Tensor

    @property
    def half(self) -> tuple[float, float]:
        """Half the width and height of its picture, in A."""
        right, _, up = self.pos.amax(dim=0).tolist()
        return right + _MARGIN, up + _MARGIN

    def seen(self, view: View) -> _Molecule:
        """The same from elsewhere."""
        points, depth = view.project(self.pos)
        x, z = (points - (points.max(axis=0) + points.min(axis=0)) / 2).T
        return dataclasses.replace(self, pos=torch.from_numpy(np.stack([x, depth, z], axis=1)))

    @property
    def clearance(self) -> float:
        """The least distance between two atoms in the picture, in A."""
        return float(torch.pdist(self.pos[:, [0, 2]]).min())


_Draw: TypeAlias = Callable[[Axes, _Molecule, float], None]


def draw_molecules(folder: Path, *, dpi: float = 300.0) -> list[Path]:
    """Draws the eight molecules of MD17 (figure 11), at their minima of GFN2-xTB.

    Bonds are those of the graphs of :class:`~pyg_remul.datasets.MD17Trajectory`, and their orders
    follow from valences. The flat drawings are projections as well, with true lengths and angles as
    far as a molecule is planar. All molecules of a figure have one scale.

    Args:
        folder: Where to save ``molecules-2d`` and ``molecules-3d``, as PNG and as SVG.
        dpi: Pixels per inch of the balls and sticks.

    Returns:
        The four files.
    """
    molecules = [_load(name) for name in MOLECULES]
    tilted = [max(map(m.seen, _TILTED), key=lambda seen: seen.clearance) for m in molecules]
    broken = Line2D([], [], color="black", linewidth=0.8, linestyle=BROKEN)
    balls = [
        Line2D([], [], marker="o", linestyle="", color=color, markeredgecolor="black")
        for _, color in ELEMENTS.values()
    ]
    with paper_style():
        flat = _figure(molecules, _draw_flat)
        flat.legend([broken], ["delocalised electrons"], **_BELOW)
        solid = _figure(tilted, partial(_draw_solid, dpi=dpi))
        solid.legend(balls, [_NAMES[number] for number in ELEMENTS], **_BELOW)
        files = save_figures(flat, folder / "molecules-2d")
        return files + save_figures(solid, folder / "molecules-3d")


def _load(name: str) -> _Molecule:
    atoms = load_molecule(name)
    z, pos = torch.from_numpy(atoms.numbers), torch.from_numpy(atoms.positions)
    graph = molecular_graph(pos, z)
    pairs = graph["edge_index"][:, graph["edge_attr"][:, 2] == 1]
    bonds = pairs[:, pairs[0] < pairs[1]]
    count = atoms.symbols.formula.convert("hill").count().items()
    formula = "".join(f"{e}$_{{{num}}}$" if num > 1 else e for e, num in count)
    title = f"{name} acid, {formula}" if name == "salicylic" else f"{name}, {formula}"
    return _Molecule(title, z, bonds, pos @ face_on(pos).mT).seen(FACE)


def _figure(molecules: Sequence[_Molecule], draw: _Draw) -> Figure:
    """Panels of one scale, as wide and high as their columns and rows need."""
    sizes = 2 * np.array([molecule.half for molecule in molecules]).reshape(-1, _COLUMNS, 2)
    widths, heights = sizes[..., 0].max(axis=0), sizes[..., 1].max(axis=1) + _TITLE
    scale = _WIDTH / widths.sum()  # inches per A
    height = scale * heights.sum() + _LEGEND
    figure = Figure(figsize=(_WIDTH, height))
    FigureCanvasAgg(figure)
    ratios = {"width_ratios": widths, "height_ratios": heights, "wspace": 0, "hspace": 0}
    frame = {"left": 0, "right": 1, "bottom": _LEGEND / height, "top": 1}
    panels = figure.subplots(*sizes.shape[:2], gridspec_kw={**ratios, **frame})
    for place, molecule in enumerate(molecules):
        row, column = divmod(place, _COLUMNS)
        axes = panels[row, column]
        draw(axes, molecule, scale)
        x, y = widths[column] / 2, (heights[row] - _TITLE) / 2
        axes.set(xlim=(-x, x), ylim=(-y, y + _TITLE), aspect="auto")
        axes.text(0, y + _TITLE / 3, molecule.title, ha="center")
        axes.set_axis_off()
    return figure


def _draw_flat(axes: Axes, molecule: _Molecule, scale: float) -> None:
    orders = bond_orders(molecule.z, molecule.bonds)
    draw_bonds(axes, molecule.pos, molecule.bonds, orders, color="black", linewidth=0.8)
    draw_atoms(axes, molecule.pos, molecule.z, size=72 * scale * _ATOM)


def _draw_solid(axes: Axes, molecule: _Molecule, scale: float, *, dpi: float) -> None:
    numbers = molecule.z.tolist()
    x, y = molecule.half
    image = render_balls_and_sticks(
        molecule.pos[:, [0, 2, 1]].numpy(),
        np.array([_RADII[number] for number in numbers]),
        np.array([to_rgb(ELEMENTS[number][1]) for number in numbers]),
        molecule.bonds.T.numpy(),
        size=(2 * x, 2 * y),
        resolution=dpi * scale,
    )
    axes.imshow(image, extent=(-x, x, -y, y), interpolation="none")
