"""Projections."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.views import View

degrees = st.floats(-360, 360)


@pytest.mark.parametrize(
    ("up", "right", "upwards", "away"), [("y", 2, 1, 0), ("z", 0, 2, 1), ("x", 1, 0, 2)]
)
def test_axes_point_where_the_view_says(up, right, upwards, away):
    points, depth = View(up).project(torch.tensor([[1.0, 2.0, 3.0]]))
    assert points.tolist() == [[right + 1, upwards + 1]]
    assert depth.tolist() == [away + 1]


def test_a_viewer_that_walks_left_sees_the_far_axis_on_the_right():
    points, depth = View("z", azimuth=90).project(torch.eye(3))
    np.testing.assert_allclose(points, [[0, 0], [1, 0], [0, 1]], rtol=0, atol=1e-15)
    np.testing.assert_allclose(depth, [-1, 0, 0], rtol=0, atol=1e-15)


def test_a_viewer_above_sees_what_is_far_higher_up():
    points, depth = View("z", elevation=90).project(torch.eye(3))
    np.testing.assert_allclose(points, [[1, 0], [0, 1], [0, 0]], rtol=0, atol=1e-15)
    np.testing.assert_allclose(depth, [0, 0, -1], rtol=0, atol=1e-15)


@given(st.sampled_from("xyz"), degrees, degrees)
def test_the_three_coordinates_are_a_rotation(up, azimuth, elevation):
    points, depth = View(up, azimuth, elevation).project(torch.eye(3))
    # Rightwards, upwards and towards the viewer are right-handed, as x, y and z are.
    matrix = np.concatenate([points, -depth[:, None]], axis=1)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), rtol=0, atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-12)


def test_leading_axes_are_kept():
    points, depth = View().project(torch.zeros(4, 5, 3))
    assert (points.shape, depth.shape) == ((4, 5, 2), (4, 5))


@pytest.mark.parametrize(
    ("options", "wording"),
    [
        ({"up": "w"}, "`up` must be one of 'x', 'y', 'z', got 'w'"),
        ({"azimuth": float("nan")}, "`azimuth` must be finite, got nan"),
        ({"elevation": float("inf")}, "`elevation` must be finite, got inf"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, wording):
    with pytest.raises(ValueError, match=wording):
        View(**options)
