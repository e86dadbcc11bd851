"""Draws the picture of the motion capture page: `python docs/datasets/mocap.py FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch_geometric.data import Data

from pyg_remul.datasets import MoCap
from pyg_remul.datasets.asf_amc import forward_kinematics, read_amc, read_asf
from pyg_remul.drawing import draw_graph
from pyg_remul.figures import BLUE, GREY, ORANGE, save_figure
from pyg_remul.views import View

FRAME_RATE = 120


def mocap(data: Path) -> Figure:
    """A walk as a strip of poses; a frame as a graph; an input and its target."""
    dataset = MoCap(data / "mocap", "walk", "test", source="asf", units="m", center=False)
    skeleton_path, *trial_paths = dataset.raw_paths
    skeleton = read_asf(skeleton_path)
    motion = read_amc(trial_paths[4], skeleton)
    positions = forward_kinematics(skeleton, motion, units="m")

    figure = Figure(figsize=(9.2, 6.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    draw_strip(above.subplots(), positions, skeleton.edge_index)
    left, right = below.subplots(1, 2)
    draw_hops(left, dataset[4])
    draw_sample(right, dataset[4])
    return figure


def draw_strip(axes: Axes, positions: Tensor, edge_index: Tensor, step: int = 72) -> None:
    """Poses where they were struck, seen from the side."""
    for frame in range(0, len(positions), step):
        pose = positions[frame]
        draw_graph(axes, pose, edge_index, node_sizes=5, linewidth=1.6)
        label = f"{frame / FRAME_RATE:.1f} s"
        axes.text(float(pose[0, 2]), 1.85, label, ha="center", color=GREY, fontsize=8)
    axes.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_title("a trial", loc="left")
    axes.set(xlabel="z in m", ylabel="y in m", ylim=(-0.05, 2.0))
    axes.spines[["top", "right"]].set_visible(False)


def draw_hops(axes: Axes, graph: Data) -> None:
    """The edges of a graph."""
    view = View(azimuth=60)
    hops = graph.edge_attr[:, 0]
    for hop, color, linewidth in ((2, ORANGE, 0.7), (1, BLUE, 2.4)):
        edges = graph.edge_index[:, hops == hop]
        name = f"{edges.size(1)} edges of {'two hops' if hop == 2 else 'one hop'}"
        draw_graph(axes, graph.pos, edges, view=view, color=color, linewidth=linewidth, label=name)
    finish(axes, "a graph")


def draw_sample(axes: Axes, graph: Data) -> None:
    """Input positions with their velocities, and the target."""
    view = View(azimuth=25)
    one_hop = graph.edge_index[:, graph.edge_attr[:, 0] == 1]
    arrows = torch.cat([graph.pos, graph.pos + 30 * graph.vel])
    joints = torch.arange(len(graph.pos))
    lines = torch.stack([joints, joints + len(joints)])
    draw_graph(
        axes,
        arrows,
        lines,
        view=view,
        color=GREY,
        linewidth=0.8,
        node_sizes=0,
        label="30 frames at the input velocity",
    )
    draw_graph(axes, graph.pos, one_hop, view=view, label="input")
    draw_graph(axes, graph.y, one_hop, view=view, color=ORANGE, label="target, 30 frames later")
    finish(axes, "a sample")


def finish(axes: Axes, title: str) -> None:
    """Title and legend, without axes."""
    axes.set_title(title, loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.05, 0.9), frameon=False, fontsize=9)
    axes.set_axis_off()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the datasets")
    figure = mocap(parser.parse_args().data)
    save_figure(figure, Path(__file__).with_suffix(".png"))
