from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from pyg_remul import SO3
from pyg_remul.datasets.mechanics import total_angular_momentum, total_energy, total_momentum
from pyg_remul.datasets.nbody_simulator import Systems, draw_systems, integrate, trajectories


@pytest.fixture(scope="module")
def start() -> Systems:
    """Systems that stay within the recipe's displacement."""
    systems = draw_systems(2000, 3, torch.Generator().manual_seed(0))
    end = integrate(systems, num_steps=100, dt=0.001)
    kept = (end.pos - systems.pos).norm(dim=-1).amax(dim=1) <= 2
    return Systems(*(field[kept] for field in systems))


@pytest.fixture(scope="module")
def frames(start: Systems) -> Systems:
    return trajectories(start, num_steps=100, dt=0.001, num_frames=5)


def drift(quantity: torch.Tensor) -> torch.Tensor:
    """How far a quantity gets from its initial value, by system."""
    change = quantity - quantity[:, :1]
    return (change.norm(dim=-1) if change.dim() == 3 else change.abs()).amax(dim=1)


def pair(distance: float = 4.0) -> Systems:
    """Two bodies that move past each other."""
    mass = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    pos = torch.tensor([[0.0, 0, 0], [distance, 0, 0]], dtype=torch.float64)
    vel = torch.tensor([[0.0, 3, 0], [0, 0, -1]], dtype=torch.float64)
    return Systems(mass, pos, vel)


def test_energy_is_kinetic_and_potential() -> None:
    assert total_energy(pair()).item() == pytest.approx(4.5 + 1.0 - 0.5, rel=1e-12)


def test_momentum_is_that_of_all_bodies() -> None:
    assert total_momentum(pair()).tolist() == [0, 3, -2]


def test_angular_momentum_is_about_the_origin() -> None:
    assert total_angular_momentum(pair()).tolist() == [0, 8, 0]


def test_energy_of_bodies_in_one_place_is_infinite() -> None:
    assert total_energy(pair(distance=0.0)).item() == -torch.inf


@pytest.mark.parametrize("total", [total_energy, total_momentum, total_angular_momentum])
def test_frames_are_measured_one_by_one(frames: Systems, total) -> None:
    whole = total(frames)
    for place in range(frames.pos.size(1)):
        frame = Systems(frames.mass[:, 0], frames.pos[:, place], frames.vel[:, place])
        torch.testing.assert_close(whole[:, place], total(frame), rtol=1e-12, atol=1e-12)


def test_totals_turn_as_they_say(start: Systems) -> None:
    matrix = SO3().sample(1, dtype=torch.float64).matrix[0]
    turned = Systems(start.mass, start.pos @ matrix.mT, start.vel @ matrix.mT)
    close = {"rtol": 0, "atol": 1e-12}
    for total in (total_momentum, total_angular_momentum):
        torch.testing.assert_close(total(turned), total(start) @ matrix.mT, **close)
    torch.testing.assert_close(total_energy(turned), total_energy(start), rtol=1e-12, atol=0)


def test_simulation_conserves_momentum(frames: Systems) -> None:
    assert drift(total_momentum(frames)).max().item() == pytest.approx(0, abs=1e-12)


def test_simulation_conserves_angular_momentum(frames: Systems) -> None:
    assert drift(total_angular_momentum(frames)).max().item() == pytest.approx(0, abs=1e-12)


def test_other_integrators_do_not_conserve_angular_momentum(start: Systems) -> None:
    end = integrate(start, num_steps=100, dt=0.001)
    straight = Systems(start.mass, start.pos + 0.1 * start.vel, end.vel)
    change = total_angular_momentum(straight) - total_angular_momentum(start)
    assert change.norm(dim=-1).median() > 1e-3


def test_energy_stays_near_its_initial_value(start: Systems) -> None:
    energy = total_energy(trajectories(start, num_steps=1000, dt=0.001, num_frames=11))
    relative = drift(energy) / energy[:, 0].abs()
    assert relative.median() < 5e-4


def test_energy_error_is_of_the_order_of_the_time_step(start: Systems) -> None:
    errors = []
    for num_steps in (50, 100, 200, 400):
        energy = total_energy(trajectories(start, num_steps, 0.1 / num_steps, num_frames=2))
        errors.append((drift(energy) / energy[:, 0].abs()).median().item())
    for coarse, fine in pairwise(errors):
        assert coarse / fine == pytest.approx(2, rel=0.1)
