"""Molecules as balls and sticks in perspective, by ray casting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["render_balls_and_sticks"]

Array: TypeAlias = NDArray[np.float64]

_DISTANCE = 16.0  # of the viewer, in A
_STICK = 0.14  # radius, in A
_SAMPLES = 2  # rays a pixel and direction
_LIGHT: Array = np.array([-0.45, 0.7, -0.85]) / np.linalg.norm([-0.45, 0.7, -0.85])
_GAMMA = 2.2
_SHADOW = 0.5  # share of the lamp's light within a shadow


@dataclass(frozen=True)
class _Ball:
    """A sphere."""

    center: Array
    radius: float
    color: Array

    def bounds(self) -> tuple[Array, Array]:
        """The lower left and upper right corner of a window in the plane z = 0 that holds it."""
        scale = _DISTANCE / (_DISTANCE + self.center[2] - 2 * self.radius)
        middle = self.center[:2] * _DISTANCE / (_DISTANCE + self.center[2])
        return middle - 1.5 * scale * self.radius, middle + 1.5 * scale * self.radius

    def meet(self, rays: Array) -> tuple[Array, Array]:
        """Distances at which rays ``[..., 3]`` meet it, infinity if not, and the normals there."""
        origin = _eye() - self.center
        along = -rays @ origin
        square = along**2 - origin @ origin + self.radius**2
        distance = np.where(square > 0, along - np.sqrt(square.clip(0)), np.inf)
        reached = np.where(square > 0, distance, 0.0)[..., None] * rays
        return distance, (origin + reached) / self.radius


@dataclass(frozen=True)
class _Stick:
    """A cylinder without ends, which are within balls or in one with another's."""

    start: Array
    end: Array
    color: Array

    def bounds(self) -> tuple[Array, Array]:
        ends = [_Ball(point, _STICK, self.color).bounds() for point in (self.start, self.end)]
        (low, high), (other_low, other_high) = ends
        return np.minimum(low, other_low), np.maximum(high, other_high)

    def meet(self, rays: Array) -> tuple[Array, Array]:
        length = np.linalg.norm(self.end - self.start)
        axis = (self.end - self.start) / length
        origin = _eye() - self.start
        flat_rays = rays - (rays @ axis)[..., None] * axis
        flat_origin = origin - (origin @ axis) * axis
        a, b = (flat_rays**2).sum(axis=-1), flat_rays @ flat_origin
        square = b**2 - a * (flat_origin @ flat_origin - _STICK**2)
        reached = (-b - np.sqrt(square.clip(0))) / a
        points = origin + reached[..., None] * rays
        height = points @ axis
        met = (square > 0) & (height >= 0) & (height <= length)
        return np.where(met, reached, np.inf), (points - height[..., None] * axis) / _STICK


def render_balls_and_sticks(
    centers: Array,
    radii: Array,
    colors: Array,
    bonds: NDArray[np.int64],
    *,
    size: tuple[float, float],
    resolution: float,
) -> Array:
    """Draws balls, and sticks between them in the colours of their ends.

    The viewer is 16 A away from the origin, in whose plane lengths are true. A lamp at the upper
    left casts shadows, and light comes from all around as far as other balls leave free.

    Args:
        centers: Positions to the right, upwards and away from the viewer, shape ``[N, 3]``, in A.
        radii: Of the balls, shape ``[N]``, in A.
        colors: Red, green and blue of the balls, in [0, 1], shape ``[N, 3]``.
        bonds: Pairs of balls with a stick between them, shape ``[E, 2]``.
        size: Width and height of the picture about the origin, in A.
        resolution: Pixels per A.

    Returns:
        Red, green, blue and opacity of the pixels from the top, in [0, 1], shape ``[H, W, 4]``.

    Example:
        >>> ball = {"centers": np.zeros((1, 3)), "radii": np.ones(1), "colors": np.ones((1, 3))}
        >>> nothing = np.empty((0, 2), dtype=int)
        >>> image = render_balls_and_sticks(**ball, bonds=nothing, size=(3, 3), resolution=5)
        >>> image.shape, image[7, 7, 3], image[0, 0, 3]
        ((15, 15, 4), np.float64(1.0), np.float64(0.0))
    """
    width, height = (round(length * resolution) for length in size)
    x, y = (_pixel_centers(number, resolution) for number in (width, height))
    balls = [
        _Ball(center, float(radius), color**_GAMMA)
        for center, radius, color in zip(centers, radii, colors, strict=True)
    ]
    sticks = [
        _Stick(balls[i].center, (balls[i].center + balls[j].center) / 2, balls[i].color)
        for pair in bonds.tolist()
        for i, j in (pair, pair[::-1])
    ]
    image = _trace([*balls, *sticks], balls, x, y)[::-1]
    mean = image.reshape(height, _SAMPLES, width, _SAMPLES, 4).mean(axis=(1, 3))
    opacity = mean[..., 3:]
    light = mean[..., :3] / np.where(opacity > 0, opacity, 1)
    return np.concatenate([light.clip(0, 1) ** (1 / _GAMMA), opacity], axis=-1)


def _eye() -> Array:
    return np.array([0.0, 0.0, -_DISTANCE])


def _pixel_centers(number: int, resolution: float) -> Array:
    """Where the rays of a row of pixels go, in ascending order."""
    centers: Array = (np.arange(_SAMPLES * number) + 0.5) / _SAMPLES - number / 2
    return centers / resolution


def _trace(surfaces: list[_Ball | _Stick], balls: list[_Ball], x: Array, y: Array) -> Array:
    """Linear colours and opacity along the ray of each ``x`` and ``y``."""
    rays = np.stack([*np.meshgrid(x, y), np.full((len(y), len(x)), _DISTANCE)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    nearest = np.full(rays.shape[:2], np.inf)
    normals, colors = np.zeros_like(rays), np.zeros_like(rays)
    for surface in surfaces:
        (left, bottom), (right, top) = surface.bounds()
        window = np.s_[slice(*y.searchsorted([bottom, top])), slice(*x.searchsorted([left, right]))]
        distance, normal = surface.meet(rays[window])
        front = distance < nearest[window]
        nearest[window][front] = distance[front]
        normals[window][front] = normal[front]
        colors[window][front] = surface.color
    seen = np.isfinite(nearest)
    image = np.zeros((*seen.shape, 4))
    image[seen, :3] = _shade(rays[seen], nearest[seen], normals[seen], colors[seen], balls)
    image[seen, 3] = 1.0
    return image


def _shade(
    rays: Array, distance: Array, normals: Array, colors: Array, balls: list[_Ball]
) -> Array:
    """The light that comes back along rays from where they meet a surface."""
    points = _eye() + distance[:, None] * rays
    lamp, sky = np.ones(len(points)), np.ones(len(points))
    for ball in balls:
        offset = ball.center - points
        far = np.linalg.norm(offset, axis=1)
        along = offset @ _LIGHT
        beside = far**2 - along**2 - ball.radius**2
        other = far > ball.radius + 1e-6
        lamp *= np.where(other & (along > 0), _penumbra(beside / ball.radius**2), 1.0)
        facing = (offset * normals).sum(axis=1).clip(0) / far
        sky -= np.where(other, facing * (ball.radius / far) ** 2, 0.0)
    half = _LIGHT - rays
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    gloss = lamp * (half * normals).sum(axis=1).clip(0) ** 60
    diffuse = lamp * (normals @ _LIGHT).clip(0)
    towards_viewer = -(normals * rays).sum(axis=1)
    ambient = (0.5 + 0.2 * normals[:, 1] + 0.3 * towards_viewer) * sky.clip(0.2)
    return colors * (0.75 * ambient + 0.85 * diffuse)[:, None] + 0.3 * gloss[:, None]


def _penumbra(x: Array) -> Array:
    """The share of the lamp's light, by how far a ray passes a ball outside, in squared radii."""
    x = (x / 0.4 + 0.5).clip(0, 1)
    return _SHADOW + (1 - _SHADOW) * x * x * (3 - 2 * x)
