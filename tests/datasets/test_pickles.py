from __future__ import annotations

import gc
import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyg_remul.datasets import _pickles
from pyg_remul.datasets._pickles import load_arrays


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: object, *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.pkl"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(8)[::2],
        np.array([True, False]),
        np.array([1, 2], dtype=">i2"),
        np.array([1 + 2j]),
        np.float64(0.1),
        np.int64(7),
    ],
    ids=["double", "fortran", "strided", "bool", "big endian", "complex", "float", "int"],
)
def test_plain_arrays_come_back(path: Path, value: np.ndarray, protocol: int) -> None:
    path.write_bytes(pickle.dumps(value, protocol))
    loaded = load_arrays(path)
    assert np.array_equal(loaded, value)
    assert loaded.dtype == value.dtype.newbyteorder("=") or loaded.dtype == value.dtype


def test_containers_come_back(path: Path) -> None:
    path.write_bytes(pickle.dumps(([[1, 0]], {"a": np.zeros(2)}, "text", None)))
    bones, arrays, text, nothing = load_arrays(path)
    assert (bones, arrays["a"].tolist(), text, nothing) == ([[1, 0]], [0, 0], "text", None)


@pytest.mark.parametrize("module", [b"numpy.core", b"numpy._core"])
def test_both_spellings_of_numpy_are_read(path: Path, module: bytes) -> None:
    content = pickle.dumps(np.arange(3.0), protocol=2)
    path.write_bytes(content.replace(b"numpy._core", module).replace(b"numpy.core", module))
    assert load_arrays(path).tolist() == [0, 1, 2]


def test_a_forbidden_global_does_not_run(path: Path, tmp_path: Path) -> None:
    path.write_bytes(pickle.dumps(Call(os.system, f"mkdir {tmp_path / 'ran'}")))
    with pytest.raises(ValueError, match=rf"{path.name}.*forbidden global `{os.name}.system`"):
        load_arrays(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.array([print]), "arrays of type 'O8'"),
        (np.zeros(1, dtype=[("a", "i4")]), "arrays of type 'V4'"),
        (np.array(["a"]), "arrays of type 'U1'"),
        (np.array(["2020"], dtype="M8[s]"), "arrays of type 'M8'"),
        (np.ma.array([1.0]), "forbidden global `numpy.ma"),
        (np.zeros, "forbidden global `numpy.zeros`"),
        (Call(eval, "1"), "forbidden global `builtins.eval`"),
        (range(3), "forbidden global `builtins.range`"),
    ],
    ids=["object", "record", "text", "date", "masked", "function", "eval", "range"],
)
def test_anything_else_is_refused(path: Path, value: object, reason: str) -> None:
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(ValueError, match=reason):
        load_arrays(path)


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
FLOATS = b"cnumpy\ndtype\n(Vf8\nI00\nI01\ntR"


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nndarray\n(I3\ntR.",
        b"cnumpy\nndarray\n}Vshape\nI3\nsb.",
        RECONSTRUCT + b"(NI0\nVb\ntR.",
        RECONSTRUCT + b"(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I9999\nt" + FLOATS + b"I00\nVx\ntb.",
        RECONSTRUCT + b"(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I1\nt" + FLOATS + b"I00\n(lI1\natb.",
        FLOATS + b"(I3\nV<\nNV0\nNI8\nI8\nI0\ntb.",
        b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        b"cnumpy.core.numeric\n_frombuffer\n(Cx" + b"\x00" * 16,
        b"",
        b"no pickle",
    ],
    ids=[
        "call of ndarray",
        "state of ndarray",
        "other class",
        "too few bytes",
        "list for bytes",
        "named fields",
        "other encoding",
        "cut off",
        "empty",
        "text",
    ],
)
def test_crafted_files_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path.name} is not a pickle of plain arrays: ."):
        load_arrays(path)


def nested(depth: int) -> tuple[object, ...]:
    """A tuple that holds another twice, which does the same, and so on."""
    value: tuple[object, ...] = ()
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"]r\xff\xff\xff\x7f.", "it leaves places before 2147483647 of its memo empty"),
        (b"\x80\x04\x95" + b"\xff" * 6 + b"\x00\x00K\x01.", "it ends within a frame"),
        (b"\x80\x04\x8e" + b"\xff" * 5 + b"\x00\x00\x00.", "expected 1099511627775 bytes"),
        (b"\x80\x05\x96" + b"\xff" * 5 + b"\x00\x00\x00.", "expected 1099511627775 bytes"),
        (b"]" * 100_001, "it takes more than 100000 steps"),
        (pickle.dumps(nested(40)), "it has containers that appear twice"),
        (b"(lp0\n0I1\n0g0\n.", "it has containers that appear twice"),
        (b"]2\x86.", "it has containers that appear twice"),
        (b"]Nbp0\n0g0\n.", "it has containers that appear twice"),
    ],
    ids=[
        "memo of 16 GB",
        "frame of 256 TB",
        "bytes of 1 TB",
        "bytearray of 1 TB",
        "too many steps",
        "nested tuples",
        "list from the memo",
        "doubled list",
        "list behind a detour",
    ],
)
def test_bombs_are_refused(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        load_arrays(path)


def test_many_arrays_cannot_be_made_of_the_same_bytes(path: Path) -> None:
    # The bytes of the first array, put into the memo and used for all others.
    content = bytes(8 * 1000)
    dtype = b"cnumpy\ndtype\n(Vf8\nI00\nI01\ntR(I3\nV>\nNNNI-1\nI-1\nI0\ntb"
    head = RECONSTRUCT + b"(cnumpy\nndarray\n(I0\ntVb\ntR(I1\n(I1000\nt" + dtype + b"I00\n"
    first = head + b"B" + len(content).to_bytes(4, "little") + content + b"p0\ntb"
    path.write_bytes(b"(" + first + (head + b"g0\ntb") * 9 + b"t.")
    with pytest.raises(ValueError, match="it unfolds to more than it holds"):
        load_arrays(path)


def test_a_huge_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pickles, "MAX_SIZE", 1000)
    path.write_bytes(pickle.dumps(np.zeros(1000)))
    with pytest.raises(ValueError, match="it is larger than 1000 bytes"):
        load_arrays(path)


def test_arrays_do_not_keep_the_file(path: Path) -> None:
    path.write_bytes(pickle.dumps(np.zeros(1000)))
    assert not vars(load_arrays(path))


def test_a_refused_file_leaves_nothing_in_memory(path: Path) -> None:
    path.write_bytes(pickle.dumps([np.zeros(3), np.array([print])]))
    with suppress(ValueError):
        load_arrays(path)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is _pickles._Globals]


@given(st.integers(0, 10**6), st.binary(max_size=4), st.integers(0, 4), st.sampled_from(range(6)))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_spoilt_file_is_read_or_refused_by_name(
    path: Path, start: int, inserted: bytes, size: int, protocol: int
) -> None:
    content = pickle.dumps([[(1, 0)], {0: np.arange(3.0)}, np.float64(1)], protocol)
    start %= len(content)
    path.write_bytes(content[:start] + inserted + content[start + size :])
    try:
        load_arrays(path)
    except ValueError as error:
        assert path.name in str(error)  # noqa: PT017


@pytest.mark.parametrize("protocol", range(6))
def test_truncated_files_are_refused(path: Path, protocol: int) -> None:
    content = pickle.dumps([np.arange(100.0)], protocol)
    for size in range(0, len(content), 50):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=f"{path.name} is not a pickle of plain arrays"):
            load_arrays(path)
