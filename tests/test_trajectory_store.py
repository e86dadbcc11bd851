"""Blocks of frames, and the file that they are joined to."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.trajectory_store import TrajectoryStore


class Unsafe:
    def __reduce__(self):
        return os.mkdir, ("/nonexistent/run",)


def make_frames(count, atoms=3, seed=0):
    rng = np.random.default_rng([count, seed])
    frames = {name: rng.standard_normal((count, atoms, 3)) for name in ("R", "V", "F")}
    return frames | {"E": rng.standard_normal((count, 1))}


@pytest.fixture
def folder(tmp_path):
    """A folder with blocks of four, two and five frames."""
    store = TrajectoryStore(tmp_path / "blocks", 3)
    for count in (4, 2, 5):
        store.append(make_frames(count))
    return tmp_path / "blocks"


def joined(name, counts=(4, 2, 5)):
    return np.concatenate([make_frames(count)[name] for count in counts])


def test_store_begins_empty_and_makes_no_folder(tmp_path):
    store = TrajectoryStore(tmp_path / "blocks", 3)
    assert (store.num_frames, list(store.blocks())) == (0, [])
    assert not os.listdir(tmp_path)


def test_blocks_are_found_again(folder):
    store = TrajectoryStore(folder, 3)
    assert store.num_frames == 11
    for name in ("R", "V", "E", "F"):
        found = np.concatenate([block[name] for block in store.blocks()])
        assert (found == joined(name)).all()


def test_last_frame_is_that_of_the_last_block(folder):
    last = TrajectoryStore(folder, 3).last_frame()
    assert all((last[name] == joined(name)[-1]).all() for name in ("R", "V", "E", "F"))


def test_files_are_named_after_the_frames_before_them(folder):
    names = [f"frames-{start:08d}.npz" for start in (0, 4, 6)]
    assert sorted(os.listdir(folder)) == names


def test_what_a_killed_process_left_half_written_is_passed_over(folder):
    (folder / ".frames-00000011.0123.npz").write_bytes(b"half")
    assert TrajectoryStore(folder, 3).num_frames == 11


def test_failing_write_stores_nothing(folder, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("disk full")

    store = TrajectoryStore(folder, 3)
    monkeypatch.setattr(np.lib.format, "write_array", fail)
    with pytest.raises(OSError, match="disk full"):
        store.append(make_frames(3))
    assert store.num_frames == TrajectoryStore(folder, 3).num_frames == 11


@given(st.integers(0, 11))
def test_joined_file_holds_the_frames_from_a_start_on(tmp_path_factory, start):
    folder = tmp_path_factory.mktemp("store")
    store = TrajectoryStore(folder / "blocks", 3)
    for count in (4, 2, 5):
        store.append(make_frames(count))
    store.save(folder / "all.npz", start, {"z": np.array([8, 1, 1]), "name": "water"})
    with np.load(folder / "all.npz", allow_pickle=False) as saved:
        assert sorted(saved.files) == ["E", "F", "R", "name", "z"]
        for name in ("R", "E", "F"):
            assert (saved[name] == joined(name)[start:]).all()
            assert saved[name].shape == joined(name)[start:].shape
        assert (saved["z"].tolist(), str(saved["name"])) == ([8, 1, 1], "water")


def test_joining_takes_the_memory_of_a_block(tmp_path):
    store = TrajectoryStore(tmp_path / "blocks", 20)
    for seed in range(20):
        store.append(make_frames(500, 20, seed))
    block = sum(array.nbytes for array in make_frames(500, 20).values())
    tracemalloc.start()
    store.save(tmp_path / "all.npz", 0, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "all.npz").stat().st_size > 10 * block
    assert peak < 5 * block


def test_joined_files_of_equal_frames_have_equal_bytes(folder, tmp_path):
    other = TrajectoryStore(tmp_path / "other", 3)
    other.append({name: joined(name) for name in ("R", "V", "E", "F")})
    other.save(tmp_path / "a.npz", 3, {"name": "a"})
    TrajectoryStore(folder, 3).save(tmp_path / "b.npz", 3, {"name": "a"})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_clearing_removes_the_folder(folder, tmp_path):
    TrajectoryStore(folder, 3).clear()
    assert not os.listdir(tmp_path)
    TrajectoryStore(folder, 3).clear()


def test_missing_block_is_noticed(folder):
    (folder / "frames-00000004.npz").unlink()
    with pytest.raises(ValueError, match=r"frames-00000006.npz is refused: .* 4 on are missing"):
        TrajectoryStore(folder, 3)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99], ids=str)
def test_truncated_block_is_refused_by_name(folder, kept):
    path = folder / "frames-00000004.npz"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(ValueError, match=r"frames-00000004.npz is refused: .*Remove it and those"):
        TrajectoryStore(folder, 3)


@given(st.integers(0, 10_000))
def test_altered_value_is_noticed(tmp_path_factory, place):
    folder = tmp_path_factory.mktemp("store")
    TrajectoryStore(folder, 3).append(make_frames(4))
    path = folder / "frames-00000000.npz"
    content = bytearray(path.read_bytes())
    begin = content.index(make_frames(4)["R"].tobytes())
    content[begin + place % make_frames(4)["R"].nbytes] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"frames-00000000.npz is refused: .*CRC"):
        TrajectoryStore(folder, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"R": np.zeros((4, 2, 3))}, r"`R` has the shape \(4, 2, 3\)"),
        ({"V": np.zeros((3, 3, 3))}, r"`V` has the shape \(3, 3, 3\)"),
        ({"E": np.zeros(4)}, r"`E` has the shape \(4,\)"),
        ({"F": np.zeros((4, 3, 3), np.float32)}, r"`F` has the shape .* of float32"),
        ({"R": np.full((4, 3, 3), np.nan)}, "`R` is not finite"),
        ({"R": np.array([Unsafe()] * 4)}, "does not load as arrays .*[Oo]bject"),
        ({"X": np.zeros(4)}, "does not hold E, F, R, V"),
    ],
    ids=["atoms", "frames", "energies", "precision", "not finite", "objects", "names"],
)
def test_foreign_block_is_refused_by_name(tmp_path, change, reason):
    np.savez(tmp_path / "frames-00000000.npz", **(make_frames(4) | change))
    with pytest.raises(ValueError, match=rf"frames-00000000.npz is refused: .*{reason}"):
        TrajectoryStore(tmp_path, 3)
