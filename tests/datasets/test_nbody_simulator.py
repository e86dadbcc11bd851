from __future__ import annotations

import numpy as np
import pytest
import torch

from pyg_remul.datasets._nbody_simulator import Systems, draw_systems, integrate

NUM = 20_000


def draw(num: int, num_planets: int = 3, seed: int = 0) -> Systems:
    return draw_systems(num, num_planets, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def start() -> Systems:
    return draw(NUM)


@pytest.fixture(scope="module")
def end(start: Systems) -> Systems:
    return integrate(start, num_steps=100, dt=0.001)


@pytest.fixture(scope="module")
def displacement(start: Systems, end: Systems) -> torch.Tensor:
    return (end.pos - start.pos).norm(dim=-1)


@pytest.fixture(scope="module")
def kept(displacement: torch.Tensor) -> torch.Tensor:
    return displacement.amax(dim=1) <= 2


@pytest.fixture(scope="module")
def is_star(start: Systems) -> torch.Tensor:
    return start.mass[..., 0] >= 1


def loop_over_bodies(mass: np.ndarray, pos: np.ndarray, vel: np.ndarray, steps: int) -> np.ndarray:
    """One system, written out body by body."""
    pos, vel = pos.copy(), vel.copy()
    for _ in range(steps):
        for i in range(len(mass)):
            for j in range(len(mass)):
                if i != j:
                    between = pos[j] - pos[i]
                    vel[i] += 0.001 * mass[j, 0] * between / np.linalg.norm(between) ** 3
        for i in range(len(mass)):
            pos[i] += 0.001 * vel[i]
    return pos


def test_kept_share_is_that_of_the_recipe(kept: torch.Tensor) -> None:
    assert kept.double().mean().item() == pytest.approx(0.998, abs=0.001)


def test_persistence_error_is_that_of_the_recipe(
    start: Systems, end: Systems, kept: torch.Tensor
) -> None:
    error = (end.pos - start.pos)[kept].square().mean().item()
    assert error == pytest.approx(0.0159, rel=0.05)


def test_linear_extrapolation_error_is_that_of_the_recipe(
    start: Systems, end: Systems, kept: torch.Tensor
) -> None:
    error = (end.pos - start.pos - 0.1 * start.vel)[kept].square().mean().item()
    assert error == pytest.approx(0.0057, rel=0.05)


def test_planets_move_as_far_as_in_the_recipe(
    displacement: torch.Tensor, kept: torch.Tensor, is_star: torch.Tensor
) -> None:
    mean = displacement[~is_star & kept[:, None]].mean().item()
    assert mean == pytest.approx(0.235, rel=0.05)


def test_positions_spread_in_the_plane_as_in_the_recipe(start: Systems) -> None:
    assert start.pos[..., :2].std().item() == pytest.approx(0.435, rel=0.05)


def test_positions_start_in_the_plane(start: Systems) -> None:
    assert start.pos[..., 2].abs().max() == 0


def test_velocities_are_as_large_as_in_the_recipe(start: Systems) -> None:
    assert start.vel.square().mean().sqrt().item() == pytest.approx(1.34, rel=0.05)


def test_star_is_as_far_from_the_centre_of_mass_as_in_the_recipe(start: Systems) -> None:
    center = (start.mass * start.pos).sum(1) / start.mass.sum(1)
    assert center.norm(dim=1).mean().item() == pytest.approx(0.018, rel=0.05)


def test_star_is_as_far_from_the_centroid_as_in_the_recipe(start: Systems) -> None:
    assert start.pos.mean(dim=1).norm(dim=1).mean().item() == pytest.approx(0.28, rel=0.05)


def test_each_system_has_one_star(is_star: torch.Tensor) -> None:
    assert (is_star.sum(dim=1) == 1).all()


def test_star_rests_in_the_origin(start: Systems, is_star: torch.Tensor) -> None:
    assert start.pos[is_star].abs().max() == 0
    assert start.vel[is_star].abs().max() == 0


@pytest.mark.parametrize(
    ("star", "low", "high"), [(True, 1, 10), (False, 0.01, 0.1)], ids=["star", "planets"]
)
def test_masses_are_log_uniform(
    start: Systems, is_star: torch.Tensor, star: bool, low: float, high: float
) -> None:
    mass = start.mass[is_star == star]
    assert mass.min() >= low
    assert mass.max() <= high
    position = mass.log().sub(np.log(low)) / np.log(high / low)
    assert position.mean().item() == pytest.approx(0.5, abs=0.01)
    assert position.std().item() == pytest.approx(12**-0.5, abs=0.01)


def test_planets_are_uniform_in_area(start: Systems, is_star: torch.Tensor) -> None:
    radius = start.pos[~is_star].norm(dim=-1)
    assert radius.min() >= 0.1
    assert radius.max() <= 1
    assert radius.square().mean().item() == pytest.approx(0.505, abs=0.005)


def test_planets_go_either_way_round(start: Systems, is_star: torch.Tensor) -> None:
    spin = torch.linalg.cross(start.pos, start.vel)[~is_star][:, 2]
    assert (spin > 0).double().mean().item() == pytest.approx(0.5, abs=0.01)


def test_orbits_are_circular_but_for_noise(start: Systems, is_star: torch.Tensor) -> None:
    star_mass = start.mass[is_star].expand(-1, 3).flatten()
    pos, vel = start.pos[~is_star], start.vel[~is_star]
    ratio = vel.norm(dim=-1) / (star_mass / pos.norm(dim=-1)).sqrt()
    assert ratio.mean().item() == pytest.approx(1, abs=1e-3)
    assert vel[:, 2].std().item() == pytest.approx(0.01, rel=0.05)
    assert ((vel * pos).sum(-1) / pos.norm(dim=-1)).std().item() == pytest.approx(0.01, rel=0.05)


def test_star_may_be_any_body(is_star: torch.Tensor) -> None:
    share = is_star.double().mean(dim=0)
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.02)


def test_integration_agrees_with_a_loop_over_bodies() -> None:
    start = draw(5)
    end = integrate(start, num_steps=100, dt=0.001)
    for system in range(5):
        expected = loop_over_bodies(*(field[system].numpy() for field in start), steps=100)
        np.testing.assert_allclose(end.pos[system].numpy(), expected, rtol=0, atol=1e-10)


def test_momentum_is_conserved(start: Systems, end: Systems, kept: torch.Tensor) -> None:
    before, after = ((s.mass * s.vel).sum(dim=1)[kept] for s in (start, end))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-10)


def test_a_lone_body_goes_straight() -> None:
    vel = torch.tensor([[[1.0, 2.0, 3.0]]], dtype=torch.float64)
    lone = Systems(torch.ones(1, 1, 1).double(), torch.zeros(1, 1, 3).double(), vel)
    torch.testing.assert_close(integrate(lone, 10, 0.1).pos, vel, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("distance", "speed"), [(0.0, 0.0), (1e-10, 1e-11), (0.5, 0.4)], ids=["none", "tiny", "large"]
)
def test_only_the_closest_bodies_count_as_distant(distance: float, speed: float) -> None:
    pos = torch.tensor([[[0.0, 0, 0], [distance, 0, 0]]], dtype=torch.float64)
    pair = Systems(torch.ones(1, 2, 1, dtype=torch.float64), pos, torch.zeros_like(pos))
    vel = integrate(pair, num_steps=1, dt=0.1).vel[0, :, 0]
    assert vel.tolist() == pytest.approx([speed, -speed], rel=1e-12, abs=0)


def test_draws_follow_the_generator() -> None:
    assert torch.equal(draw(10, seed=1).pos, draw(10, seed=1).pos)
    assert not torch.equal(draw(10, seed=1).pos, draw(10, seed=2).pos)


def test_number_of_planets_is_free() -> None:
    assert draw(2, num_planets=5).pos.shape == (2, 6, 3)
