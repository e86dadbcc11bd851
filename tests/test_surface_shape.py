"""Convexity of surfaces on grids."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.loss_surface import grid_axis
from pyg_remul.surface_shape import (
    local_minima,
    nonconvex_points,
    nonconvex_share,
)

ANGLES = st.floats(0, math.pi)


def coordinates(num_points=21, extent=1.0):
    axis = grid_axis(num_points, extent)
    return axis[:, None].expand(-1, num_points), axis.expand(num_points, -1)


def quadratic(first, second, angle, num_points=21, extent=1.0):
    """A surface with two curvatures, turned by an angle."""
    x, y = coordinates(num_points, extent)
    u = math.cos(angle) * x + math.sin(angle) * y
    v = math.cos(angle) * y - math.sin(angle) * x
    return (first * u**2 + second * v**2) / 2


@given(st.floats(0, 10), st.floats(0, 10), ANGLES)
def test_convex_surface_has_no_point_that_is_not(first, second, angle):
    assert not nonconvex_points(quadratic(first, second, angle)).any()


CONVEX = {
    "ridge": lambda x, y: (x + y).abs(),
    "smoothed ridge": lambda x, y: (1e-4 + (x + y) ** 2).sqrt(),
    "oblique quartic": lambda x, y: (x + 2 * y) ** 4,
    "exponential": lambda x, y: (20 * (x + y)).exp(),
    "largest of planes": lambda x, y: torch.stack([x, y, -x - 2 * y]).amax(dim=0),
}


@pytest.mark.parametrize("surface", CONVEX.values(), ids=CONVEX)
def test_convex_surface_of_any_shape_has_no_point_that_is_not(surface):
    assert not nonconvex_points(surface(*coordinates(51))).any()


@given(st.floats(-10, -1e-3), st.floats(-10, -1e-3), ANGLES)
def test_dome_is_nowhere_convex(first, second, angle):
    assert nonconvex_points(quadratic(first, second, angle)).all()


@pytest.mark.parametrize("angle", [0, math.pi / 4, math.pi / 2, 3 * math.pi / 4])
def test_valley_that_falls_along_a_direction_of_the_grid_is_not_convex(angle):
    assert nonconvex_points(quadratic(-0.1, 10, angle)).all()


def test_point_is_where_it_belongs():
    x, y = coordinates()
    found = nonconvex_points(x**3 + y**2)
    assert found[:, 4].tolist() == (grid_axis(21)[1:-1] < -1e-9).tolist()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_plane_is_convex_in_spite_of_rounding(scale):
    x, y = coordinates()
    assert nonconvex_share(scale * (1 + x / 3 - y / 7), radius=2.0) == 0


def test_share_counts_points_within_the_radius():
    x, y = coordinates(101)
    radius = x.hypot(y)
    surface = torch.where(radius < 0.5, -(radius**2), (radius - 1) ** 2 - 0.5)
    assert nonconvex_share(surface, radius=0.4) == 1
    assert nonconvex_share(-surface, radius=0.4) == 0


def test_share_leaves_out_what_is_unknown():
    surface = quadratic(-1, 1, 0)
    surface[3, 5] = torch.inf
    assert nonconvex_share(surface, radius=2.0) == 1


def test_share_of_nothing_is_unknown():
    assert math.isnan(nonconvex_share(torch.full((5, 5), torch.inf)))


def test_radius_is_positive():
    with pytest.raises(ValueError, match="`radius` must be positive, got 0"):
        nonconvex_share(torch.zeros(5, 5), radius=0)


def test_bowl_has_one_minimum():
    assert local_minima(quadratic(1, 2, 0.3)) == 1


def test_every_pit_is_a_minimum():
    x, y = coordinates(61)
    assert local_minima(torch.cos(3 * math.pi * x) * torch.cos(3 * math.pi * y)) == 12


def test_plateau_has_no_minimum():
    assert local_minima(torch.zeros(5, 5)) == 0


def test_border_is_no_minimum():
    x, _ = coordinates()
    assert local_minima(x) == 0


@pytest.mark.parametrize("shape", [(5,), (5, 6), (2, 2)], ids=str)
@pytest.mark.parametrize("measure", [nonconvex_points, nonconvex_share, local_minima])
def test_other_than_a_square_grid_is_refused(measure, shape):
    with pytest.raises(ValueError, match="`surface` must be a square grid of at least 3 x 3"):
        measure(torch.zeros(shape))
