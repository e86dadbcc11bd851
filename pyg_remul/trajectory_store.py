"""A trajectory on its way to a file: blocks of frames, each written whole."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pyg_remul.dynamics import Array
from pyg_remul.files import replacing
from pyg_remul.md17_format import write_array

__all__ = ["TrajectoryStore"]

_VECTORS = ("R", "V", "F")


class TrajectoryStore:
    """The frames of a trajectory in the files of a folder, to be joined to one file at the end.

    A file ``frames-00001000.npz`` holds the frames from number 1000 on, any number of them: their
    positions ``R``, velocities ``V`` and forces ``F``, of shape ``[frames, N, 3]``, and energies
    ``E``, ``[frames, 1]``, in float64. At any moment, each file that is there is whole.

    Args:
        folder: Where the files are; it is made when the first is written.
        num_atoms: Atoms ``N`` of every frame.

    Raises:
        ValueError: If a file is damaged, or one is missing before it.
    """

    def __init__(self, folder: Path, num_atoms: int) -> None:
        self._folder = folder
        self._shapes = dict.fromkeys(_VECTORS, (num_atoms, 3)) | {"E": (1,)}
        self._files: list[Path] = []
        self.num_frames = 0
        """Frames that are stored."""
        for path in sorted(folder.glob("frames-*.npz")):
            if path.name != _file_name(self.num_frames):
                raise _refusal(path, f"the frames from number {self.num_frames} on are missing")
            self._note(path, self._read(path))

    def append(self, frames: Mapping[str, Array]) -> None:
        """Stores further frames, in a file of their own.

        Args:
            frames: Arrays ``R``, ``V``, ``F`` and ``E``.
        """
        path = self._folder / _file_name(self.num_frames)
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, values in frames.items():
                _write(archive, name, values)
        self._note(path, frames)

    def last_frame(self) -> dict[str, Array]:
        """The arrays of the last frame that is stored."""
        return {name: values[-1] for name, values in self._read(self._files[-1]).items()}

    def blocks(self) -> Iterator[dict[str, Array]]:
        """Reads all frames, one file at a time."""
        return map(self._read, self._files)

    def save(self, path: Path, start: int, entries: Mapping[str, object]) -> None:
        """Joins the frames to one npz file in MD17's layout, without holding them all in memory.

        Args:
            path: Where to.
            start: The first frame of the file.
            entries: What it holds besides ``R``, ``E`` and ``F``.
        """
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name in ("R", "E", "F"):
                shape = (self.num_frames - start, *self._shapes[name])
                parts = (values.tobytes() for values in self._from(start, name))
                write_array(archive, name, shape, "<f8", parts)
            for name, value in entries.items():
                _write(archive, name, value)

    def clear(self) -> None:
        """Removes all frames."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _from(self, start: int, name: str) -> Iterator[Array]:
        first = 0
        for block in self.blocks():
            yield block[name][max(start - first, 0) :]
            first += len(block[name])

    def _note(self, path: Path, frames: Mapping[str, Array]) -> None:
        self._files.append(path)
        self.num_frames += len(frames["E"])

    def _read(self, path: Path) -> dict[str, Array]:
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                frames = {name: stored[name] for name in stored.files}
        except Exception as error:  # a damaged file can make the loader fail in any way
            raise _refusal(path, f"it does not load as arrays ({error})") from error
        if set(frames) != set(self._shapes):
            raise _refusal(path, f"it does not hold {', '.join(sorted(self._shapes))}")
        for name, shape in self._shapes.items():
            found = frames[name]
            if found.dtype != np.float64 or found.shape != (len(frames["E"]), *shape):
                raise _refusal(path, f"`{name}` has the shape {found.shape} of {found.dtype}")
            if not np.isfinite(found).all():
                raise _refusal(path, f"`{name}` is not finite")
        return frames


def _write(archive: zipfile.ZipFile, name: str, value: object) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)


def _file_name(start: int) -> str:
    return f"frames-{start:08d}.npz"


def _refusal(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"The file {path} is refused: {reason}. Remove it and those after it to simulate their "
        "frames again."
    )
