"""Simulating N-body systems against plain NumPy with a loop over systems for their order."""

from __future__ import annotations

from tempfile import TemporaryDirectory

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pyg_remul.benchmarks.harness import Case, Settings
from pyg_remul.benchmarks.report import Report
from pyg_remul.datasets import NBody

NUM_SYSTEMS, SURPLUS = 5000, 1.1
NUM_STEPS, DT = 100, 0.001

Array = NDArray[np.float64]


def draw(num: int, num_planets: int, random: Generator) -> tuple[Array, Array, Array]:
    """Masses ``[B, n]``, positions and velocities ``[B, n, 3]``, in random order."""
    star = np.exp(random.uniform(np.log(1), np.log(10), (num, 1)))
    planets = np.exp(random.uniform(np.log(0.01), np.log(0.1), (num, num_planets)))
    radius = np.sqrt(random.uniform(0.1**2, 1, (num, num_planets)))
    angle = random.uniform(0, 2 * np.pi, (num, num_planets))
    speed = np.sqrt(star / radius) * random.choice([-1, 1], (num, num_planets))
    flat = np.zeros_like(angle)
    pos = radius[..., None] * np.stack([np.cos(angle), np.sin(angle), flat], axis=-1)
    vel = speed[..., None] * np.stack([-np.sin(angle), np.cos(angle), flat], axis=-1)
    vel += random.normal(scale=0.01, size=vel.shape)
    at_rest = np.zeros((num, 1, 3))
    mass = np.concatenate([star, planets], axis=1)
    pos, vel = (np.concatenate([at_rest, planets], axis=1) for planets in (pos, vel))
    for index in range(num):
        order = random.permutation(num_planets + 1)
        for field in (mass, pos, vel):
            field[index] = field[index][order]
    return mass, pos, vel


def accelerate(mass: Array, pos: Array) -> Array:
    """The accelerations ``[B, n, 3]``."""
    difference = pos[:, None] - pos[:, :, None]
    distance = np.linalg.norm(difference, axis=-1, keepdims=True)
    distance[distance < 1e-9] = 1
    return (mass[:, None, :, None] * difference / distance**3).sum(axis=2)


def simulate(num_systems: int, num_planets: int, random: Generator) -> dict[str, Array]:
    """Turned and centred systems that stay together, with their final positions."""
    num = int(SURPLUS * num_systems)
    mass, pos, vel = draw(num, num_planets, random)
    turn = Rotation.random(num, random_state=random).as_matrix()
    pos, vel = (field @ turn.transpose(0, 2, 1) for field in (pos, vel))
    pos -= (mass[..., None] * pos).sum(axis=1, keepdims=True) / mass.sum(axis=1)[:, None, None]
    final, speed = pos, vel
    for _ in range(NUM_STEPS):
        speed = speed + DT * accelerate(mass, final)
        final = final + DT * speed
    stays = np.linalg.norm(final - pos, axis=-1).max(axis=1) <= 2
    fields = {"mass": mass, "pos": pos, "vel": vel, "y": final}
    return {name: value[stays][:num_systems] for name, value in fields.items()}


def make_cases(num_planets: int, device: str) -> dict[str, Case]:
    """Both ways to make a set; that of NBody also writes the files that it reads later."""

    def ours() -> None:
        with TemporaryDirectory() as root:
            NBody(
                root,
                num_samples=NUM_SYSTEMS,
                num_planets=num_planets,
                degrees="haar",
                device=device,
                progress=False,
            )

    random = np.random.default_rng(0)
    return {"NBody": ours, "NumPy": lambda: simulate(NUM_SYSTEMS, num_planets, random)}


def main(settings: Settings) -> None:
    """Times sets of two sizes of systems."""
    report = Report("nbody", settings)
    for num_planets in (3, 5):
        cases = make_cases(num_planets, settings.device)
        sizes = {"systems": NUM_SYSTEMS, "bodies": num_planets + 1, "steps": NUM_STEPS}
        report.compare("simulated sets", cases, "NBody", sizes=sizes)
