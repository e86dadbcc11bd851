"""Gravitational systems of a star and planets, many at a time, in float64."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Systems", "draw_systems", "integrate"]

STAR_MASS = (1.0, 10.0)
PLANET_MASS = (0.01, 0.1)
ORBIT_RADIUS = (0.1, 1.0)
VELOCITY_NOISE = 0.01
CLOSEST = 1e-9


class Systems(NamedTuple):
    """Systems of ``n`` bodies: masses ``[B, n, 1]``, positions and velocities ``[B, n, 3]``."""

    mass: Tensor
    pos: Tensor
    vel: Tensor

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


def integrate(systems: Systems, num_steps: int, dt: float) -> Systems:
    r"""Moves the bodies under their gravity by the semi-implicit Euler method.

    .. math::
        v_i \leftarrow v_i + \Delta t \sum_{j \ne i} m_j \frac{x_j - x_i}{\|x_j - x_i\|^3},
        \qquad x_i \leftarrow x_i + \Delta t\, v_i

    There is no softening; bodies closer than 1e-9 count as being at distance 1.

    Args:
        systems: The initial states.
        num_steps: Steps to take.
        dt: Duration :math:`\Delta t` of a step.

    Returns:
        The final states.
    """
    mass, pos, vel = systems
    for _ in range(num_steps):
        vel = vel + dt * _acceleration(mass, pos)
        pos = pos + dt * vel
    return Systems(mass, pos, vel)


def _acceleration(mass: Tensor, pos: Tensor) -> Tensor:
    difference = pos[:, None] - pos[:, :, None]  # entry [b, i, j] points from body i to body j
    distance = difference.norm(dim=-1)
    distance = torch.where(distance < CLOSEST, 1.0, distance)
    return torch.einsum("bj,bij,bijc->bic", mass[..., 0], distance**-3, difference)


def _log_uniform(uniform: Tensor, bounds: tuple[float, float]) -> Tensor:
    low, high = bounds
    return low * (high / low) ** uniform
