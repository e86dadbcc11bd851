"""Rotations from numbers and angles."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import close
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.rotations import (
    axis_angle_rotation,
    haar_rotation,
    planar_rotation,
    signed_angle,
    unit_axis,
)

UNIFORM = st.floats(0, 1, exclude_max=True)
EYE = torch.eye(3, dtype=torch.float64)


def rows(*values):
    return torch.tensor([values], dtype=torch.float64)


@given(UNIFORM, UNIFORM, UNIFORM)
def test_every_haar_matrix_is_a_rotation(first, second, third):
    (matrix,) = haar_rotation(rows(first, second, third))
    close(matrix @ matrix.T, EYE, atol=1e-14)
    close(matrix.det(), 1.0, atol=1e-14)


@given(UNIFORM, UNIFORM)
def test_every_axis_has_length_1(first, second):
    close(unit_axis(rows(first, second)).norm(), 1.0, atol=1e-15)


@given(UNIFORM, UNIFORM, st.floats(-10, 10))
def test_a_rotation_about_an_axis_keeps_it(first, second, angle):
    axis = unit_axis(rows(first, second))
    (matrix,) = axis_angle_rotation(axis, torch.tensor([angle], dtype=torch.float64))
    close(matrix @ axis[0], axis[0], atol=1e-14)
    close(matrix @ matrix.T, EYE, atol=1e-14)
    close(matrix.trace(), 1 + 2 * math.cos(angle), atol=1e-14)


@given(UNIFORM, UNIFORM, st.floats(-3, 3), st.floats(-3, 3))
def test_angles_about_one_axis_add_up(first, second, one, other):
    axis = unit_axis(rows(first, second)).expand(3, 3)
    a, b, both = axis_angle_rotation(axis, rows(one, other, one + other)[0])
    close(a @ b, both, atol=1e-14)


@pytest.mark.parametrize(
    ("axis", "source", "image"),
    [((0, 0, 1), 0, 1), ((1, 0, 0), 1, 2), ((0, 1, 0), 2, 0)],
    ids=["z", "x", "y"],
)
def test_angles_are_right_handed(axis, source, image):
    (matrix,) = axis_angle_rotation(rows(*axis), torch.tensor([math.pi / 2]).double())
    close(matrix @ EYE[source], EYE[image], atol=1e-7)


def test_the_plane_turns_counter_clockwise():
    (matrix,) = planar_rotation(torch.tensor([math.pi / 2], dtype=torch.float64))
    close(matrix @ torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]), atol=1e-15)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-5], ids=str)
def test_small_angles_are_exact(angle):
    (matrix,) = axis_angle_rotation(rows(0, 0, 1), torch.tensor([angle], dtype=torch.float64))
    assert float(matrix[1, 0]) == math.sin(angle)


@given(UNIFORM, st.floats(0, 180), st.floats(0, 180))
def test_angles_lie_in_their_range(uniform, one, other):
    low, high = sorted((one, other))
    angle = signed_angle(torch.tensor(uniform, dtype=torch.float64), (low, high))
    assert low - 1e-9 <= math.degrees(abs(float(angle))) <= high + 1e-9


@pytest.mark.parametrize(
    ("uniform", "degrees"), [(0.0, -20.0), (0.25, -15.0), (0.5, 10.0), (0.75, 15.0)], ids=str
)
def test_angles_run_through_both_signs(uniform, degrees):
    angle = signed_angle(torch.tensor(uniform, dtype=torch.float64), (10.0, 20.0))
    close(torch.rad2deg(angle), degrees, atol=1e-12)
