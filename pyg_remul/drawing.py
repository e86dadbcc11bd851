"""Graphs in space, drawn in a plane, and animations of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from pyg_remul.checks import check_choice, check_integers
from pyg_remul.figures import BLUE, GREY, ORANGE
from pyg_remul.files import replacing
from pyg_remul.views import View

__all__ = ["GraphArtist", "animate_graphs", "draw_graph"]

_SIDE: Final = View()
_WRITERS: Final[dict[str, type[PillowWriter] | type[FFMpegWriter]]] = {
    ".gif": PillowWriter,
    ".mp4": FFMpegWriter,
}
_HEIGHT, _MAX_WIDTH, _DPI = 4.0, 9.0, 100


@dataclass(frozen=True)
class GraphArtist:
    """A graph that has been drawn.

    Attributes:
        view: How it is seen.
        edge_index: Its edges, shape ``[2, E]``.
        order: Its nodes from back to front, shape ``[N]``.
        edges: The lines.
        nodes: The dots.
    """

    view: View
    edge_index: NDArray[np.int64]
    order: NDArray[np.int64]
    edges: LineCollection
    nodes: PathCollection

    def move(self, pos: Tensor) -> None:
        """Moves the nodes, and the edges with them.

        Args:
            pos: Their positions, shape ``[N, 3]``.
        """
        points, _ = self.view.project(pos)
        self.edges.set_segments(list(points[self.edge_index.T]))
        self.nodes.set_offsets(points[self.order])


def draw_graph(
    axes: Axes,
    pos: Tensor,
    edge_index: Tensor,
    *,
    view: View = _SIDE,
    color: str = BLUE,
    node_colors: Sequence[Any] | None = None,
    node_sizes: float | Sequence[float] = 12.0,
    linewidth: float = 2.0,
    label: str | None = None,
    **style: Any,
) -> GraphArtist:
    """Draws a graph: a skeleton, a molecule, the path of a body.

    Nodes are dots, those nearer to the viewer in front; edges are lines behind them. Lengths are
    equal in both directions.

    Args:
        axes: Where to draw.
        pos: The nodes' positions, shape ``[N, 3]``.
        edge_index: The edges, shape ``[2, E]``, in one or both directions; ``E`` may be 0.
        view: How to look at it.
        color: Of the edges, and of the nodes unless these have their own.
        node_colors: A colour for each node.
        node_sizes: The area of nodes in square points, of all or of each.
        linewidth: That of edges, in points.
        label: A name for the legend.
        **style: Further properties of the lines, such as ``linestyle`` or ``alpha``.

    Returns:
        What was drawn, to be moved.

    Raises:
        ValueError: If a shape or a node of an edge is wrong.
    """
    _check_positions("pos", pos, dim=2)
    index = _check_edges(edge_index, len(pos))
    points, depth = view.project(pos)
    order = np.argsort(-depth, kind="stable")
    edges = LineCollection(
        list(points[index.T]),
        colors=color,
        linewidths=linewidth,
        capstyle="round",
        label=label,
        **style,
    )
    axes.add_collection(edges)
    sizes = np.broadcast_to(node_sizes, len(pos))[order]
    colors = [color if node_colors is None else node_colors[node] for node in order]
    # Nodes of their own colours, such as atoms, are set off against each other.
    rim, width = ("face", 0.0) if node_colors is None else ("white", 0.6)
    nodes = axes.scatter(
        points[order, 0],
        points[order, 1],
        s=sizes,
        c=colors,
        zorder=2.5,
        linewidths=width,
        edgecolors=rim,
    )
    axes.set_aspect("equal")
    axes.autoscale_view()
    return GraphArtist(view, index, order, edges, nodes)


def animate_graphs(
    path: str | os.PathLike[str],
    edge_index: Tensor,
    target: Tensor,
    prediction: Tensor | None = None,
    *,
    fps: int = 30,
    up: str = "y",
    azimuth: float = 25.0,
    elevation: float = 0.0,
    progress: bool = True,
) -> None:
    """Saves an animation of a moving graph, the prediction over the target.

    Args:
        path: Where to; ``.gif``, or ``.mp4`` where ffmpeg is installed.
        edge_index: The edges, shape ``[2, E]``.
        target: The true positions, shape ``[frames, N, 3]``.
        prediction: Positions of the same shape to compare with them.
        fps: Frames a second of the animation; a GIF's pauses are cut to 1/100 s, and
            it takes 50 at most.
        up: The axis that points up; see :class:`View`.
        azimuth: Degrees by which the viewer walks round the vertical axis.
        elevation: Degrees by which the viewer looks down.
        progress: Show a bar.

    Raises:
        ValueError: If an argument has a wrong shape or value, or the format cannot be written here.

    Example:
        >>> from pyg_remul.datasets.asf_amc import forward_kinematics, read_amc, read_asf
        >>> skeleton = read_asf("35.asf")  # doctest: +SKIP
        >>> pos = forward_kinematics(skeleton, read_amc("35_01.amc", skeleton))  # doctest: +SKIP
        >>> animate_graphs("walk.gif", skeleton.edge_index, pos[::4])  # doctest: +SKIP
    """
    path = Path(path)
    _check_positions("target", target, dim=3)
    if prediction is not None and prediction.shape != target.shape:
        raise ValueError(
            f"`prediction` must have the shape of `target`, {list(target.shape)}, got "
            f"{list(prediction.shape)}."
        )
    check_integers(fps=fps)
    if path.suffix == ".gif" and fps > 50:
        raise ValueError(f"`fps` must be at most 50 in a GIF, got {fps}.")
    writer = _make_writer(path, fps)
    sequences = {"target": target} | ({} if prediction is None else {"prediction": prediction})
    figure, artists, counter = _set_scene(sequences, edge_index, View(up, azimuth, elevation))
    with replacing(path) as temporary, writer.saving(figure, str(temporary), _DPI):
        for frame in tqdm(range(len(target)), desc=path.name, disable=not progress):
            for artist, positions in zip(artists, sequences.values(), strict=True):
                artist.move(positions[frame])
            counter.set_text(f"frame {frame + 1} of {len(target)}")
            writer.grab_frame()


def _make_writer(path: Path, fps: int) -> PillowWriter | FFMpegWriter:
    check_choice("path", path.suffix, _WRITERS)
    writer = _WRITERS[path.suffix]
    if not writer.isAvailable():
        raise ValueError(f"`path` must end in '.gif' where ffmpeg is not installed, got '{path}'.")
    return writer(fps=fps)


def _set_scene(
    sequences: dict[str, Tensor], edge_index: Tensor, view: View
) -> tuple[Figure, list[GraphArtist], Any]:
    """The first frame, in limits that hold all of them."""
    points = np.concatenate([view.project(s)[0].reshape(-1, 2) for s in sequences.values()])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.05 * max(*(high - low), 1e-6)
    low, high = low - margin, high + margin
    width, height = high - low
    figure = Figure(figsize=(min(max(_HEIGHT * width / height, 3.0), _MAX_WIDTH), _HEIGHT))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 0.88))
    styles = ((BLUE, 2.5), (ORANGE, 1.5))
    artists = [
        draw_graph(axes, s[0], edge_index, view=view, color=color, linewidth=lines, label=name)
        for (name, s), (color, lines) in zip(sequences.items(), styles, strict=False)
    ]
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axes.set_axis_off()
    figure.legend(loc="upper left", ncols=2, frameon=False)
    counter = figure.text(0.98, 0.95, "", ha="right", va="center", color=GREY)
    return figure, artists, counter


def _check_positions(name: str, pos: Tensor, dim: int) -> None:
    if pos.dim() != dim or pos.size(-1) != 3 or not pos.numel():
        shape = ("frames, " if dim == 3 else "") + "N, 3"
        raise ValueError(f"`{name}` must have shape [{shape}], got {list(pos.shape)}.")
    if not torch.isfinite(pos).all():
        raise ValueError(f"`{name}` must be finite, got NaN or infinity.")


def _check_edges(edge_index: Tensor, num_nodes: int) -> NDArray[np.int64]:
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(f"`edge_index` must have shape [2, E], got {list(edge_index.shape)}.")
    index: NDArray[np.int64] = edge_index.cpu().numpy()
    if index.size and not 0 <= index.min() <= index.max() < num_nodes:
        raise ValueError(
            f"`edge_index` must name nodes from 0 to {num_nodes - 1}, got {index.min()} to "
            f"{index.max()}."
        )
    return index
