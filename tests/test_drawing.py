"""Drawings and animations of graphs."""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.animation import FFMpegWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from pyg_remul import drawing
from pyg_remul.drawing import animate_graphs, draw_graph
from pyg_remul.figures import BLUE, ORANGE
from pyg_remul.views import View

PATH = torch.tensor([[0, 1, 2], [1, 2, 3]])
NO_EDGES = torch.empty(2, 0, dtype=torch.long)


@pytest.fixture
def axes():
    figure = Figure()
    FigureCanvasAgg(figure)
    return figure.subplots()


@pytest.fixture
def pos():
    return torch.randn(4, 3)


@pytest.fixture
def target():
    return torch.randn(5, 4, 3)


def frames_of(path):
    """The frames of an animation as arrays."""
    with Image.open(path) as image:
        frames = []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB"), dtype=int))
        return frames


def has_color(frame, color):
    wanted = 255 * np.array(to_rgba(color)[:3])
    return bool((abs(frame - wanted).max(axis=-1) < 24).any())


def test_edges_join_the_projected_nodes(axes, pos):
    artist = draw_graph(axes, pos, PATH, view=View("z"))
    expected = pos[PATH.T][..., [0, 2]].numpy()
    np.testing.assert_allclose(artist.edges.get_segments(), expected, rtol=1e-6)


def test_nodes_lie_from_back_to_front(axes):
    pos = torch.tensor([[0.0, 0, 0], [1.0, 5, 0], [2.0, -5, 0]])
    artist = draw_graph(axes, pos, NO_EDGES, view=View("z"))
    assert artist.nodes.get_offsets()[:, 0].tolist() == [1, 0, 2]


def test_colors_and_sizes_follow_their_nodes(axes):
    pos = torch.tensor([[0.0, 0, 0], [1.0, 5, 0]])
    colors, sizes = ["red", "green"], [10, 40]
    artist = draw_graph(axes, pos, NO_EDGES, view=View("z"), node_colors=colors, node_sizes=sizes)
    assert artist.nodes.get_sizes().tolist() == [40, 10]
    expected = [to_rgba("green"), to_rgba("red")]
    np.testing.assert_allclose(artist.nodes.get_facecolors(), expected)


def test_lengths_are_equal_in_both_directions(axes, pos):
    draw_graph(axes, pos, PATH)
    assert axes.get_aspect() == 1


def test_limits_hold_the_graph(axes, pos):
    draw_graph(axes, 100 + pos, PATH)
    axes.apply_aspect()
    points, _ = View().project(100 + pos)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < points[:, 0].min() < points[:, 0].max() < right
    assert bottom < points[:, 1].min() < points[:, 1].max() < top


def test_a_label_is_for_the_legend(axes, pos):
    draw_graph(axes, pos, PATH, label="skeleton")
    assert axes.get_legend_handles_labels()[1] == ["skeleton"]


def test_a_moved_graph_is_where_it_would_have_been_drawn(axes, pos):
    pos[:, 0] = torch.tensor([0.0, 2.0, 1.0, 3.0])  # the depth
    other = pos * torch.tensor([1.0, 1.0, 2.0])
    moved, drawn = (draw_graph(axes, p, PATH) for p in (pos, other))
    moved.move(other)
    np.testing.assert_allclose(moved.edges.get_segments(), drawn.edges.get_segments())
    np.testing.assert_allclose(moved.nodes.get_offsets(), drawn.nodes.get_offsets())


def test_positions_may_carry_gradients(axes, pos):
    draw_graph(axes, pos.requires_grad_(), PATH)
    assert pos.grad is None


def test_an_animation_has_the_frames_of_the_target(tmp_path, target):
    path = tmp_path / "new" / "graph.gif"
    animate_graphs(path, PATH, target, fps=10, progress=False)
    frames = frames_of(path)
    assert len(frames) == 5
    assert all(np.abs(a - b).max() > 100 for a, b in pairwise(frames))
    with Image.open(path) as image:
        assert image.info["duration"] == 100
    assert os.listdir(path.parent) == ["graph.gif"]


@pytest.mark.parametrize("compared", [False, True], ids=["target alone", "with prediction"])
def test_target_and_prediction_have_colours_of_their_own(tmp_path, target, compared):
    path = tmp_path / "graph.gif"
    animate_graphs(path, PATH, target, target + 0.5 if compared else None, progress=False)
    for frame in frames_of(path):
        assert has_color(frame, BLUE)
        assert has_color(frame, ORANGE) == compared


def test_limits_hold_every_frame_and_stay(tmp_path, target, monkeypatch):
    limits = []

    class Writer(drawing.PillowWriter):
        def grab_frame(self, **options):
            (axes,) = self.fig.axes
            limits.append((axes.get_xlim(), axes.get_ylim()))
            super().grab_frame(**options)

    monkeypatch.setitem(drawing._WRITERS, ".gif", Writer)
    animate_graphs(tmp_path / "graph.gif", PATH, target, 3 * target, azimuth=0, progress=False)
    assert len(set(limits)) == 1
    ((left, right), (bottom, top)) = limits[0]
    points, _ = View().project(3 * target)
    assert left < points[..., 0].min() < points[..., 0].max() < right
    assert bottom < points[..., 1].min() < points[..., 1].max() < top


def test_graphs_without_edges_or_extent_can_be_shown(tmp_path):
    animate_graphs(tmp_path / "point.gif", NO_EDGES, torch.zeros(2, 1, 3), progress=False)
    assert frames_of(tmp_path / "point.gif")[0].std() > 1


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="needs ffmpeg")
def test_a_film_can_be_made(tmp_path, target):
    animate_graphs(tmp_path / "graph.mp4", PATH, target, progress=False)
    assert b"ftyp" in (tmp_path / "graph.mp4").read_bytes()[:16]


def test_without_ffmpeg_a_film_is_refused(tmp_path, target, monkeypatch):
    monkeypatch.setattr(FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(ValueError, match=r"`path` must end in '\.gif' where ffmpeg is not"):
        animate_graphs(tmp_path / "graph.mp4", PATH, target)


def test_a_failing_frame_leaves_no_file(tmp_path, target, monkeypatch):
    def fail(self, **_):
        raise OSError("disk full")

    monkeypatch.setattr(drawing.PillowWriter, "finish", fail)
    with pytest.raises(OSError, match="disk full"):
        animate_graphs(tmp_path / "graph.gif", PATH, target, progress=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "wording"),
    [
        ({"path": "graph.avi"}, r"`path` must be one of '\.gif', '\.mp4', got '\.avi'"),
        ({"target": torch.zeros(4, 3)}, r"`target` must have shape \[frames, N, 3\], got \[4, 3\]"),
        ({"target": torch.zeros(0, 4, 3)}, r"`target` must have shape .*, got \[0, 4, 3\]"),
        ({"target": torch.full((2, 4, 3), torch.nan)}, "`target` must be finite, got NaN"),
        ({"prediction": torch.zeros(4, 4, 3)}, r"`prediction` must .*\[5, 4, 3\], got \[4, 4, 3\]"),
        ({"fps": 0}, "`fps` must be positive, got 0"),
        ({"up": "w"}, "`up` must be one of"),
        ({"edge_index": torch.zeros(3, 2)}, r"`edge_index` must have shape \[2, E\], got \[3, 2\]"),
        ({"edge_index": PATH + 1}, "`edge_index` must name nodes from 0 to 3, got 1 to 4"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_refused(tmp_path, target, options, wording):
    arguments = {"path": "graph.gif", "edge_index": PATH, "target": target} | options
    with pytest.raises(ValueError, match=wording):
        animate_graphs(tmp_path / arguments.pop("path"), progress=False, **arguments)


def test_gif_takes_50_frames_a_second_at_most(tmp_path):
    target = torch.rand(2, 3, 3)
    with pytest.raises(ValueError, match="`fps` must be at most 50 in a GIF, got 60"):
        animate_graphs(tmp_path / "a.gif", torch.tensor([[0], [1]]), target, fps=60)
