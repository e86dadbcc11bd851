"""Trajectories that ASE reads, as files of MD17's format."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final, TypeAlias
from zipfile import ZipFile

import ase.io
import numpy as np
import pooch
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import NDArray
from tqdm import tqdm

from pyg_remul.datasets._md17_files import file_names
from pyg_remul.datasets._md17_options import check_molecule
from pyg_remul.files import locked, refusal, replacing
from pyg_remul.md17_format import KCAL_PER_MOL, write_array

__all__ = ["Trajectory", "import_trajectory"]

Trajectory: TypeAlias = str | os.PathLike[str] | Sequence[Atoms]

PART = 2**20
RESULTS: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    "E": ("energy", (1,)),
    "F": ("forces", (-1, 3)),
}
"""The arrays of results, ASE's names of them and their shapes in a frame."""


def import_trajectory(
    trajectory: Trajectory, folder: Path, name: str | None, *, progress: bool
) -> str:
    """Writes a trajectory as a file of MD17's format, unless it has been written before.

    Args:
        trajectory: A path to anything that ASE reads, or the frames themselves.
        folder: Where ``NAME-HASH_ase.npz`` goes.
        name: What to call it; ``None`` for the name of the file, or the formula.
        progress: Show a progress bar.

    Returns:
        ``NAME-HASH``, with the hash of the content.

    Raises:
        TypeError: If the trajectory is something else.
        ValueError: As :func:`convert`, or if no file can have the name.
        FileNotFoundError: If there is no such file.
    """
    digest = fingerprint(trajectory)
    if name is None:
        name = _name(trajectory)
    molecule = f"{name}-{digest}"
    check_molecule(molecule, "ase")
    (file,) = file_names(molecule, "ase")
    path = folder / file
    if not path.exists():
        with locked(path):
            if not path.exists():  # else another process has written it in the meantime
                convert(trajectory, path, progress=progress)
    return molecule


def _name(trajectory: Trajectory) -> str:
    if isinstance(trajectory, Sequence) and not isinstance(trajectory, str):
        first: Any = trajectory[0]
        return str(first.get_chemical_formula("hill"))
    return re.sub(r"[^\w.+-]+", "_", Path(trajectory).stem).lstrip(".+-")


def fingerprint(trajectory: Trajectory) -> str:
    """Hashes a trajectory's content.

    Args:
        trajectory: A path, whose file is hashed as it is, or the frames themselves.

    Returns:
        Ten hexadecimal digits.

    Raises:
        TypeError: If it is neither.
        FileNotFoundError: If there is no such file.
    """
    if isinstance(trajectory, (str, os.PathLike)):
        if not Path(trajectory).is_file():
            raise FileNotFoundError(f"`trajectory` must name a file, got {os.fspath(trajectory)}.")
        return str(pooch.file_hash(os.fspath(trajectory), alg="sha256"))[:10]
    whole = isinstance(trajectory, Sequence)
    others = [x for x in trajectory if not isinstance(x, Atoms)] if whole else [trajectory]
    if others:
        kind = type(others[0]).__name__
        raise TypeError(f"`trajectory` must be a path or a sequence of Atoms, got {kind}.")
    if not trajectory:
        raise _refusal(trajectory, "it has none")
    digest = hashlib.sha256()
    for frame in _read(trajectory):
        for member, value in frame.items():
            digest.update(f"{member}{value.shape}{value.dtype}".encode() + value.tobytes())
    return digest.hexdigest()[:10]


def convert(trajectory: Trajectory, path: Path, *, progress: bool = True) -> None:
    """Writes a trajectory as an npz file of MD17's format, one frame in memory at a time.

    Args:
        trajectory: A path to anything that ASE reads, or the frames themselves.
        path: Where to write ``R`` and ``z`` and, if the frames have them, ``E`` and ``F``, in A,
            kcal/mol and kcal/mol/A and in double precision.
        progress: Show a progress bar.

    Raises:
        TypeError: If a frame is none.
        ValueError: If ASE does not read the file, or the frames are not all of one molecule; names
            the frame.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{path.stem}.", dir=path.parent) as folder:
        z, rows, num_frames = _spool(trajectory, Path(folder), progress=progress)
        with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
            write_array(archive, "z", z.shape, z.dtype, [z.tobytes()])
            for member, shape in rows.items():
                with open(Path(folder) / member, "rb") as source:
                    parts = iter(partial(source.read, PART), b"")
                    write_array(archive, member, (num_frames, *shape), "<f8", parts)


def _spool(
    trajectory: Trajectory, folder: Path, *, progress: bool
) -> tuple[NDArray[np.int64], dict[str, tuple[int, ...]], int]:
    """Writes the rows of each array into a file, for an npz file begins with their number."""
    first: dict[str, NDArray[Any]] = {}
    num_frames = 0
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        frames = tqdm(_read(trajectory), desc="Reading", unit=" frames", disable=not progress)
        for index, frame in enumerate(frames):
            if index == 0:
                first = frame
                files = {m: stack.enter_context(open(folder / m, "wb")) for m in frame if m != "z"}
            _check_alike(trajectory, index, first, frame)
            for member, file in files.items():
                file.write(frame[member].tobytes())
            num_frames = index + 1
    if not first:
        raise _refusal(trajectory, "it has no frames")
    return first["z"], {member: first[member].shape for member in files}, num_frames


def _read(trajectory: Trajectory) -> Iterator[dict[str, NDArray[Any]]]:
    """The arrays of each frame, in MD17's units."""
    if not isinstance(trajectory, (str, os.PathLike)):
        yield from map(_arrays, trajectory)
        return
    path = os.fspath(trajectory)
    try:
        # What ASE reads is text, JSON and plain numbers; none of its readers runs any of it.
        yield from map(_arrays, ase.io.iread(path, index=":", do_not_split_by_at_sign=True))
    except Exception as error:  # its many readers fail in as many ways
        reason = f"ASE does not read it ({type(error).__name__}: {error})"
        raise refusal(Path(path), reason) from error


def _arrays(atoms: Atoms) -> dict[str, NDArray[Any]]:
    frame = {"z": atoms.numbers.astype(np.int64), "R": atoms.positions.astype(np.float64)}
    for member, (name, shape) in RESULTS.items():
        value = _result(atoms, name)
        if value is not None:
            frame[member] = np.asarray(value, np.float64).reshape(shape) / KCAL_PER_MOL
    return frame


def _result(atoms: Atoms, name: str) -> Any:
    """What a calculation left with the atoms as they are; nothing is calculated here."""
    if atoms.calc is None:
        return None
    try:
        return atoms.calc.get_property(name, atoms, allow_calculation=False)
    except PropertyNotImplementedError:
        return None


def _check_alike(
    trajectory: Trajectory, index: int, first: dict[str, Any], frame: dict[str, Any]
) -> None:
    if not np.array_equal(frame["z"], first["z"]):
        raise _refusal(trajectory, f"frame {index} has other atoms than frame 0, or another order")
    if frame.keys() != first.keys():
        name, _ = RESULTS[min(frame.keys() ^ first.keys())]
        raise _refusal(trajectory, f"either frame 0 or frame {index} lacks its {name}")
    for member, value in frame.items():
        if not np.isfinite(value).all():
            raise _refusal(trajectory, f"`{member}` of frame {index} is not finite")


def _refusal(trajectory: Trajectory, reason: str) -> ValueError:
    if isinstance(trajectory, (str, os.PathLike)):
        return refusal(Path(trajectory), reason)
    return ValueError(f"`trajectory` must hold the frames of one molecule, but {reason}.")
