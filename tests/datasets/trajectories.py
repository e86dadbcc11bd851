"""Small trajectories that the tests of molecular dynamics share."""

from __future__ import annotations

from pathlib import Path

import ase.build
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

NUM_FRAMES = 1000
ETHANOL: Atoms = ase.build.molecule("CH3CH2OH")


def arrays(atoms: Atoms = ETHANOL, num_frames: int = NUM_FRAMES) -> dict[str, NDArray]:
    """The four arrays of a file of MD17, with random motion about a real geometry."""
    random = np.random.default_rng(0)
    shape = (num_frames, len(atoms), 3)
    return {
        "R": atoms.positions + 0.02 * random.normal(size=shape),
        "E": -97_000 + random.normal(size=(num_frames, 1)),
        "F": random.normal(size=shape),
        "z": atoms.numbers.astype(np.uint8),
    }


def write(root: Path, file: str = "ethanol_xtb.npz", **changes: NDArray | None) -> Path:
    """Writes a file into ``raw``, with some arrays replaced or, if ``None``, left out."""
    path = root / "raw" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    content = arrays() | changes
    np.savez(path, **{key: value for key, value in content.items() if value is not None})
    return path
