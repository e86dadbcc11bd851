"""Balls and sticks in perspective."""

from __future__ import annotations

import numpy as np
import pytest

from pyg_remul.reproduction.ball_and_stick import render_balls_and_sticks

NO_STICKS = np.empty((0, 2), dtype=int)
RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def render(centers, radii, colors=None, bonds=NO_STICKS, size=(6.0, 4.0), resolution=10):
    colors = [RED] * len(centers) if colors is None else colors
    parts = (np.array(part, float) for part in (centers, radii, colors))
    return render_balls_and_sticks(*parts, np.array(bonds), size=size, resolution=resolution)


def shown(image):
    """Left, right, top and bottom pixel of what is drawn."""
    rows, columns = np.nonzero(image[..., 3] > 0.5)
    return columns.min(), columns.max(), rows.min(), rows.max()


def is_red(pixel):
    return pixel[0] > 1.2 * pixel[2]


def test_picture_has_the_pixels_of_its_size():
    assert render([(0, 0, 0)], [1]).shape == (40, 60, 4)


def test_values_are_colours():
    image = render([(0, 0, 0), (1, 1, -1)], [1, 0.8], [(1, 1, 1), BLUE], [(0, 1)])
    assert 0 <= image.min() <= image.max() <= 1


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.5])
def test_ball_in_the_plane_of_the_origin_has_its_size(radius):
    left, right, top, bottom = shown(render([(0, 0, 0)], [radius]))
    assert right - left + 1 == pytest.approx(20 * radius, abs=1)
    assert bottom - top + 1 == pytest.approx(20 * radius, abs=1)


def test_first_axis_is_to_the_right_and_second_upwards():
    left, _, _, bottom = shown(render([(2, 1, 0)], [0.5]))
    assert left > 40
    assert bottom < 20


def test_near_balls_look_larger():
    area = [(render([(0, 0, z)], [1])[..., 3]).sum() for z in (-4, 0, 4)]
    assert area == sorted(area, reverse=True)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["near first", "far first"])
def test_near_ball_hides_a_far_one(order):
    centers, colors = [(0, 0, -1), (0, 0, 1)], [RED, BLUE]
    image = render([centers[k] for k in order], [0.5, 0.5], [colors[k] for k in order])
    assert is_red(image[20, 30])


def test_stick_has_the_colours_of_its_ends():
    image = render([(-2, 0, 0), (2, 0, 0)], [0.3, 0.3], [RED, BLUE], [(0, 1)])
    assert is_red(image[20, 22])
    assert not is_red(image[20, 38])


def test_stick_ends_at_its_balls():
    image = render([(-2, 0, 0), (2, 0, 0)], [0.3, 0.3], bonds=[(0, 1)])
    left, right, _, _ = shown(image)
    assert (left, right) == pytest.approx((7, 52), abs=1)


def test_side_towards_the_lamp_is_brighter():
    image = render([(0, 0, 0)], [1.5])
    assert image[12, 24, 0] > 1.3 * image[28, 36, 0]


def test_ball_before_the_lamp_casts_a_shadow():
    dark = (0.4, 0, 0)
    alone = render([(0, 0, 0)], [1], [dark])
    lamp = np.array([-0.45, 0.7, -0.85])
    shaded = render([(0, 0, 0), 3 * lamp], [1, 0.6], [dark, dark])
    assert shaded[14, 26, 0] < 0.9 * alone[14, 26, 0]


def test_nothing_is_clear():
    assert not render([(0, 0, 0)], [0.2])[0].any()
