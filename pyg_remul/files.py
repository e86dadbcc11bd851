"""Files that are written whole or not at all, by one process at a time."""

from __future__ import annotations

import glob
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from filelock import FileLock, Timeout

__all__ = [
    *("check_folder", "locked", "read_json", "refusal"),
    *("remove_leftovers", "replacing", "write_text"),
]

PATIENCE = 5.0
"""Seconds that a process waits for another before it says so."""

_LOGGER = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Lets one process at a time prepare a file or a folder; the others wait for it.

    The lock is the operating system's, which releases it when its holder dies. Its empty file
    ``.NAME.lock`` stays, for removing it could let two processes in.

    Args:
        path: The file; its folder is made if need be.
        wait: Whether to wait for another process that prepares it.

    Raises:
        BlockingIOError: If another process prepares it and ``wait`` is not set.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, locked(Path(folder) / "a.txt"):
        ...     os.listdir(folder)
        ['.a.txt.lock']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        held = lock.acquire(timeout=PATIENCE if wait else 0)
    except Timeout:
        if not wait:
            raise BlockingIOError(f"Another process prepares {path}.") from None
        _LOGGER.warning("Waiting for the process that prepares %s.", path)
        held = lock.acquire()
    with held:
        yield


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary file that takes the place of another at the end, unless writing it fails.

    Args:
        path: Where to; its folder is made if need be.

    Yields:
        What to write to, a name of its own in the same folder and with the same ending.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with replacing(Path(folder) / "a.txt") as temporary:
        ...         _ = temporary.write_text("whole")
        ...     os.listdir(folder)
        ['a.txt']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(name: str, path: Path) -> None:
    """Refuses what cannot be a folder, before the work whose results it is to take.

    Args:
        name: The option, for the message.
        path: The folder, which need not exist.

    Raises:
        NotADirectoryError: If a file lies there, or where a folder above it would be.
    """
    place = next(place for place in (path, *path.parents) if place.exists())
    if not place.is_dir():
        raise NotADirectoryError(f"`{name}` must be a folder, got {path}; {place} is a file.")


def remove_leftovers(path: Path) -> None:
    """Removes the temporary files of writers that were killed; only for the holder of its lock.

    Args:
        path: What they were writing.
    """
    pattern = f".{glob.escape(path.stem)}.{'[0-9a-f]' * 32}{glob.escape(path.suffix)}"
    for leftover in path.parent.glob(pattern):
        leftover.unlink()


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file that holds an object in JSON.

    Args:
        path: The file.

    Raises:
        ValueError: If it holds anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not readable as JSON: {error}.") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ValueError(f"{path} is not readable as JSON: it must hold an object, got a {kind}.")
    return content


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all.

    Args:
        path: Where to; its folder is made if need be.
        text: The content.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def refusal(path: Path, reason: str) -> ValueError:
    """The error for a file that is not what it should be.

    Args:
        path: The file.
        reason: What is wrong with it, as a clause.
    """
    return ValueError(f"The file {path} is refused: {reason}.")
