from __future__ import annotations

import numpy as np
import pytest
import torch

from pyg_remul.datasets.nbody_simulator import Systems, draw_systems, integrate, trajectories

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


def per_system(start: Systems, end: Systems) -> dict[str, torch.Tensor]:
    """Quantities whose means over systems the recipe's reference numbers are, or squares of."""
    displacement = end.pos - start.pos
    distance = displacement.norm(dim=-1)
    kept, planets = distance.amax(dim=1) <= 2, start.mass[..., 0] < 1
    center = (start.mass * start.pos).sum(1) / start.mass.sum(1)
    extrapolation = (displacement - 0.1 * start.vel).square()
    return {
        "kept": kept.double(),
        "persistence": displacement[kept].square().mean(dim=(1, 2)),
        "extrapolation": extrapolation[kept].mean(dim=(1, 2)),
        "planet displacement": distance[kept][planets[kept]].reshape(-1, 3).mean(dim=1),
        "star to centre of mass": center.norm(dim=1),
        "star to centroid": start.pos.mean(dim=1).norm(dim=1),
        "in-plane std": start.pos[..., :2].square().mean(dim=(1, 2)),
        "velocity rms": start.vel.square().mean(dim=(1, 2)),
    }


@pytest.mark.parametrize(
    ("name", "reference", "digit", "power"),
    [
        ("kept", 0.998, 0.001, 1),
        ("persistence", 0.0159, 0.0001, 1),
        ("extrapolation", 0.0057, 0.0001, 1),
        ("planet displacement", 0.235, 0.001, 1),
        ("star to centre of mass", 0.018, 0.001, 1),
        ("star to centroid", 0.28, 0.01, 1),
        ("in-plane std", 0.435, 0.001, 2),
        ("velocity rms", 1.34, 0.01, 2),
    ],
)
def test_statistic_is_that_of_the_recipe(
    start: Systems, end: Systems, name: str, reference: float, digit: float, power: int
) -> None:
    """The references are of as many draws, printed to a digit: errors of both, and of rounding."""
    values = per_system(start, end)[name]
    mean, error = values.mean().item(), values.std().item() / len(values) ** 0.5
    found = mean ** (1 / power)
    error *= found / (power * mean)  # of the root of a mean
    assert found == pytest.approx(reference, rel=0, abs=3 * 2**0.5 * error + digit / 2)


def test_statistics_tell_other_systems_from_the_recipe(start: Systems) -> None:
    end = integrate(start, num_steps=110, dt=0.001)
    values = per_system(start, end)["persistence"]
    error = values.std().item() / len(values) ** 0.5
    assert abs(values.mean().item() - 0.0159) > 6 * error + 0.00005


def test_positions_start_in_the_plane(start: Systems) -> None:
    assert start.pos[..., 2].abs().max() == 0


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


@pytest.mark.parametrize("num_planets", [3, 30], ids="{} planets".format)
@pytest.mark.parametrize("batch_size", [1, 3, 64, None])
def test_batch_size_changes_no_bit(num_planets: int, batch_size: int | None) -> None:
    start = draw(67, num_planets)
    whole = integrate(start, 20, 0.001, batch_size=67)
    parts = integrate(start, 20, 0.001, batch_size=batch_size)
    assert all(torch.equal(*fields) for fields in zip(parts, whole, strict=True))


def test_a_lone_system_is_integrated_as_among_others(start: Systems, end: Systems) -> None:
    alone = integrate(Systems(*(field[7:8] for field in start)), 100, 0.001)
    assert torch.equal(alone.pos, end.pos[7:8])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_devices_agree_but_for_rounding() -> None:
    start = draw(200)
    end, other = integrate(start, 100, 0.001), integrate(start.to("cuda"), 100, 0.001).to("cpu")
    kept = (end.pos - start.pos).norm(dim=-1).amax(dim=1) <= 2
    torch.testing.assert_close(other.pos[kept], end.pos[kept], rtol=0, atol=1e-9)


def test_trajectories_lead_from_start_to_end() -> None:
    start = draw(5)
    frames = trajectories(start, 100, 0.001, num_frames=6)
    end = integrate(start, 100, 0.001)
    for name in ("pos", "vel"):
        found = getattr(frames, name)
        assert found.shape == (5, 6, 4, 3)
        assert torch.equal(found[:, 0], getattr(start, name))
        assert torch.equal(found[:, -1], getattr(end, name))


@pytest.mark.parametrize("frame", [1, 2, 4])
def test_each_frame_is_the_end_of_a_shorter_simulation(frame: int) -> None:
    start = draw(5)
    frames = trajectories(start, 100, 0.001, num_frames=6)
    end = integrate(start, 20 * frame, 0.001)
    assert torch.equal(frames.pos[:, frame], end.pos)
    assert torch.equal(frames.vel[:, frame], end.vel)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_frames": 1}, ValueError, "`num_frames` must be at least 2 and one more .*got 1"),
        ({"num_frames": 4}, ValueError, "one more than a divisor of `num_steps`, 10, got 4"),
        ({"num_frames": 2.0}, TypeError, "`num_frames` must be an integer, got 2.0"),
        ({"num_steps": 0}, ValueError, "`num_steps` must be positive, got 0"),
        ({"dt": -1.0}, ValueError, "`dt` must be positive, got -1.0"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be positive, got 0"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_impossible_frames_are_refused(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        trajectories(draw(1), **{"num_steps": 10, "dt": 0.1, "num_frames": 3, **options})


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
