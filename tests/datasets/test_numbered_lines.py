from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.datasets._numbered_lines import (
    FormatError,
    naming,
    numbered_lines,
    parse_numbers,
)


def lines_of(path: Path, content: bytes, max_size: int = 10**6) -> list[tuple[int, list[str]]]:
    path.write_bytes(content)
    return list(numbered_lines(path, max_size))


@pytest.mark.parametrize(
    "content",
    [
        b"one two\n\nthree\n",
        b"one two\r\n\r\nthree",
        b"one two\r\rthree\r",
        b"\xef\xbb\xbfone two\n\nthree",
        b"  one\ttwo  # \xff comment\n# comment\n three#comment",
    ],
    ids=["newlines", "carriage returns", "old Macintosh", "byte order mark", "comments"],
)
def test_lines_are_numbered_and_split(tmp_path: Path, content: bytes) -> None:
    assert lines_of(tmp_path / "file", content) == [(1, ["one", "two"]), (3, ["three"])]


def test_letters_beyond_ascii_are_kept(tmp_path: Path) -> None:
    assert lines_of(tmp_path / "file", "höft 1".encode()) == [(1, ["höft", "1"])]


def test_a_long_line_is_refused_by_number(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"2, 'it is longer than 16384 characters'"):
        lines_of(tmp_path / "file", b"1\n" + b"1 " * 10_000)


def test_a_long_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"6, 'the file is longer than 10 characters'"):
        lines_of(tmp_path / "file", b"1\n" * 100, max_size=10)


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(FormatError, match="longer than 16384 characters"):
        list(numbered_lines("/dev/zero", 10**6))


def test_numbers_are_read() -> None:
    assert parse_numbers(1, ["1", "-2.5", "7.62852e-016", "+.5"]) == [1, -2.5, 7.62852e-16, 0.5]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("x", "are not all numbers"),
        ("1_0", "are not all numbers"),
        ("١", "are not all numbers"),
        ("", "are not all numbers"),
        ("0x10", "are not all numbers"),
        ("nan", "are not all finite"),
        ("-inf", "are not all finite"),
        ("1e999", "are not all finite"),
        ("1e9", "are not all finite and below 1e"),
    ],
)
def test_anything_else_is_refused(token: str, reason: str) -> None:
    with pytest.raises(FormatError, match=f"7, .*{reason}"):
        parse_numbers(7, ["1", token])


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=4))
def test_no_text_gets_past_as_a_number_that_is_none(tokens: list[str]) -> None:
    try:
        values = parse_numbers(1, tokens)
    except FormatError:
        return
    assert all(-1e9 < value < 1e9 for value in values)


@pytest.mark.parametrize(("line", "place"), [(3, " at line 3"), (None, "")])
def test_refusals_name_file_and_line(line: int | None, place: str) -> None:
    wording = f"^The file a.asf is refused{place}: too bad.$"
    with pytest.raises(ValueError, match=wording), naming("a.asf"):
        raise FormatError(line, "too bad")
