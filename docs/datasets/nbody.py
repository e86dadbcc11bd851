"""Draws the picture of the N-body page: `python docs/datasets/nbody.py`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch_geometric.data import Data

from pyg_remul.datasets import NBody
from pyg_remul.datasets.nbody_simulator import Systems, trajectories
from pyg_remul.figures import save_figure

PICTURE = Path(__file__).with_suffix(".png")
# Okabe and Ito's palette, told apart by colour-blind readers and in print.
STAR, PLANETS, PALE = "#E69F00", ("#0072B2", "#D55E00", "#009E73"), "#b0b0b0"


def main(path: Path = PICTURE) -> None:
    """Draws systems in their plane, and one of them turned as in the test out of distribution."""
    with TemporaryDirectory() as root:
        flat = NBody(root, "ood", num_samples=4, degrees=0, progress=False)
        turned = NBody(root, "ood", num_samples=4, progress=False)
    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    FigureCanvasAgg(figure)
    ticks = (-1, -0.5, 0, 0.5, 1)
    for position, index, title in ((1, 3, "a system in its plane"), (2, 2, "another one")):
        axes = figure.add_subplot(1, 3, position)
        _draw_system(axes, flat[index])
        axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal", xlabel="x", ylabel="y")
        axes.set(xticks=ticks, yticks=ticks, title=title)
        axes.grid(color="#e8e8e8", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"grid.color": "#dddddd"}):
        space = figure.add_subplot(1, 3, 3, projection="3d")
    _draw_system(space, flat[2], color=PALE)
    _draw_system(space, turned[2])
    limits = (-0.75, 0.75)
    space.set(xlim=limits, ylim=limits, zlim=limits, xticklabels=[], yticklabels=[])
    space.set(xlabel="x", ylabel="y", zlabel="z", zticklabels=[])
    for axis in (space.xaxis, space.yaxis, space.zaxis):
        axis.labelpad = -12
    space.set_box_aspect((1, 1, 1), zoom=1.15)
    space.view_init(elev=22, azim=-60)
    space.set_title("the same, and turned as in ood")
    line, marker = {"color": "black"}, {"color": "black", "linestyle": "none"}
    handles = [
        Line2D([], [], marker="*", markersize=11, color=STAR, linestyle="none", label="star"),
        Line2D([], [], marker="o", markerfacecolor="white", label="planet at t = 0: pos", **marker),
        Line2D([], [], marker="o", label="at t = 0.1: y", **marker),
        Line2D([], [], linewidth=0.8, alpha=0.6, label="on to t = 1", **line),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    save_figure(figure, path)


def _draw_system(axes: Any, graph: Data, *, color: str | None = None) -> None:
    """The way from input to target, bold, and on to ten times the time, thin."""
    dims = 3 if axes.name == "3d" else 2
    orbit, way = (_positions(graph, num_steps)[..., :dims] for num_steps in (1000, 100))
    colors = iter(PLANETS)
    for body, mass in enumerate(graph.mass[:, 0].tolist()):
        if mass >= 1:
            axes.plot(*way[:1, body].T, marker="*", markersize=14, color=color or STAR)
            continue
        style = {"color": color or next(colors), "markersize": 5 + 30 * mass, "zorder": 3}
        axes.plot(*orbit[:, body].T, color=style["color"], linewidth=0.8, alpha=0.6)
        axes.plot(*way[:, body].T, color=style["color"], linewidth=2.4)
        axes.plot(*way[:1, body].T, marker="o", markerfacecolor="white", **style)
        axes.plot(*way[-1:, body].T, marker="o", **style)


def _positions(graph: Data, num_steps: int) -> NDArray[np.float64]:
    """Frames ``[T, n, 3]``, from a graph's own positions and velocities."""
    start = Systems(*(graph[key].double()[None] for key in ("mass", "pos", "vel")))
    return trajectories(start, num_steps, 0.001, num_frames=101).pos[0].numpy()


if __name__ == "__main__":
    main()
