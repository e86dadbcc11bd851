"""Figures of loss surfaces."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest
import torch

from pyg_remul.loss_surface import grid_axis
from pyg_remul.reproduction import surface_figure
from pyg_remul.reproduction.surface_figure import plot_contours, plot_reliefs

PLOTS = [plot_contours, plot_reliefs]


def make_surfaces(pairs=2, num_points=11, models=("bowl", "saddle")):
    """A convex surface, and one that is nowhere convex, in many sizes."""
    axis = grid_axis(num_points)
    x, y = axis[:, None], axis[None]
    shapes = {"bowl": x**2 + 3 * y**2, "saddle": 4 + x - y**2}
    return {name: [1e-3 + scale * shapes[name] for scale in range(1, pairs + 1)] for name in models}


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws surfaces and returns the figure."""

    def draw(plot, surfaces, **options):
        saved = []
        monkeypatch.setattr(surface_figure, "save_figures", lambda figure, _: saved.append(figure))
        plot(surfaces, tmp_path / "figure", **options)
        return saved[0]

    return draw


def panels(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def hatched_points(axes):
    """The area of the hatched part, in points of the grid of 11 x 11."""
    (hatched,) = (c for c in axes.collections if getattr(c, "hatches", [None])[0])
    vertices = [path.vertices for path in hatched.get_paths() if len(path.vertices)]
    return sum(np.ptp(v[:, 0]) * np.ptp(v[:, 1]) for v in vertices) / 0.2**2


@pytest.mark.parametrize("plot", PLOTS)
def test_figure_is_an_image_and_a_drawing(plot, tmp_path):
    image, drawing = plot(make_surfaces(), tmp_path / "new" / "a")
    assert matplotlib.image.imread(image)[..., :3].std() > 0.05
    assert "<svg" in drawing.read_text()[:500]


@pytest.mark.parametrize("plot", PLOTS)
def test_fills_are_pixels_within_the_svg(plot, tmp_path):
    text = plot(make_surfaces(num_points=51), tmp_path / "a")[1].read_text()
    assert text.count("<image") == 4 + 1  # with that of the colour bar
    assert len(text) < 1_000_000


@pytest.mark.parametrize("plot", PLOTS)
def test_models_are_rows_and_pairs_are_columns(plot, drawn):
    titles = [axes.get_title() for axes in panels(drawn(plot, make_surfaces()))]
    assert titles == ["bowl, pair 1", "bowl, pair 2", "saddle, pair 1", "saddle, pair 2"]


@pytest.mark.parametrize("plot", PLOTS)
def test_single_surface_is_enough(plot, drawn):
    assert len(panels(drawn(plot, make_surfaces(pairs=1, models=("bowl",))))) == 1


@pytest.mark.parametrize("plot", PLOTS)
def test_surface_with_infinite_losses_is_drawn(plot, drawn):
    surfaces = make_surfaces()
    surfaces["bowl"][0][0, 0] = torch.inf
    assert len(panels(drawn(plot, surfaces))) == 4


@pytest.mark.parametrize("plot", PLOTS)
def test_few_large_losses_do_not_take_the_scale(plot, drawn):
    surfaces = make_surfaces()
    surfaces["bowl"][0][0, 0] = 1e6
    figure = drawn(plot, surfaces)
    (bar,) = (axes for axes in figure.axes if axes not in panels(figure))
    low, high = bar.get_xlim()
    assert low == pytest.approx(1e-3)
    assert high < 10


def test_saddle_alone_is_hatched(drawn):
    figure = drawn(plot_contours, make_surfaces())
    assert [round(hatched_points(axes)) for axes in panels(figure)] == [0, 0, 64, 64]


def test_losses_that_are_cut_off_are_not_taken_for_flat(drawn, monkeypatch):
    monkeypatch.setattr(surface_figure, "_QUANTILE", 0.5)
    surfaces = make_surfaces(pairs=1)
    surfaces["bowl"][0] *= 100
    assert hatched_points(panels(drawn(plot_contours, surfaces))[0]) == 0


def test_first_direction_goes_to_the_right(drawn):
    axis = grid_axis(11)
    figure = drawn(plot_contours, {"slope": [1.5 + axis[:, None].expand(11, 11).clone()]})
    (axes,) = panels(figure)
    lines = next(c for c in axes.collections if c.get_alpha() == 0.5)
    ends = [path.vertices for path in lines.get_paths() if len(path.vertices)]
    assert all(np.ptp(vertices[:, 0]) < 1e-6 for vertices in ends)
    assert all(np.ptp(vertices[:, 1]) == pytest.approx(2) for vertices in ends)


def test_axes_reach_to_the_extent(drawn):
    figure = drawn(plot_contours, make_surfaces(), extent=0.5)
    assert panels(figure)[0].get_xlim() == (-0.5, 0.5)
