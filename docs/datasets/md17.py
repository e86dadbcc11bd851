"""Draws the picture of the MD17 page: `python docs/datasets/md17.py FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch_geometric.data import Data

from pyg_remul.datasets import MD17Trajectory
from pyg_remul.drawing import draw_graph
from pyg_remul.figures import BLUE, GREEN, GREY, ORANGE, PINK, save_figure
from pyg_remul.molecular_drawing import FACE, draw_atoms, face_on

MOLECULES = {"malonaldehyde": PINK, "toluene": GREEN, "ethanol": ORANGE, "uracil": BLUE}


def md17(data: Path) -> Figure:
    """A molecule as a graph; an input and its target; how far molecules get."""
    uracil = MD17Trajectory(data / "md17", "uracil", "test", source="xtb")
    moved = MD17Trajectory(data / "md17", "malonaldehyde", "test", source="xtb", heavy=False)
    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
    draw_hops(left, uracil[0])
    draw_sample(middle, moved[1])
    draw_persistence(right, data / "md17" / "raw")
    return figure


def draw_hops(axes: Axes, graph: Data) -> None:
    """The edges of a graph, seen from where it looks largest."""
    pos, hops = graph.pos @ face_on(graph.pos).mT, graph.edge_attr[:, 2]
    for hop, style in (
        (1, {"color": "black", "linewidth": 3}),
        (2, {"color": GREEN, "linewidth": 1, "linestyle": (0, (4, 2))}),
    ):
        edges = graph.edge_index[:, (hops == hop) & (graph.edge_index[0] < graph.edge_index[1])]
        name = f"{2 * edges.size(1)} edges of {'two hops' if hop == 2 else 'one hop'}"
        draw_graph(axes, pos, edges, view=FACE, node_sizes=0, label=name, **style)
    draw_atoms(axes, pos, graph.z, size=15)
    finish(axes, "uracil, a graph")


def draw_sample(axes: Axes, graph: Data) -> None:
    """Input and target positions of all atoms."""
    turn = face_on(graph.pos)
    bonds = graph.edge_index[:, graph.edge_attr[:, 2] == 1]
    pos, y = graph.pos @ turn.mT, graph.y @ turn.mT
    atoms = torch.arange(len(pos))
    ways = torch.stack([atoms, atoms + len(pos)])
    dots = {"color": PINK, "linewidth": 1, "linestyle": ":"}
    draw_graph(axes, torch.cat([pos, y]), ways, view=FACE, node_sizes=0, **dots)
    for places, name, color, width, size, alpha in (
        (pos, "input", "#bbbbbb", 3, 10.5, 0.35),
        (y, "target, 3000 frames later", "black", 2, 10.5, 1.0),
    ):
        style = {"color": color, "linewidth": width, "label": name}
        draw_graph(axes, places, bonds, view=FACE, node_sizes=0, **style)
        draw_atoms(axes, places, graph.z, size=size, letters=alpha == 1, alpha=alpha)
    finish(axes, "malonaldehyde, a sample")


def draw_persistence(axes: Axes, folder: Path) -> None:
    """The error of staying where one is, against the time that passes."""
    deltas = np.unique(np.geomspace(10, 10_000, 40).astype(int))
    for molecule, color in MOLECULES.items():
        with np.load(folder / f"{molecule}_xtb.npz") as file:
            x = file["R"][:, file["z"] > 1].astype(float)
        errors = [100 * np.square(x[d::7] - x[:-d:7]).mean() for d in deltas]
        axes.plot(deltas, errors, color=color, label=molecule)
    for delta in (3000, 5000):
        axes.axvline(delta, color=GREY, linewidth=0.8, linestyle="--")
        axes.text(0.97 * delta, 0.05, str(delta), rotation=90, ha="right", color=GREY, fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="Δ in frames of 0.5 fs, here of GFN2-xTB")
    axes.set_ylabel("MSE of persistence in 10⁻² Å²")
    axes.grid(color="#e8e8e8", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("how far atoms get")
    axes.legend(loc="upper left", frameon=False, fontsize=9)


def finish(axes: Axes, title: str) -> None:
    """Title and legend, without axes."""
    axes.set_title(title)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.06), frameon=False, fontsize=9)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.12)
    axes.set_axis_off()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the datasets")
    figure = md17(parser.parse_args().data)
    save_figure(figure, Path(__file__).with_suffix(".png"))
