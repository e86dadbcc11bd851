"""The files of MD17 and others of their format: their names and what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from ase.symbols import Symbols
from numpy.typing import NDArray

from pyg_remul.datasets._npz import ArrayHeader, read_header, read_rows
from pyg_remul.files import refusal

__all__ = ["MOLECULES", "Molecule", "file_names", "read_composition"]

# Enough for a protein and for five nanoseconds, and few enough for a crafted file to do no harm.
MAX_ATOMS, MAX_FRAMES = 4000, 10_000_000


@dataclass(frozen=True)
class Molecule:
    """One molecule of MD17.

    Args:
        formula: Its atoms, in Hill's order.
        frames: Frames of its trajectory.
        files: The names that its file has had, the latest first.
    """

    formula: str
    frames: int
    files: tuple[str, ...]


def _molecule(name: str, formula: str, frames: int) -> Molecule:
    return Molecule(formula, frames, (f"md17_{name}.npz", f"{name}_dft.npz"))


MOLECULES: Final[dict[str, Molecule]] = {
    "aspirin": _molecule("aspirin", "C9H8O4", 211_762),
    # `benzene_dft.npz` and `benzene2018_dft.npz` are another calculation, of 49,863 frames.
    "benzene": Molecule("C6H6", 627_983, ("md17_benzene2017.npz", "benzene_old_dft.npz")),
    "ethanol": _molecule("ethanol", "C2H6O", 555_092),
    "malonaldehyde": _molecule("malonaldehyde", "C3H4O2", 993_237),
    "naphthalene": _molecule("naphthalene", "C10H8", 326_250),
    "salicylic": _molecule("salicylic", "C7H6O3", 320_231),
    "toluene": _molecule("toluene", "C7H8", 442_790),
    "uracil": _molecule("uracil", "C4H4N2O2", 133_770),
}


def file_names(molecule: str, source: str) -> tuple[str, ...]:
    """The names that a trajectory's file may have, the preferred one first."""
    return MOLECULES[molecule].files if source == "md17" else (f"{molecule}_{source}.npz",)


def read_composition(path: Path, molecule: str, source: str) -> tuple[NDArray[np.int64], int]:
    """Reads which atoms a trajectory has, and checks that it is the molecule's.

    Args:
        path: An npz file with ``R`` ``[T, n, 3]`` and ``z`` ``[n]``, and maybe ``E`` and ``F``.
        molecule: Its name.
        source: ``"md17"`` for the published file.

    Returns:
        The atomic numbers, shape ``[n]``, and the number T of frames.

    Raises:
        ValueError: If the file holds anything else, names the file and the reason.
    """
    found = {member: read_header(path, member) for member in ("z", "R", "E", "F")}
    headers = {member: header for member, header in found.items() if header is not None}
    if not {"z", "R"} <= headers.keys():
        raise refusal(path, "it lacks `R` or `z`, the arrays of MD17's format")
    num_atoms, num_frames = headers["z"].shape[0], headers["R"].shape[0]
    _check_headers(path, headers, num_frames, num_atoms)
    z = read_rows(path, "z", np.arange(num_atoms)).astype(np.int64)
    if z.min() < 1 or z.max() > 118:
        raise refusal(path, "its `z` holds numbers that no atom has")
    if molecule in MOLECULES:
        _check_published(path, MOLECULES[molecule], z, num_frames if source == "md17" else None)
    return z, num_frames


def _check_headers(
    path: Path, headers: Mapping[str, ArrayHeader], num_frames: int, num_atoms: int
) -> None:
    """Atoms are numbered, and every frame has its positions and maybe an energy and forces."""
    if num_atoms > MAX_ATOMS or num_frames > MAX_FRAMES:
        raise refusal(path, f"it has {num_frames} frames of {num_atoms} atoms, too many to read")
    shapes: dict[str, list[tuple[int, ...]]] = {
        "z": [(num_atoms,)],
        "R": [(num_frames, num_atoms, 3)],
        "E": [(num_frames, 1), (num_frames,)],
        "F": [(num_frames, num_atoms, 3)],
    }
    for member, header in headers.items():
        kinds = "iu" if member == "z" else "f"
        if header.shape not in shapes[member] or header.dtype.kind not in kinds:
            wanted = "integers" if member == "z" else "floating-point numbers"
            raise refusal(
                path,
                f"its `{member}` has shape {list(header.shape)} and type {header.dtype}, not "
                f"{list(shapes[member][0])} and {wanted}",
            )


def _check_published(
    path: Path, molecule: Molecule, z: NDArray[np.int64], num_frames: int | None
) -> None:
    formula = Symbols(z).get_chemical_formula("hill")
    if formula != molecule.formula:
        raise refusal(path, f"it holds {formula}, not {molecule.formula}")
    if num_frames not in (None, molecule.frames):
        reason = f"it has {num_frames} frames, not the {molecule.frames} of the published split"
        if num_frames == 49_863:
            reason += "; it is the calculation of benzene of 2018, not that of 2017"
        raise refusal(path, reason)
