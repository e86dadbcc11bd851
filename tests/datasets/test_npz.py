from __future__ import annotations

import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyg_remul.datasets import _npz
from pyg_remul.datasets._npz import read_header, read_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.npz"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_npz, "BLOCK", 100)


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An npy file with any header."""
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header.encode() + content


def describe(shape: str, dtype: str = "'<f8'", fortran: str = "False") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': {fortran}, 'shape': {shape}}}"


def write(path: Path, content: bytes, member: str = "x.npy", **options: int) -> None:
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr(member, content)


def all_rows(path: Path, member: str = "x") -> np.ndarray:
    return read_rows(path, member, np.arange(read_header(path, member).shape[0]))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed], ids=["stored", "deflated"])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i8", ">i4", "|u1"])
@given(array=hnp.arrays(np.int8, hnp.array_shapes(max_dims=3)))
def test_arrays_come_back(tmp_path_factory, save, dtype: str, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("npz") / "file.npz"
    array = np.ascontiguousarray(np.abs(array.astype(dtype)))
    save(path, x=array, y=np.zeros(1))
    assert read_header(path, "x").shape == array.shape
    assert np.array_equal(all_rows(path), array)


@given(rows=st.sets(st.integers(0, 49)).map(sorted))
def test_any_rows_come_back_across_blocks(tmp_path_factory, rows: list[int]) -> None:
    path = tmp_path_factory.mktemp("npz") / "file.npz"
    array = np.arange(50 * 6.0).reshape(50, 2, 3)
    np.savez_compressed(path, x=array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_npz, "BLOCK", 100)
        assert np.array_equal(read_rows(path, "x", np.array(rows, dtype=np.int64)), array[rows])


def test_an_absent_array_has_no_header(path: Path) -> None:
    np.savez(path, x=np.zeros(1))
    assert read_header(path, "y") is None


def test_an_absent_array_has_no_rows(path: Path) -> None:
    np.savez(path, x=np.zeros(1))
    with pytest.raises(ValueError, match=r"file.npz is refused: its array `y` .*file has none"):
        read_rows(path, "y", np.arange(1))


def test_an_absent_file_is_no_refusal(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="No such file"):
        read_header(path, "x")


def test_memory_is_bounded_by_a_block(path: Path) -> None:
    size = 2**26
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("x.npy", "w") as member:
        member.write(npy(describe(f"({size // 8},)")))
        for _ in range(64):
            member.write(bytes(size // 64))
    tracemalloc.start()
    try:
        read_rows(path, "x", np.array([0, size // 8 - 1]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * _npz.BLOCK < size


class Bomb:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.folder,)


def test_an_object_array_does_not_run(path: Path, tmp_path: Path) -> None:
    np.savez(path, x=np.array([Bomb(tmp_path / "ran")], dtype=object))
    with pytest.raises(ValueError, match="its type is object, not one of real numbers"):
        read_header(path, "x")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array(["a"]), "its type is <U1"),
        (np.array([1j]), "its type is complex128"),
        (np.array([True]), "its type is bool"),
        (np.array(["2020"], dtype="M8[s]"), r"its type is datetime64\[s\]"),
        (np.array(1.0), r"its shape is \[\]"),
        (np.zeros((0, 3)), r"its shape is \[0, 3\]"),
        (np.asfortranarray(np.ones((2, 3))), "it is in Fortran order"),
    ],
    ids=["text", "complex", "bool", "date", "scalar", "empty", "fortran"],
)
def test_other_arrays_are_refused(path: Path, array: np.ndarray, reason: str) -> None:
    np.savez(path, x=array)
    with pytest.raises(ValueError, match=rf"file.npz is refused: its array `x` .*{reason}"):
        read_header(path, "x")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (npy(describe("(9,)"), bytes(64)), "does not fill its 129 bytes"),
        (npy(describe("(7,)"), bytes(64)), "does not fill its 129 bytes"),
        (npy(describe("(10**30,)"), bytes(64)), "malformed node"),
        (npy(describe("(1" + 30 * "0" + ",)"), bytes(64)), "does not fill"),
        (npy(describe("(-1, -8)"), bytes(64)), r"its shape is \[-1, -8\]"),
        (npy(describe("('a',)"), bytes(64)), "shape"),
        (npy("print()", bytes(64)), "malformed node"),
        (npy("(" * 5000, bytes(64)), "."),
        (npy(describe("(8,)"), bytes(64), version=b"\x02\x00"), "not version 1.0"),
        (npy(describe("(8,)"), bytes(64))[:20], "EOF"),
        (b"no array", "magic"),
        (b"", "EOF"),
    ],
    ids=[
        "too little",
        "too much",
        "expression",
        "enormous",
        "negative",
        "text",
        "call",
        "deep",
        "version 2",
        "cut header",
        "no npy",
        "empty",
    ],
)
def test_crafted_headers_are_refused(path: Path, content: bytes, reason: str) -> None:
    write(path, content)
    with pytest.raises(ValueError, match=rf"file.npz is refused: its array `x` .*(?:{reason})"):
        read_header(path, "x")


def test_rows_longer_than_a_block_are_refused(path: Path, small_blocks: None) -> None:
    np.savez(path, x=np.zeros((2, 13)))
    with pytest.raises(ValueError, match="one row of it has 104 bytes, of which 100 are read"):
        read_header(path, "x")


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
def test_values_that_are_not_finite_are_refused(
    path: Path, small_blocks: None, value: float
) -> None:
    array = np.zeros((50, 3))
    array[37, 1] = value
    np.savez(path, x=array)
    with pytest.raises(ValueError, match=r"`x` .*row 37 has values that are not finite"):
        read_rows(path, "x", np.arange(3))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
def test_other_compression_is_refused(path: Path, method: int) -> None:
    write(path, npy(describe("(8,)"), bytes(64)), compression=method)
    with pytest.raises(ValueError, match="compressed by a method that NumPy does not use"):
        read_header(path, "x")


def test_a_claim_beyond_what_deflate_can_hold_is_refused(path: Path) -> None:
    content = npy(describe("(8,)"), bytes(64))
    write(path, content, compression=zipfile.ZIP_DEFLATED)
    raw = path.read_bytes()
    claim = struct.pack("<I", 2**31)
    path.write_bytes(raw.replace(struct.pack("<I", len(content)), claim))
    with pytest.raises(ValueError, match=r"it claims 2147483648 bytes out of \d\d"):
        read_header(path, "x")


def test_a_claim_beyond_what_is_there_is_refused(path: Path) -> None:
    """The header agrees with the directory, the compressed data with neither."""
    header = npy(describe("(1000,)"))
    write(path, header + bytes(8000), compression=zipfile.ZIP_DEFLATED)
    short = zlib.compressobj(wbits=-15)
    body = short.compress(header + bytes(800)) + short.flush()
    raw = path.read_bytes()
    start = raw.index(b"x.npy") + 5
    entry = zipfile.ZipFile(path).infolist()[0]
    path.write_bytes(
        raw[:start] + body.ljust(entry.compress_size, b"\0") + raw[start + entry.compress_size :]
    )
    with pytest.raises(ValueError, match="`x` cannot be read"):
        read_rows(path, "x", np.arange(2))


def test_two_arrays_of_one_name_are_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy(describe("(8,)"), bytes(64)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", npy(describe("(8,)"), bytes(64)))
    with pytest.raises(ValueError, match="there are 2 of that name"):
        read_header(path, "x")


def test_altered_values_are_refused(path: Path) -> None:
    np.savez(path, x=np.arange(1000.0))
    raw = bytearray(path.read_bytes())
    raw[4000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"`x` cannot be read \(Bad CRC-32"):
        read_rows(path, "x", np.arange(2))


@pytest.mark.parametrize("keep", [0, 10, 500, 8000])
def test_truncated_files_are_refused(path: Path, keep: int) -> None:
    np.savez(path, x=np.arange(1000.0))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"file.npz is refused: its array `x` cannot be read"):
        read_header(path, "x")


def read_what_is_there(path: Path) -> None:
    """Reads finite numbers or fails with the documented error."""
    try:
        values = np.zeros(0) if read_header(path, "x") is None else all_rows(path)
    except ValueError as error:
        if not str(error).startswith(f"The file {path} is refused: its array `x` cannot be read"):
            raise
    else:
        assert np.isfinite(values).all()


@settings(max_examples=200)
@given(content=st.binary(max_size=400))
def test_arbitrary_bytes_are_read_or_refused(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("npz") / "file.npz"
    path.write_bytes(content)
    read_what_is_there(path)


@settings(max_examples=200)
@given(content=st.binary(max_size=400))
def test_arbitrary_members_are_read_or_refused(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("npz") / "file.npz"
    write(path, b"\x93NUMPY\x01\x00" + content)
    read_what_is_there(path)


@settings(max_examples=300)
@given(
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
    compress=st.booleans(),
)
def test_mutated_files_are_read_or_refused(
    tmp_path_factory, places: list[tuple[float, int]], compress: bool
) -> None:
    path = tmp_path_factory.mktemp("npz") / "file.npz"
    (np.savez_compressed if compress else np.savez)(path, x=np.arange(12.0).reshape(4, 3))
    raw = bytearray(path.read_bytes())
    for place, value in places:
        raw[int(place * (len(raw) - 1))] = value
    path.write_bytes(raw)
    read_what_is_there(path)
