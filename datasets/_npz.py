"""Reading npz files of any size, without trusting what they say of themselves."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from tqdm import tqdm

from pyg_remul.files import refusal

__all__ = ["ArrayHeader", "archive_state", "read_header", "read_rows"]

BLOCK = 2**22
"""Bytes that are decompressed at a time."""
# Deflate stores 1032 equal bytes in one at best; whoever claims more holds less than it says.
MAX_DEFLATION = 1032
ENCRYPTED = 0x1


@dataclass(frozen=True)
class ArrayHeader:
    """What an array in a file says of itself.

    Args:
        shape: Its shape.
        dtype: Its type, of real numbers.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        """Size of one entry along the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def read_header(path: Path, member: str) -> ArrayHeader | None:
    """Reads the shape and the type of an array, and nothing else.

    Args:
        path: An npz file.
        member: The array's name.

    Returns:
        The header, or ``None`` if there is no such array.

    Raises:
        ValueError: If the file is no npz file, or the array is not one of real numbers in C order
            that fills its place in the file; names the file, the array and the reason.
        OSError: If the file cannot be opened.
    """
    with _opened(path, member) as opened:
        return None if opened is None else opened[1]


def read_rows(
    path: Path, member: str, rows: NDArray[np.int64], *, progress: bool = False
) -> NDArray[Any]:
    """Reads some rows of an array, of which only blocks are ever in memory.

    The whole array is decompressed, so that its checksum and the values of all rows are verified.

    Args:
        path: An npz file.
        member: The array's name, as :func:`read_header` found it.
        rows: Positions along the first axis, ascending.
        progress: Show a progress bar if it takes longer than a second.

    Returns:
        The rows, shape ``[len(rows), ...]``, in the machine's byte order.

    Raises:
        ValueError: If the array is damaged or has values that are not finite; names the file, the
            array and the reason.
        OSError: If the file cannot be opened.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.npz"
        ...     np.savez_compressed(path, x=np.arange(6.0).reshape(3, 2))
        ...     read_rows(path, "x", np.array([0, 2]))
        array([[0., 1.],
               [4., 5.]])
    """
    with _opened(path, member) as opened:
        if opened is None:
            raise ValueError("the file has none")
        stream, header = opened
        kept = np.empty((len(rows), *header.shape[1:]), header.dtype.newbyteorder("="))
        bar = tqdm(
            total=header.shape[0],
            desc=f"{path.name}, {member}",
            unit=" rows",
            unit_scale=True,
            delay=1,
            disable=not progress,
        )
        with bar:
            for start, block in _blocks(stream, header):
                first, last = np.searchsorted(rows, (start, start + len(block)))
                kept[first:last] = block[rows[first:last] - start]
                bar.update(len(block))
    return kept


def archive_state(path: Path) -> str:
    """Tells an npz file from others by its size and the checksums of its members.

    Args:
        path: The file, of which its directory alone is read.
    """
    try:
        with ZipFile(path) as archive:
            sums = [f"{entry.filename} {entry.CRC:08x}" for entry in archive.infolist()]
    except (BadZipFile, OSError, NotImplementedError, ValueError):
        sums = ["no archive"]  # which reading it will refuse
    return hashlib.sha256(f"{path.stat().st_size} {sums}".encode()).hexdigest()


@contextmanager
def _opened(path: Path, member: str) -> Iterator[tuple[IO[bytes], ArrayHeader] | None]:
    """Opens an array behind its header; whatever fails thereafter is a refusal."""
    with open(path, "rb") as file:
        try:
            with ZipFile(file) as archive:
                entries = [i for i in archive.infolist() if i.filename == f"{member}.npy"]
                if not entries:
                    yield None
                    return
                _check_entry(entries, path.stat().st_size)
                with archive.open(entries[0]) as stream:
                    yield stream, _parse_header(stream, entries[0].file_size)
        except Exception as error:  # a crafted file can make zipfile and NumPy fail in any way
            raise refusal(path, f"its array `{member}` cannot be read ({error})") from error


def _check_entry(entries: list[ZipInfo], size: int) -> None:
    """Bounds the time and the memory that reading may take, before anything is decompressed."""
    entry = entries[0]
    if len(entries) > 1:
        raise ValueError(f"there are {len(entries)} of that name")
    if entry.flag_bits & ENCRYPTED or entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError("it is encrypted, or compressed by a method that NumPy does not use")
    if entry.compress_size > size or entry.file_size > MAX_DEFLATION * (entry.compress_size + 1):
        raise ValueError(
            f"it claims {entry.file_size} bytes out of {entry.compress_size} in a file of {size}"
        )


def _parse_header(stream: IO[bytes], size: int) -> ArrayHeader:
    # Later versions serve names of fields, and let the length of the header reach gigabytes.
    if npy.read_magic(stream) != (1, 0):
        raise ValueError("its format is not version 1.0")
    shape, fortran, dtype = npy.read_array_header_1_0(stream)
    header = ArrayHeader(shape, dtype)
    if dtype.kind not in "fiu":
        raise ValueError(f"its type is {dtype}, not one of real numbers")
    if fortran:
        raise ValueError("it is in Fortran order")
    if not shape or min(shape) < 1:
        raise ValueError(f"its shape is {list(shape)}")
    if stream.tell() + shape[0] * header.row_bytes != size:
        raise ValueError(f"its shape {list(shape)} of {dtype} does not fill its {size} bytes")
    if header.row_bytes > BLOCK:
        raise ValueError(f"one row of it has {header.row_bytes} bytes, of which {BLOCK} are read")
    return header


def _blocks(stream: IO[bytes], header: ArrayHeader) -> Iterator[tuple[int, NDArray[Any]]]:
    """Consecutive rows, each block with the position of its first."""
    step = BLOCK // header.row_bytes
    for start in range(0, header.shape[0], step):
        num = min(step, header.shape[0] - start)
        block = np.frombuffer(stream.read(num * header.row_bytes), header.dtype)
        block = block.reshape(num, *header.shape[1:])
        if not np.isfinite(block).all():
            row = start + int((~np.isfinite(block.reshape(num, -1)).all(axis=1)).argmax())
            raise ValueError(f"row {row} has values that are not finite")
        yield start, block
