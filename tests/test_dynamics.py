"""Molecular dynamics at a constant temperature."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ase import units
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.dynamics import (
    MolecularDynamics,
    internal_modes,
    remove_rigid_motion,
    thermal_velocities,
)

TRIANGLE = np.array([[0.0, 0, 0], [1.0, 0, 0], [0.3, 0.9, 0]])
LINE = np.array([[0.0, 0, 0], [1.0, 0, 0], [2.5, 0, 0]])
MASSES = np.array([12.0, 1.0, 16.0])


def springs(positions):
    """Pairs of atoms held at 1.2 Å by springs of 20 eV/Å²."""
    offsets = positions[:, None] - positions
    lengths = np.linalg.norm(offsets, axis=-1) + np.eye(len(positions))
    stretch = (lengths - 1.2) * (1 - np.eye(len(positions)))
    forces = -20.0 * (stretch / lengths)[..., None] * offsets
    return 5.0 * float((stretch**2).sum()), forces.sum(axis=1)


def wells(positions):
    """A harmonic well of its own for every atom."""
    return 5.0 * float((positions**2).sum()), -10.0 * positions


def make(potential=springs, modes=3, timestep=0.5, time_constant=100.0, masses=MASSES):
    return MolecularDynamics(potential, masses, modes, timestep, 500.0, time_constant)


def begin(dynamics, seed=0, positions=TRIANGLE):
    rng = np.random.default_rng(seed)
    return dynamics.start(positions, thermal_velocities(positions, MASSES, 500.0, rng))


def run(dynamics, state, steps, seed=1):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        state = dynamics.step(state, rng)
    return state


def momentum(state):
    return MASSES @ state.velocities


def angular_momentum(state):
    return np.cross(state.positions, MASSES[:, None] * state.velocities).sum(axis=0)


def total_energy(dynamics, state):
    return state.energy + state.kinetic_energy(dynamics.masses)


def test_thermostat_gives_the_kinetic_energy_its_canonical_distribution():
    rng = np.random.default_rng(0)
    masses = rng.uniform(1.0, 16.0, 4)
    dynamics = make(wells, modes=12, timestep=2.0, time_constant=20.0, masses=masses)
    state = dynamics.start(0.1 * rng.standard_normal((4, 3)), 0.1 * rng.standard_normal((4, 3)))
    kinetic = []
    for step in range(21_000):
        state = dynamics.step(state, rng)
        if step >= 1000:
            kinetic.append(state.kinetic_energy(masses))
    mean = 6 * units.kB * 500
    assert np.mean(kinetic) == pytest.approx(mean, rel=0.05)
    assert np.std(kinetic) == pytest.approx(mean / math.sqrt(6), rel=0.1)


def test_thermostat_heats_within_its_time_constant():
    dynamics = make(lambda positions: (0.0, 0 * positions), time_constant=50.0)
    kinetic = [
        run(dynamics, replace(begin(dynamics), velocities=1e-3 * TRIANGLE), 100, seed)
        for seed in range(300)
    ]
    mean = np.mean([state.kinetic_energy(MASSES) for state in kinetic])
    assert mean == pytest.approx(1.5 * units.kB * 500 * (1 - math.exp(-1)), rel=0.15)


def test_total_energy_is_constant_without_a_thermostat():
    dynamics = make(time_constant=None, timestep=0.1)
    state = begin(dynamics)
    after = run(dynamics, state, 5000)
    assert total_energy(dynamics, after) == pytest.approx(total_energy(dynamics, state), abs=1e-3)


def test_error_of_the_energy_falls_with_the_square_of_the_time_step():
    errors = []
    for timestep in (0.4, 0.2):
        dynamics = make(time_constant=None, timestep=timestep)
        state = begin(dynamics)
        energy, largest = total_energy(dynamics, state), 0.0
        for _ in range(round(100 / timestep)):
            state = dynamics.step(state, np.random.default_rng(0))
            largest = max(largest, abs(total_energy(dynamics, state) - energy))
        errors.append(largest)
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)


def test_motion_without_a_thermostat_is_reversible():
    dynamics = make(time_constant=None)
    state = begin(dynamics)
    turned = run(dynamics, state, 200)
    back = run(dynamics, replace(turned, velocities=-turned.velocities), 200)
    np.testing.assert_allclose(back.positions, state.positions, atol=1e-10)


def test_molecule_at_rest_stays_at_rest():
    dynamics = make()
    state = run(dynamics, begin(dynamics), 2000)
    np.testing.assert_allclose(momentum(state), 0, atol=1e-12)
    np.testing.assert_allclose(angular_momentum(state), 0, atol=1e-12)
    centre = MASSES @ (state.positions - TRIANGLE) / MASSES.sum()
    np.testing.assert_allclose(centre, 0, atol=1e-12)


def test_equal_draws_give_equal_steps():
    dynamics = make()
    first, second = (run(dynamics, begin(dynamics), 10) for _ in range(2))
    assert (first.positions == second.positions).all()
    assert (run(dynamics, begin(dynamics), 10, seed=2).positions != first.positions).any()


def test_state_is_left_alone():
    dynamics = make()
    state = begin(dynamics)
    copies = [np.copy(array) for array in (state.positions, state.velocities, state.forces)]
    run(dynamics, state, 3)
    for array, copy in zip((state.positions, state.velocities, state.forces), copies, strict=True):
        assert (array == copy).all()


def test_diatomic_molecule_keeps_its_temperature():
    masses, positions = np.array([1.0, 35.0]), np.array([[0.0, 0, 0], [0, 0, 1.2]])
    dynamics = make(modes=1, masses=masses, timestep=1.0, time_constant=10.0)
    rng = np.random.default_rng(0)
    state = dynamics.start(positions, thermal_velocities(positions, masses, 500.0, rng))
    kinetic = []
    for _ in range(20_000):
        state = dynamics.step(state, rng)
        kinetic.append(state.kinetic_energy(masses))
    assert np.mean(kinetic) == pytest.approx(0.5 * units.kB * 500, rel=0.1)


@pytest.mark.parametrize(
    ("positions", "modes"),
    [(TRIANGLE, 3), (LINE, 4), (LINE[:2], 1), (LINE[:1], 0)],
    ids=["bent", "linear", "diatomic", "atom"],
)
def test_internal_modes_are_counted(positions, modes):
    turned = positions @ np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0] + 100.0
    for place in (positions, turned):
        assert internal_modes(place, MASSES[: len(place)]) == modes


@given(st.integers(0, 1000), st.sampled_from([TRIANGLE, LINE]))
def test_thermal_velocities_have_no_momentum(seed, positions):
    dynamics = make()
    state = begin(dynamics, seed, positions + 5.0)
    np.testing.assert_allclose(momentum(state), 0, atol=1e-13)
    np.testing.assert_allclose(angular_momentum(state), 0, atol=1e-12)


@pytest.mark.parametrize("positions", [TRIANGLE, LINE], ids=["bent", "linear"])
def test_thermal_velocities_share_the_energy_among_internal_modes(positions):
    dynamics = make()
    kinetic = [begin(dynamics, seed, positions).kinetic_energy(MASSES) for seed in range(2000)]
    modes = internal_modes(positions, MASSES)
    assert np.mean(kinetic) == pytest.approx(0.5 * modes * units.kB * 500, rel=0.06)


@given(st.integers(0, 1000))
def test_removing_rigid_motion_leaves_the_rest(seed):
    rng = np.random.default_rng(seed)
    internal = thermal_velocities(TRIANGLE, MASSES, 500.0, rng)
    shift, axis = rng.standard_normal((2, 3))
    found = remove_rigid_motion(TRIANGLE, internal + shift + np.cross(axis, TRIANGLE), MASSES)
    np.testing.assert_allclose(found, internal, atol=1e-12)
