"""Lines of text files, for parsers whose refusals name the file and the line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

__all__ = ["FormatError", "Line", "naming", "numbered_lines", "parse_numbers"]

# No line of an ASF or AMC file comes near.
MAX_LINE = 2**14

# Sums of the numbers of a line: none comes near, and products of such stay finite.
MAX_NUMBER = 1e9

# Its number in the file, from 1, and its tokens.
Line: TypeAlias = tuple[int, list[str]]


class FormatError(Exception):
    """A line, or the file as a whole, is not what the format asks for.

    Args:
        line: The line's number, ``None`` for the whole file.
        reason: What is wrong with it.
    """

    def __init__(self, line: int | None, reason: str) -> None:
        super().__init__(line, reason)
        self.line, self.reason = line, reason


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns format errors of the block into ``ValueError`` that name the file and the line."""
    try:
        yield
    except FormatError as error:
        place = "" if error.line is None else f" at line {error.line}"
        raise ValueError(
            f"The file {os.fspath(path)} is refused{place}: {error.reason}."
        ) from error


def numbered_lines(path: str | os.PathLike[str], max_size: int) -> Iterator[Line]:
    r"""Reads the lines that hold anything, split at blanks and without comments (``#``).

    Lines may end in ``\n``, ``\r\n`` or ``\r``, and the file may begin with a byte order mark. Only
    one line at a time is in memory.

    Args:
        path: A file in ASCII or UTF-8; bytes that are neither are replaced.
        max_size: Characters beyond which the file is refused.

    Yields:
        The number and the tokens of each line.

    Raises:
        FormatError: If the file or a line of it is too long.
    """
    number = size = 0
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        while line := file.readline(MAX_LINE + 1):
            number, size = number + 1, size + len(line)
            if len(line) > MAX_LINE:
                raise FormatError(number, f"it is longer than {MAX_LINE} characters")
            if size > max_size:
                raise FormatError(number, f"the file is longer than {max_size} characters")
            if "#" in line:
                line = line.partition("#")[0]
            if tokens := line.split():
                yield number, tokens


def parse_numbers(line: int, tokens: Sequence[str]) -> list[float]:
    """Reads finite numbers of a sane size.

    Args:
        line: The line's number, for the error.
        tokens: The numbers as they are written.

    Raises:
        FormatError: If one is no number, NaN, infinite or beyond 1e9.
    """
    try:
        values = [*map(float, tokens)]
    except ValueError as error:
        raise FormatError(line, f"{_shown(tokens)} are not all numbers") from error
    # Python would read "1_0" and the digits of any script.
    text = "".join(tokens)
    if "_" in text or not text.isascii():
        raise FormatError(line, f"{_shown(tokens)} are not all numbers")
    if not sum(map(abs, values)) < MAX_NUMBER:
        raise FormatError(line, f"{_shown(tokens)} are not all finite and below {MAX_NUMBER:g}")
    return values


def _shown(tokens: Sequence[str]) -> str:
    return repr(" ".join(tokens)[:80])
