"""Molecular dynamics at a constant temperature: velocity Verlet with Bussi's thermostat."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from ase import units
from numpy.typing import NDArray

__all__ = [
    "Array",
    "MolecularDynamics",
    "Potential",
    "State",
    "internal_modes",
    "remove_rigid_motion",
    "thermal_velocities",
]

Array: TypeAlias = NDArray[np.float64]
Potential: TypeAlias = Callable[[Array], tuple[float, Array]]
"""Positions ``[N, 3]`` in Å to the energy in eV and the forces ``[N, 3]`` in eV/Å."""

_RANK_TOLERANCE = 1e-6


@dataclass(frozen=True)
class State:
    """A molecule at one moment, in ASE's units: Å, eV, u, and the time that goes with them.

    Attributes:
        positions: Shape ``[N, 3]``, in Å.
        velocities: Shape ``[N, 3]``, in Å by ASE's unit of time (10.18 fs).
        energy: Potential energy in eV.
        forces: Shape ``[N, 3]``, in eV/Å.
    """

    positions: Array
    velocities: Array
    energy: float
    forces: Array

    def kinetic_energy(self, masses: Array) -> float:
        """The kinetic energy in eV, for masses ``[N]`` in u."""
        return 0.5 * float(masses @ np.square(self.velocities).sum(axis=1))


@dataclass(frozen=True)
class MolecularDynamics:
    r"""Velocity Verlet with the stochastic velocity rescaling of Bussi et al.

    Before each step of Verlet, all velocities are scaled by the same :math:`\alpha`
    (`arXiv:0803.4060 <https://arxiv.org/abs/0803.4060>`_, Eq. A7), which gives the kinetic energy
    :math:`K` its canonical distribution, with mean :math:`\bar K = f k_B T / 2`, within a time
    :math:`\tau`:

    .. math::
        \alpha^2 = c + (1 - c) \frac{\bar K}{f K} \Bigl(R^2 + \sum_{i=2}^{f} R_i^2\Bigr)
            + 2 R \sqrt{c (1 - c) \frac{\bar K}{f K}}, \qquad c = e^{-\Delta t / \tau}

    with :math:`R, R_i` standard normal and :math:`f` the number of internal modes. A molecule at
    rest stays at rest: scaling leaves no net momentum and no angular momentum where there was none.

    Attributes:
        potential: Gives energies and forces, as a function of nothing but the positions.
        masses: Shape ``[N]``, in u.
        num_modes: Modes of motion that share the kinetic energy, :math:`f`; see
            :func:`internal_modes`.
        timestep: :math:`\Delta t` in fs.
        temperature: :math:`T` in K.
        time_constant: :math:`\tau` in fs; ``None`` leaves the thermostat out, and the total energy
            constant.
    """

    potential: Potential
    masses: Array
    num_modes: int
    timestep: float
    temperature: float
    time_constant: float | None

    def start(self, positions: Array, velocities: Array) -> State:
        """The state with these positions in Å and velocities, both ``[N, 3]``."""
        return State(positions, velocities, *self.potential(positions))

    def step(self, state: State, rng: np.random.Generator) -> State:
        """Goes on by one step.

        Args:
            state: Where the molecule is.
            rng: Source of the thermostat's draws, two a step.

        Returns:
            The state after the step.
        """
        dt = self.timestep * units.fs
        velocities = self._scale(state, rng) * state.velocities
        velocities = velocities + 0.5 * dt * state.forces / self.masses[:, None]
        positions = state.positions + dt * velocities
        energy, forces = self.potential(positions)
        velocities = velocities + 0.5 * dt * forces / self.masses[:, None]
        return State(positions, velocities, energy, forces)

    def _scale(self, state: State, rng: np.random.Generator) -> float:
        if self.time_constant is None:
            return 1.0
        normal = rng.standard_normal()
        others = 2.0 * rng.standard_gamma(0.5 * (self.num_modes - 1))  # a chi-squared sum
        kept = math.exp(-self.timestep / self.time_constant)
        mean = 0.5 * units.kB * self.temperature
        share = (1.0 - kept) * mean / state.kinetic_energy(self.masses)
        return math.sqrt((math.sqrt(kept) + math.sqrt(share) * normal) ** 2 + share * others)


def internal_modes(positions: Array, masses: Array) -> int:
    """Counts the modes of motion besides translation and rotation.

    Args:
        positions: Shape ``[N, 3]``, in Å.
        masses: Shape ``[N]``, in u.

    Returns:
        :math:`3N - 6`, for linear molecules :math:`3N - 5`.

    Example:
        >>> internal_modes(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.ones(3))
        3
    """
    return positions.size - _rigid_motions(positions, masses).shape[1]


def thermal_velocities(
    positions: Array, masses: Array, temperature: float, rng: np.random.Generator
) -> Array:
    """Draws velocities of Maxwell and Boltzmann without net momentum and angular momentum.

    The draw is restricted to the internal modes, each of which has :math:`k_B T / 2` on average.

    Args:
        positions: Shape ``[N, 3]``, in Å.
        masses: Shape ``[N]``, in u.
        temperature: In K.
        rng: Source of the draws.

    Returns:
        Shape ``[N, 3]``, in Å by ASE's unit of time.
    """
    speeds = np.sqrt(units.kB * temperature / masses)[:, None]
    return remove_rigid_motion(positions, speeds * rng.standard_normal(positions.shape), masses)


def remove_rigid_motion(positions: Array, velocities: Array, masses: Array) -> Array:
    """Takes translation and rotation out of velocities.

    Args:
        positions: Shape ``[N, 3]``, in Å.
        velocities: Shape ``[N, 3]``.
        masses: Shape ``[N]``, in u.

    Returns:
        The nearest velocities, weighted by mass, without momentum and angular momentum.
    """
    roots = np.sqrt(masses)[:, None]
    weighted = (roots * velocities).ravel()
    rigid = _rigid_motions(positions, masses)
    return (weighted - rigid @ (rigid.T @ weighted)).reshape(-1, 3) / roots


def _rigid_motions(positions: Array, masses: Array) -> Array:
    """An orthonormal basis ``[3N, 6]`` of mass-weighted translations and rotations.

    Linear molecules have five, and single atoms three.
    """
    centred = positions - masses @ positions / masses.sum()
    motions = [np.broadcast_to(axis, centred.shape) for axis in np.eye(3)]
    motions += [np.cross(axis, centred) for axis in np.eye(3)]
    weighted = np.stack([(np.sqrt(masses)[:, None] * motion).ravel() for motion in motions], axis=1)
    basis, sizes, _ = np.linalg.svd(weighted, full_matrices=False)
    return basis[:, sizes > _RANK_TOLERANCE * sizes[0]]
