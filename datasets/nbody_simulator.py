"""Gravitational systems of a star and planets, many at a time, in float64."""

from __future__ import annotations

import math
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_remul.checks import check_integers, check_numbers

__all__ = ["Systems", "draw_systems", "frame_interval", "integrate", "trajectories"]

STAR_MASS = (1.0, 10.0)
PLANET_MASS = (0.01, 0.1)
ORBIT_RADIUS = (0.1, 1.0)
VELOCITY_NOISE = 0.01
CLOSEST = 1e-9
CPU_PAIRS = 32_000


class Systems(NamedTuple):
    """Systems of ``n`` bodies: masses ``[B, n, 1]``, positions and velocities ``[B, n, 3]``."""

    mass: Tensor
    pos: Tensor
    vel: Tensor

    def to(self, device: torch.device | str) -> Systems:
        """The same systems on another device."""
        return Systems(*(x.to(device) for x in self))

    def take(self, index: Tensor) -> Systems:
        """Selects bodies, by an index ``[B, n]`` into the bodies of each system."""
        return Systems(*(x.gather(1, index[..., None].expand_as(x)) for x in self))


def draw_systems(num: int, num_planets: int, generator: torch.Generator) -> Systems:
    r"""Draws stars at rest in the origin, each with planets on nearly circular orbits around it.

    With :math:`G = 1`, the star's mass is log-uniform in [1, 10] and the planets' in [0.01, 0.1].
    Planets lie in the x-y plane, uniform in area on the annulus :math:`0.1 \le r \le 1`, and move
    at :math:`\sqrt{M / r}` one way or the other round the star, plus normal noise of 0.01 on every
    component. The order of the bodies is random.

    Args:
        num: Number of systems ``B``.
        num_planets: Planets of each system.
        generator: Source of all draws.

    Returns:
        Systems of ``num_planets + 1`` bodies in float64.
    """
    uniforms = torch.rand(5, num, num_planets + 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(num, num_planets, 3, generator=generator, dtype=torch.float64)
    star_mass = _log_uniform(uniforms[0, :, :1], STAR_MASS)
    planet_mass = _log_uniform(uniforms[0, :, 1:], PLANET_MASS)
    area, turn, sense = uniforms[1:4, :, 1:]
    inner, outer = ORBIT_RADIUS
    radius = (inner**2 + (outer**2 - inner**2) * area).sqrt()
    speed = (star_mass / radius).sqrt().copysign(sense - 0.5)
    cosine, sine, zero = (2 * math.pi * turn).cos(), (2 * math.pi * turn).sin(), 0 * turn
    pos = radius[..., None] * torch.stack([cosine, sine, zero], dim=-1)
    vel = speed[..., None] * torch.stack([-sine, cosine, zero], dim=-1) + VELOCITY_NOISE * noise
    at_rest = pos.new_zeros(num, 1, 3)
    systems = Systems(
        mass=torch.cat([star_mass, planet_mass], dim=1)[..., None],
        pos=torch.cat([at_rest, pos], dim=1),
        vel=torch.cat([at_rest, vel], dim=1),
    )
    return systems.take(uniforms[4].argsort(dim=1))


def integrate(
    systems: Systems, num_steps: int, dt: float, *, batch_size: int | None = None
) -> Systems:
    r"""Moves the bodies under their gravity by the semi-implicit Euler method.

    .. math::
        v_i \leftarrow v_i + \Delta t \sum_{j \ne i} m_j \frac{x_j - x_i}{\|x_j - x_i\|^3},
        \qquad x_i \leftarrow x_i + \Delta t\, v_i

    There is no softening; bodies closer than 1e-9 count as being at distance 1. On a CPU a system's
    result does not depend on the others in the batch, to the last bit.

    Args:
        systems: The initial states, on the device to compute on.
        num_steps: Steps to take.
        dt: Duration :math:`\Delta t` of a step.
        batch_size: Systems computed at a time; by default as many as suit the caches of a CPU, 2000
            of four bodies, and all on other devices. Memory grows with it and with :math:`n^2`.

    Returns:
        The final states.
    """
    frames = trajectories(systems, num_steps, dt, num_frames=2, batch_size=batch_size)
    return Systems(systems.mass, frames.pos[:, -1], frames.vel[:, -1])


def trajectories(
    systems: Systems, num_steps: int, dt: float, *, num_frames: int, batch_size: int | None = None
) -> Systems:
    """Moves the bodies as :func:`integrate` does and keeps states on the way.

    Args:
        systems: The initial states, on the device to compute on.
        num_steps: Steps to take.
        dt: Duration of a step.
        num_frames: States to keep, ``T``, evenly spaced from the first to the last, both of which
            are among them; ``T - 1`` must divide ``num_steps``.
        batch_size: Systems computed at a time; see :func:`integrate`.

    Returns:
        Masses ``[B, 1, n, 1]``, positions and velocities ``[B, T, n, 3]``.

    Raises:
        TypeError: If a number is of the wrong type.
        ValueError: If a number is out of range, or the frames do not divide the steps.

    Example:
        >>> start = draw_systems(5, num_planets=3, generator=torch.Generator().manual_seed(0))
        >>> trajectories(start, num_steps=100, dt=0.001, num_frames=11).pos.shape
        torch.Size([5, 11, 4, 3])
    """
    every = frame_interval(num_steps, num_frames)
    check_numbers(dt=dt)
    num, num_bodies, _ = systems.pos.shape
    if batch_size is None:
        on_cpu = systems.pos.device.type == "cpu"
        batch_size = max(1, CPU_PAIRS // num_bodies**2 if on_cpu else num)
    check_integers(batch_size=batch_size)
    batches = zip(*(field.split(batch_size) for field in systems), strict=True)
    parts = [_keep_frames(Systems(*batch), every, dt, num_frames) for batch in batches]
    pos, vel = (torch.cat(column) for column in zip(*parts, strict=True))
    return Systems(systems.mass[:, None], pos, vel)


def frame_interval(num_steps: int, num_frames: int) -> int:
    """The steps from one of evenly spaced frames to the next.

    Args:
        num_steps: Steps in all.
        num_frames: Frames, with the first and the last state.

    Raises:
        TypeError: If a number is no integer.
        ValueError: If a number is out of range, or the steps from frame to frame no whole number.
    """
    check_integers(num_steps=num_steps, num_frames=num_frames)
    if num_frames < 2 or num_steps % (num_frames - 1):
        raise ValueError(
            "`num_frames` must be at least 2 and one more than a divisor of `num_steps`, "
            f"{num_steps}, got {num_frames}."
        )
    return num_steps // (num_frames - 1)


def _keep_frames(systems: Systems, every: int, dt: float, num_frames: int) -> tuple[Tensor, Tensor]:
    """Positions and velocities ``[B, T, n, 3]``; computed as ``[3, n, B]``, many to a vector."""
    mass, pos, vel = (field.movedim(0, -1).contiguous() for field in systems)
    mass, pos, vel = mass[:, 0], pos.movedim(1, 0).contiguous(), vel.movedim(1, 0).contiguous()
    frames = [(pos, vel)]
    for _ in range(num_frames - 1):
        for _ in range(every):
            vel = vel + dt * _acceleration(mass, pos)
            pos = pos + dt * vel
        frames.append((pos, vel))
    pos, vel = (torch.stack(column).permute(3, 0, 2, 1) for column in zip(*frames, strict=True))
    return pos, vel


def _acceleration(mass: Tensor, pos: Tensor) -> Tensor:
    """From masses ``[n, B]`` and positions ``[3, n, B]``.

    Single sums, products, quotients and roots are rounded in one way only, wherever in a tensor an
    entry lies; sums along an axis, powers and matrix products are not.
    """
    difference = pos[:, None] - pos[:, :, None]  # entry [:, i, j] points from body i to body j
    x, y, z = difference.square()
    square = x.add_(y).add_(z)
    distance = square.masked_fill_(square < CLOSEST**2, 1.0).sqrt_()
    pull = difference.mul_(mass * (distance * distance).mul_(distance).reciprocal_())
    return reduce(torch.add, pull.unbind(2))


def _log_uniform(uniform: Tensor, bounds: tuple[float, float]) -> Tensor:
    low, high = bounds
    return low * (high / low) ** uniform
