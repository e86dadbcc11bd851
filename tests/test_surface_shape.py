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
    principal_curvatures,
)

CURVATURES = st.floats(-10, 10)
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


@given(CURVATURES, CURVATURES, ANGLES, st.floats(0.1, 10))
def test_curvatures_of_a_quadratic_are_exact(first, second, angle, extent):
    found = principal_curvatures(quadratic(first, second, angle, extent=extent), extent)
    expected = torch.tensor(sorted((first, second)), dtype=torch.float64).expand_as(found)
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


def test_curvatures_have_a_place_for_each_inner_point():
    assert principal_curvatures(torch.zeros(7, 7)).shape == (5, 5, 2)


def test_curvature_is_where_it_belongs():
    x, y = coordinates()
    found = principal_curvatures(x**3 + y**2)[..., 0]
    torch.testing.assert_close(found[:, 4], (6 * grid_axis(21)[1:-1]).clamp(max=2.0))


def test_curvature_is_unknown_beside_an_infinite_value():
    surface = quadratic(1, 1, 0)
    surface[3, 5] = torch.inf
    unknown = principal_curvatures(surface).isfinite().all(dim=-1).logical_not()
    assert unknown.nonzero().amin(dim=0).tolist() == [1, 3]
    assert unknown.nonzero().amax(dim=0).tolist() == [3, 5]


@given(st.floats(0, 10), st.floats(0, 10), ANGLES)
def test_convex_surface_has_no_point_that_is_not(first, second, angle):
    assert not nonconvex_points(quadratic(first, second, angle)).any()


@given(st.floats(-10, -1e-3), CURVATURES, ANGLES)
def test_saddle_is_nowhere_convex(first, second, angle):
    assert nonconvex_points(quadratic(first, second, angle)).all()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_plane_is_convex_in_spite_of_rounding(scale):
    x, y = coordinates()
    assert nonconvex_share(scale * (1 + x / 3 - y / 7), radius=2.0) == 0


def test_share_counts_points_within_the_radius():
    x, y = coordinates(101)
    surface = torch.where(x.hypot(y) < 0.5, -1.0, 1.0) * (x**2 + y**2)
    assert nonconvex_share(surface, radius=0.4) == 1
    assert nonconvex_share(surface, radius=1.4) == pytest.approx(math.pi / 16, abs=0.03)


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
@pytest.mark.parametrize("measure", [principal_curvatures, nonconvex_share, local_minima])
def test_other_than_a_square_grid_is_refused(measure, shape):
    with pytest.raises(ValueError, match="`surface` must be a square grid of at least 3 x 3"):
        measure(torch.zeros(shape))
