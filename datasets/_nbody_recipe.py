"""The options of the N-body data, and the systems that follow from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from pyg_remul.checks import check_integers, check_numbers
from pyg_remul.datasets.nbody_simulator import (
    Systems,
    draw_systems,
    frame_interval,
    trajectories,
)
from pyg_remul.groups import SO3
from pyg_remul.randomness import derive_generator

__all__ = ["CHUNK", "MAX_DISPLACEMENT", "Degrees", "Recipe", "parse_degrees"]

Range: TypeAlias = tuple[float, float] | Literal["haar"]
Degrees: TypeAlias = float | Range

# Systems are always drawn this many at a time, so that a smaller set begins a larger one.
CHUNK = 1000
MAX_DISPLACEMENT = 2.0
TRANSLATION_STD = 20.0


@dataclass(frozen=True)
class Recipe:
    """How to make the systems; see :class:`~pyg_remul.datasets.NBody` for the fields.

    Raises:
        TypeError: If an option is of the wrong type.
        ValueError: If an option is out of range.
    """

    split: str
    num_samples: int
    num_planets: int
    degrees: Range
    euler: bool
    seed: int
    num_steps: int
    dt: float
    center: bool
    shift: float
    num_frames: int | None

    def __post_init__(self) -> None:
        check_integers(
            num_samples=self.num_samples, num_planets=self.num_planets, num_steps=self.num_steps
        )
        check_integers("any", seed=self.seed)
        check_numbers(dt=self.dt)
        check_numbers("any", shift=self.shift)
        if self.center and self.shift:
            raise ValueError(f"`shift` must be 0 with `center=True`, got {self.shift}.")
        if self.degrees == "haar" and self.euler:
            raise ValueError("`euler` must be False with `degrees='haar'`, got True.")
        if self.num_frames is not None:
            frame_interval(self.num_steps, self.num_frames)

    @property
    def options(self) -> dict[str, Any]:
        """Every option that is given, as JSON values."""
        options = dataclasses.asdict(self)
        return {name: value for name, value in options.items() if value is not None}

    @property
    def stem(self) -> str:
        """Every option, for the name of a file."""
        angle = "haar" if self.degrees == "haar" else "deg{:g}-{:g}".format(*self.degrees)
        place = "centred" if self.center else f"shift{self.shift:g}"
        return (
            f"nbody-{self.split}-{self.num_samples}-p{self.num_planets}-{angle}"
            f"{'-euler' if self.euler else ''}-seed{self.seed}-steps{self.num_steps}"
            f"-dt{self.dt:g}-{place}"
            f"{'' if self.num_frames is None else f'-frames{self.num_frames}'}"
        )

    def simulate(
        self, chunks: Iterable[int], device: torch.device | str, batch_size: int | None
    ) -> dict[str, Tensor]:
        """Makes chunks of systems. All draws are made on the CPU, for any device.

        Args:
            chunks: Their numbers, from 0.
            device: Where to integrate.
            batch_size: How many systems to integrate at a time.

        Returns:
            The attributes of the systems that stay within :data:`MAX_DISPLACEMENT`, of shapes
            ``[B, n, 1]`` and ``[B, n, 3]`` in float32, on the CPU, where ``B`` is at most
            :data:`CHUNK` for each chunk, and of the trajectories ``[B, n, T, 3]``.
        """
        starts = [
            draw_systems(CHUNK, self.num_planets, self._generator("systems", c)) for c in chunks
        ]
        start = Systems(*map(torch.cat, zip(*starts, strict=True)))
        frames = trajectories(
            start.to(device),
            self.num_steps,
            self.dt,
            num_frames=self.num_frames or 2,
            batch_size=batch_size,
        ).to("cpu")
        parts = zip(chunks, starts, frames.pos.split(CHUNK), frames.vel.split(CHUNK), strict=True)
        placed = [self._place(*part) for part in parts]
        return {key: torch.cat([fields[key] for fields in placed]) for key in placed[0]}

    def _place(self, chunk: int, start: Systems, pos: Tensor, vel: Tensor) -> dict[str, Tensor]:
        """Turns and moves the systems of a chunk, and leaves out those that fall apart."""
        # Gravity commutes with rotations and translations, so placing all states is as good as
        # placing the start, and the choice of what stays does not depend on the place.
        rotation = self._rotation(chunk)
        offset = self._offset(start, rotation, chunk)
        points = [frame @ rotation.mT + offset for frame in pos.unbind(1)]
        vectors = [frame @ rotation.mT for frame in vel.unbind(1)]
        fields = {"mass": start.mass, "pos": points[0], "vel": vectors[0], "y": points[-1]}
        if self.num_frames is not None:
            fields["trajectory"] = torch.stack(points, dim=2)
            fields["trajectory_vel"] = torch.stack(vectors, dim=2)
        displacement = (pos[:, -1] - pos[:, 0]).norm(dim=-1).amax(dim=1)
        stays = displacement <= MAX_DISPLACEMENT
        return {key: value[stays].float() for key, value in fields.items()}

    def _generator(self, purpose: str, chunk: int) -> torch.Generator:
        # One for each purpose: other angles leave the systems as they are.
        return derive_generator(self.seed, "nbody", self.split, purpose, chunk)

    def _rotation(self, chunk: int) -> Tensor:
        group = SO3() if self.degrees == "haar" else SO3(self.degrees, euler=self.euler)
        generator = self._generator("rotation", chunk)
        return group.sample(CHUNK, generator=generator, dtype=torch.float64).matrix

    def _offset(self, start: Systems, rotation: Tensor, chunk: int) -> Tensor:
        if self.center:
            center = (start.mass * start.pos).sum(1, keepdim=True) / start.mass.sum(1, keepdim=True)
            return -center @ rotation.mT
        generator = self._generator("translation", chunk)
        noise = torch.randn(CHUNK, 1, 3, generator=generator, dtype=torch.float64)
        return TRANSLATION_STD * noise + noise.new_tensor([self.shift, 0.0, 0.0])


def parse_degrees(degrees: object) -> Range:
    """Reads ``"haar"``, a largest magnitude or a range of magnitudes, in degrees."""
    if degrees == "haar":
        return "haar"
    pair = degrees if isinstance(degrees, (tuple, list)) else (0.0, degrees)
    wording = (
        "`degrees` must be 'haar', a magnitude in [0, 180] or an ascending pair of them, "
        f"got {degrees!r}."
    )
    numbers = [x for x in pair if isinstance(x, (int, float)) and not isinstance(x, bool)]
    if len(pair) != 2 or len(numbers) != 2:
        raise TypeError(wording)
    low, high = map(float, numbers)
    if not 0 <= low <= high <= 180:
        raise ValueError(wording)
    return low, high
