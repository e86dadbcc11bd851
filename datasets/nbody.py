"""Gravitational N-body systems."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from tqdm import tqdm

from pyg_remul.checks import check_choice, check_integers
from pyg_remul.datasets._collation import Graphs, stack_graphs
from pyg_remul.datasets._hops import all_pairs
from pyg_remul.datasets._nbody_recipe import CHUNK, MAX_DISPLACEMENT, Degrees, Recipe, parse_degrees
from pyg_remul.datasets._storage import TensorDataset

__all__ = ["NBody"]

# Candidates for each system wanted, as in GATr's recipe.
SURPLUS = 1.1


class NBody(TensorDataset):
    r"""A star and its planets a short while later, from `REMUL <https://arxiv.org/abs/2410.17878>`_.

    Each graph is one system, simulated here after the recipe of `GATr
    <https://arxiv.org/abs/2305.18415>`_; nothing is downloaded. With :math:`G = 1` and no units:

    1. A star at rest in the origin has a mass log-uniform in [1, 10], planets one in [0.01, 0.1].
       Planets are uniform in area on the annulus :math:`0.1 \le r \le 1` of the x-y plane.
    2. Planets move at :math:`\sqrt{M / r}`, either way round the star, plus normal noise of 0.01.
    3. The order of the bodies is random.
    4. Semi-implicit Euler steps, 100 of 0.001 by default, give the final positions ``y``. Systems
       in which a body moves by more than 2.0 are dropped (0.2 %).
    5. Each system is turned by a rotation of its own, and centred or translated.

    ========= ====== ==================== ========================
    split     graphs rotation, in degrees use
    ========= ====== ==================== ========================
    ``train`` 100    [0, 10]              training
    ``val``   5,000  [0, 10]              validation
    ``test``  5,000  [0, 10]              in-distribution test
    ``ood``   5,000  [90, 180]            out-of-distribution test
    ========= ====== ==================== ========================

    Before rotation, per coordinate: mean squared displacement 0.0159, mean squared error of
    :math:`x + 0.1 v` 0.0057, velocity rms 1.34.

    A graph holds ``mass`` ``[n, 1]``, ``pos``, ``vel`` and ``y`` ``[n, 3]`` in float32, and
    ``edge_index`` ``[2, n (n - 1)]``, all pairs both ways. With ``num_frames=T`` it also holds the
    way from ``pos`` to ``y``: ``trajectory`` (points) and ``trajectory_vel`` (vectors), both
    ``[n, T, 3]``, for plots and for training at other horizons. Draws depend on seed and split
    alone: the first 100 graphs of a set of 5,000 are the set of 100.

    GATr's own sets are uncentred and turned any way; its domain-shift set is
    ``NBody(root, "test", degrees="haar", center=False, shift=200.0)``, which is the evaluation set,
    the same call without ``shift``, moved along x.

    Note:
        The paper's angle is read as the net angle about a uniformly drawn axis; ``euler=True`` is
        the other reading. The recipe turns and translates the initial state, which gives the same
        systems but for rounding.

    Args:
        root: Folder for the processed files.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"ood"``.
        num_samples: Number of graphs; ``None`` for the table's.
        num_planets: Planets of a system, which has one body more.
        degrees: Magnitude of the rotation angle, uniform in a range: a pair, or a number ``b`` for
            ``(0, b)``; both within [0, 180]. ``"haar"`` draws uniform rotations, as GATr does;
            ``None`` takes the table's range.
        euler: Draw three angles about x, y and z from the range, in place of one net angle.
        seed: Seed of all draws.
        num_steps: Steps of the simulation.
        dt: Duration of a step.
        center: Move the mass-weighted centre of the *initial* positions to the origin, and ``y`` by
            the same shift. Otherwise systems are translated by normal noise of 20 on each axis.
        shift: Further translation along x, 200 in GATr's domain-shift set; needs ``center=False``.
        num_frames: States of each system to keep, evenly spaced from ``pos`` to ``y``, both of
            which count; one less must divide ``num_steps``. None are kept by default.
        device: Where to integrate the systems. All draws are made on the CPU, so that devices agree
            but for rounding; a CPU gives the same bits for every ``batch_size``.
        batch_size: Systems integrated at a time; by default as many as suit the caches of a CPU,
            and all on other devices.
        progress: Show a progress bar while simulating.
        transform: Applied to a graph at each access.
        pre_transform: Applied to each graph before it is stored.
        pre_filter: Keeps the graphs for which it is true.
        force_reload: Simulate again even if there are processed files.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, a processed file is damaged, or too few systems
            remain within a displacement of 2.0.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as root:
        ...     dataset = NBody(root, num_samples=8, progress=False)
        >>> dataset[0]
        Data(mass=[4, 1], pos=[4, 3], vel=[4, 3], y=[4, 3], edge_index=[2, 12])
    """

    num_default: ClassVar[dict[str, int]] = {"train": 100, "val": 5000, "test": 5000, "ood": 5000}
    degrees_default: ClassVar[dict[str, tuple[float, float]]] = {
        "train": (0.0, 10.0),
        "val": (0.0, 10.0),
        "test": (0.0, 10.0),
        "ood": (90.0, 180.0),
    }
    reps: ClassVar[dict[str, str]] = {
        "pos": "point",
        "vel": "vector",
        "mass": "scalar",
        "y": "point",
    }
    trajectory_reps: ClassVar[dict[str, str]] = {"trajectory": "point", "trajectory_vel": "vector"}

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        *,
        num_samples: int | None = None,
        num_planets: int = 3,
        degrees: Degrees | None = None,
        euler: bool = False,
        seed: int = 0,
        num_steps: int = 100,
        dt: float = 0.001,
        center: bool = True,
        shift: float = 0.0,
        num_frames: int | None = None,
        device: torch.device | str = "cpu",
        batch_size: int | None = None,
        progress: bool = True,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
        pre_filter: Callable[..., Any] | None = None,
        force_reload: bool = False,
    ) -> None:
        check_choice("split", split, self.num_default)
        self.split = split
        if batch_size is not None:
            check_integers(batch_size=batch_size)
        self.progress, self.device, self.batch_size = progress, torch.device(device), batch_size
        self.recipe = Recipe(
            split=split,
            num_samples=self.num_default[split] if num_samples is None else num_samples,
            num_planets=num_planets,
            degrees=self.degrees_default[split] if degrees is None else parse_degrees(degrees),
            euler=euler,
            seed=seed,
            num_steps=num_steps,
            dt=dt,
            center=center,
            shift=shift,
            num_frames=num_frames,
        )
        if num_frames is not None:
            self.reps = self.reps | self.trajectory_reps  # type: ignore[misc]
        super().__init__(
            root,
            stem=self.recipe.stem,
            options=self.recipe.options,
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            force_reload=force_reload,
        )

    def build(self) -> Graphs:
        """Simulates the systems."""
        num, num_bodies = self.recipe.num_samples, self.recipe.num_planets + 1
        num_chunks = math.ceil(SURPLUS * num / CHUNK)
        systems = list(self._simulate(num_chunks))
        fields = {key: torch.cat([part[key] for part in systems])[:num] for key in systems[0]}
        if len(fields["pos"]) < num:
            raise ValueError(
                f"`num_steps` and `dt` must leave {num} systems within a displacement of "
                f"{MAX_DISPLACEMENT}, got {len(fields['pos'])} of {num_chunks * CHUNK}."
            )
        return stack_graphs({**fields, "edge_index": all_pairs(num_bodies).expand(num, -1, -1)})

    def _simulate(self, num_chunks: int) -> Iterator[dict[str, Tensor]]:
        """Several chunks at a time, as many as a batch takes."""
        batch_size = self.batch_size or (CHUNK if self.device.type == "cpu" else num_chunks * CHUNK)
        together, num, kept = math.ceil(batch_size / CHUNK), self.recipe.num_samples, 0
        with tqdm(total=num, desc=f"NBody {self.split}", disable=not self.progress) as bar:
            for first in range(0, num_chunks, together):
                chunks = range(first, min(first + together, num_chunks))
                systems = self.recipe.simulate(chunks, self.device, self.batch_size)
                fresh = min(len(systems["pos"]), num - kept)
                kept += fresh
                bar.update(fresh)
                yield systems
