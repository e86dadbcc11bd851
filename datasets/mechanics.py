r"""Energy and momenta of gravitating bodies, for checks of simulations and of predictions."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_remul.datasets.nbody_simulator import Systems

__all__ = ["total_angular_momentum", "total_energy", "total_momentum"]


def total_energy(systems: Systems) -> Tensor:
    r"""Kinetic and potential energy, with :math:`G = 1`.

    .. math::
        E = \sum_i \tfrac{1}{2} m_i \|v_i\|^2 - \sum_{i < j} \frac{m_i m_j}{\|x_j - x_i\|}

    The semi-implicit Euler method does not conserve it but keeps it near its initial value, at a
    distance of the order of the time step.

    Args:
        systems: Masses ``[..., n, 1]``, positions and velocities ``[..., n, 3]``, such as the
            frames of :func:`~pyg_remul.datasets.nbody_simulator.trajectories`.

    Returns:
        Shape ``[...]``; infinite where two bodies are in one place.

    Example:
        >>> mass, pos = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0, 0, 0], [4.0, 0, 0]])
        >>> total_energy(Systems(mass, pos, torch.zeros(2, 3)))
        tensor(-0.5000)
    """
    mass, pos, vel = systems
    kinetic = 0.5 * (mass * vel.square()).sum(dim=(-2, -1))
    first, second = torch.triu_indices(pos.size(-2), pos.size(-2), offset=1, device=pos.device)
    distance = (pos[..., second, :] - pos[..., first, :]).norm(dim=-1)
    product = (mass[..., first, :] * mass[..., second, :]).squeeze(-1)
    return kinetic - (product / distance).sum(dim=-1)


def total_momentum(systems: Systems) -> Tensor:
    r"""Total momentum :math:`\sum_i m_i v_i`, which the simulator conserves but for rounding.

    Args:
        systems: Masses ``[..., n, 1]`` and velocities ``[..., n, 3]``.

    Returns:
        Shape ``[..., 3]``, a vector under rotations.
    """
    return (systems.mass * systems.vel).sum(dim=-2)


def total_angular_momentum(systems: Systems) -> Tensor:
    r"""Angular momentum :math:`\sum_i m_i x_i \times v_i` about the origin.

    The simulator conserves it but for rounding.

    Args:
        systems: Masses ``[..., n, 1]``, positions and velocities ``[..., n, 3]``.

    Returns:
        Shape ``[..., 3]``, a pseudovector under rotations and reflections.
    """
    return (systems.mass * torch.linalg.cross(systems.pos, systems.vel)).sum(dim=-2)
