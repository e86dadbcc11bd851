"""Energies and forces of GFN2-xTB."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from ase.calculators.calculator import CalculationFailed

from pyg_remul.dynamics import MolecularDynamics, internal_modes, thermal_velocities
from pyg_remul.molecules import load_molecule
from pyg_remul.xtb import gfn2_xtb, xtb_threads

tblite = pytest.importorskip("tblite", reason="needs the extra xtb")


@pytest.fixture(autouse=True)
def _one_thread():
    with xtb_threads(1):
        yield


@pytest.fixture
def ethanol():
    return load_molecule("ethanol")


@pytest.fixture
def potential(ethanol):
    return gfn2_xtb(ethanol.numbers, ethanol.positions)


def moved(atoms, seed=0, scale=0.05):
    rng = np.random.default_rng(seed)
    return atoms.positions + scale * rng.standard_normal(atoms.positions.shape)


def test_forces_are_minus_the_gradient_of_the_energy(ethanol, potential):
    positions, step = moved(ethanol), 1e-3
    _, forces = potential(positions)
    for place in [(0, 0), (2, 1), (8, 2)]:
        ends = []
        for sign in (1, -1):
            shifted = positions.copy()
            shifted[place] += sign * step
            ends.append(potential(shifted)[0])
        assert -(ends[0] - ends[1]) / (2 * step) == pytest.approx(forces[place], abs=2e-3)


def test_energy_and_forces_are_those_of_the_calculator_for_ase(ethanol, potential):
    from tblite.ase import TBLite

    ethanol.positions = moved(ethanol)
    ethanol.calc = TBLite(method="GFN2-xTB", verbosity=0)
    energy, forces = potential(ethanol.positions)
    assert energy == pytest.approx(ethanol.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(forces, ethanol.get_forces(), atol=1e-4)


def test_result_depends_on_nothing_but_the_positions(ethanol, potential):
    places = [moved(ethanol, seed) for seed in range(5)]
    forwards = [potential(place) for place in places]
    backwards = [potential(place) for place in reversed(places)][::-1]
    anew = [gfn2_xtb(ethanol.numbers, place)(place) for place in places]
    for results in zip(forwards, backwards, anew, strict=True):
        assert len({energy for energy, _ in results}) == 1
        assert len({forces.tobytes() for _, forces in results}) == 1


def test_total_energy_does_not_drift(ethanol, potential):
    masses = ethanol.get_masses()
    modes = internal_modes(ethanol.positions, masses)
    dynamics = MolecularDynamics(potential, masses, modes, 0.5, 500.0, None)
    rng = np.random.default_rng(0)
    velocities = thermal_velocities(ethanol.positions, masses, 500.0, rng)
    state = dynamics.start(ethanol.positions, velocities)
    energies = []
    for _ in range(1000):
        state = dynamics.step(state, rng)
        energies.append(state.energy + state.kinetic_energy(masses))
    assert np.mean(energies[-200:]) == pytest.approx(np.mean(energies[:200]), abs=5e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda place: 30.0 * place, "not converged"),
        (lambda place: 0.0 * place, "[Tt]oo close"),
        (lambda place: np.nan * place, "eigenvalue"),
    ],
    ids=["torn apart", "coinciding", "not a number"],
)
def test_calculation_without_a_result_fails(ethanol, potential, change, message):
    with pytest.raises(CalculationFailed, match=message):
        potential(change(ethanol.positions))


def test_failure_leaves_later_results_alone(ethanol, potential):
    before = potential(ethanol.positions)[0]
    with pytest.raises(CalculationFailed, match="not converged"):
        potential(30.0 * ethanol.positions)
    assert potential(ethanol.positions)[0] == before


def test_element_beyond_the_method_is_refused():
    with pytest.raises(ValueError, match=r"`molecule` must suit GFN2-xTB: .*elements.*>86"):
        gfn2_xtb(np.array([6, 99]), np.array([[0.0, 0, 0], [1.5, 0, 0]]))


def test_nothing_is_printed(ethanol, potential, capfd):
    potential(ethanol.positions)
    with pytest.raises(CalculationFailed, match="not converged"):
        potential(30.0 * ethanol.positions)
    assert capfd.readouterr() == ("", "")


def test_threads_are_set_for_a_while():
    openmp = ctypes.CDLL(tblite._libtblite.__file__)
    openmp.omp_set_num_threads(3)
    with pytest.raises(KeyError, match="any"), xtb_threads(2):  # noqa: PT012
        assert openmp.omp_get_max_threads() == 2
        raise KeyError("any")
    assert openmp.omp_get_max_threads() == 3


@pytest.mark.parametrize("molecule", ["ethanol", "benzene", "malonaldehyde", "uracil"])
def test_molecules_of_md17_are_relaxed(molecule):
    atoms = load_molecule(molecule)
    _, forces = gfn2_xtb(atoms.numbers, atoms.positions)(atoms.positions)
    assert np.abs(forces).max() < 2e-3
