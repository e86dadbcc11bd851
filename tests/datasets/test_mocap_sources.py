from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from skeleton_files import ASF, amc_text, draw_frames, joint_positions, write

from pyg_remul.datasets import MoCap, _cmu, _mocap_sources
from pyg_remul.datasets._mocap_splits import MOTIONS
from pyg_remul.datasets._mocap_splits import draw_frames as draw_inputs
from pyg_remul.datasets.asf_amc import read_amc, read_asf

LENGTH = 121  # the least that a run takes


def put(folder: Path, subject: int, lengths: dict[int, int]) -> None:
    """Writes a skeleton and trials of given lengths."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / f"{subject:02d}.asf", ASF)
    for trial, length in lengths.items():
        text = amc_text(draw_frames(length, seed=trial), first=trial)
        write(folder / f"{subject:02d}_{trial:02d}.amc", text)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Takes the machine off the network, and lists the files that were asked for."""
    names: list[str] = []

    def fetch(path: Path, urls: list[str], **_: object) -> None:
        if not path.exists():
            names.append(path.name)
            raise FileNotFoundError(f"The file {path} is absent and its download failed")

    monkeypatch.setattr(_cmu, "fetch_file", fetch)
    monkeypatch.setattr(_mocap_sources, "fetch_file", fetch)
    return names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six runs, of which the last is too short."""
    put(tmp_path / "raw" / "subjects" / "09", 9, dict.fromkeys(range(1, 6), LENGTH) | {6: 120})
    return tmp_path


def trials_of(dataset: MoCap) -> list[int]:
    return list(dict.fromkeys(dataset.trial.tolist()))


def test_recordings_that_are_there_are_taken(root: Path) -> None:
    dataset = MoCap(root, "run")
    assert dataset.split_source == "pyg_remul"
    assert dataset.raw_file_names[0] == "subjects/09/09.asf"
    assert len(dataset.raw_file_names) == 7


def test_every_long_trial_is_in_one_split(root: Path) -> None:
    chosen = [trials_of(MoCap(root, "run", split)) for split in ("train", "val", "test")]
    assert [len(part) for part in chosen] == [2, 1, 2]
    assert sorted(trial for part in chosen for trial in part) == [1, 2, 3, 4, 5]


def test_graphs_are_frames_of_the_recording(root: Path) -> None:
    skeleton = read_asf(root / "raw" / "subjects" / "09" / "09.asf")
    dataset = MoCap(root, "run", "val", center=False, max_samples=4)
    (trial,) = trials_of(dataset)
    motion = read_amc(root / "raw" / "subjects" / "09" / f"09_{trial:02d}.amc", skeleton)
    x = joint_positions(skeleton, motion)
    for graph in dataset:
        t = graph.frame.item()
        for value, expected in (
            (graph.pos, x[t]),
            (graph.vel, x[t + 1] - x[t]),
            (graph.y, x[t + 30]),
        ):
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-4)


def test_edges_are_the_bones_of_the_skeleton(root: Path) -> None:
    graph = MoCap(root, "run", hops=1)[0]
    pairs = set(map(tuple, graph.edge_index.T.tolist()))
    bones = {(0, 1), (1, 2), (0, 3), (0, 4)}
    assert pairs == bones | {(b, a) for a, b in bones}


def test_metres_follow_the_skeleton(root: Path) -> None:
    path = root / "raw" / "subjects" / "09" / "09.asf"
    path.write_text(path.read_text().replace("length 0.45", "length 0.5"))
    asf, metres = MoCap(root, "run"), MoCap(root, "run", units="m")
    torch.testing.assert_close(metres.pos, 0.0508 * asf.pos, rtol=1e-5, atol=1e-6)


def test_the_published_file_comes_first(root: Path) -> None:
    bones = [[child, child - 1] for child in range(1, 31)]
    trials = [np.random.default_rng(trial).normal(size=(125, 31, 3)) for trial in range(11)]
    (root / "raw" / "motion_run.pkl").write_bytes(pickle.dumps((bones, trials)))
    assert MoCap(root, "run").split_source == "published"
    assert MoCap(root, "run", source="asf").split_source == "pyg_remul"


def test_the_source_can_be_insisted_on(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"motion_run\.pkl is absent"):
        MoCap(root, "run", source="published")


def test_another_subject_is_split_the_same_way(tmp_path: Path) -> None:
    put(tmp_path / "raw", 7, dict.fromkeys(range(1, 6), LENGTH))
    dataset = MoCap(tmp_path, "run", subject=7)
    assert dataset.split_source == "pyg_remul"
    assert dataset.processed_file_names[0].startswith("mocap-run-subject07-train-200-")


def test_named_trials_alone_are_taken(root: Path) -> None:
    splits = ("train", "val", "test")
    chosen = [trials_of(MoCap(root, "run", split, trials=[5, 1, 3])) for split in splits]
    assert sorted(trial for part in chosen for trial in part) == [1, 3, 5]


def test_trials_can_come_already_split(root: Path) -> None:
    given = {"train": [4, 1], "val": [2], "test": [5, 3]}
    for split, trials in given.items():
        dataset = MoCap(root, "run", split, trials=given, max_samples=10)
        assert dataset.split_source == "given"
        assert trials_of(dataset) == trials
    drawn = draw_inputs(MOTIONS["run"], {split: tuple(t) for split, t in given.items()})
    assert dataset.frame.tolist()[:5] == drawn["test"][5][:5].tolist()


def test_the_tenth_run_begins_late_as_the_published_one_does(tmp_path: Path) -> None:
    given = {"train": [1], "val": [2], "test": [10]}
    put(tmp_path / "raw", 9, dict.fromkeys((1, 2, 10), LENGTH + 6))
    put(tmp_path / "raw", 8, dict.fromkeys((1, 2, 10), LENGTH + 6))
    nine, eight = (
        MoCap(tmp_path, "run", "test", subject=subject, trials=given, center=False)
        for subject in (None, 8)
    )
    skeleton = read_asf(tmp_path / "raw" / "09.asf")
    x = joint_positions(skeleton, read_amc(tmp_path / "raw" / "09_10.amc", skeleton))
    t = nine[0].frame.item()
    np.testing.assert_allclose(nine[0].pos, x[t + 6], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(eight[0].pos, x[t], rtol=1e-5, atol=1e-4)


def test_without_recordings_those_of_the_motion_are_asked_for(
    tmp_path: Path, asked: list[str]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"raw/35_01\.amc is absent"):
        MoCap(tmp_path, "walk", source="asf")
    assert asked == ["35_01.amc"]


def test_a_named_trial_that_is_absent_is_asked_for(root: Path, asked: list[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"subjects/09/09_07\.amc is absent"):
        MoCap(root, "run", trials=[1, 2, 3, 7])
    assert asked == ["09_07.amc"]


def test_another_subject_without_trials_asks_for_their_numbers(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no files 07\.asf and 07_NN\.amc under .*`trials`"
    ):
        MoCap(tmp_path, subject=7)


def test_changed_recordings_have_another_file(root: Path) -> None:
    before = MoCap(root, "run")
    path = root / "raw" / "subjects" / "09" / "09_03.amc"
    path.write_text(amc_text(draw_frames(LENGTH, seed=99)))
    after = MoCap(root, "run")
    assert before.processed_file_names != after.processed_file_names
    assert not torch.equal(before.pos, after.pos)


@pytest.mark.parametrize("trial", [5, 7], ids=["one fewer", "one more"])
def test_other_trials_have_another_file(root: Path, trial: int) -> None:
    before = MoCap(root, "run").processed_file_names
    path = root / "raw" / "subjects" / "09" / f"09_{trial:02d}.amc"
    if path.exists():
        path.unlink()
    else:
        path.write_text(amc_text(draw_frames(LENGTH)))
    assert MoCap(root, "run").processed_file_names != before


def test_a_malformed_recording_is_named(root: Path) -> None:
    path = root / "raw" / "subjects" / "09" / "09_02.amc"
    path.write_text(path.read_text().replace("lleg", "arm", 1))
    with pytest.raises(ValueError, match=r"09_02\.amc is refused at line 6: .* no bone 'arm'"):
        MoCap(root, "run")


@pytest.mark.parametrize(
    ("options", "error", "wording"),
    [
        ({"source": "amc"}, ValueError, "`source` must be one of None, 'published', 'asf', got"),
        ({"subject": 0}, ValueError, "`subject` must be positive, got 0"),
        ({"subject": "09"}, TypeError, "`subject` must be an integer, got '09'"),
        ({"trials": 3}, TypeError, "`trials` must be a sequence or a mapping .* got 3"),
        ({"trials": []}, ValueError, r"`trials` must name trials, .* got \[\]"),
        ({"trials": [1, 2, 1]}, ValueError, r"`trials` must name .* twice, got \[1, 2, 1\]"),
        ({"trials": ["1"]}, TypeError, "`trials` must be an integer, got '1'"),
        ({"trials": [1, 2]}, ValueError, r"`trials` must hold at least 3 .* got \[1, 2\]"),
        ({"trials": {"train": [1]}}, ValueError, "`trials` must have some for each of train, val"),
        (
            {"trials": {"train": [1], "val": [2], "test": []}},
            ValueError,
            "`trials` must have some for each of train, val, test, got",
        ),
        (
            {"trials": {"train": [1], "val": [2], "test": [6]}},
            ValueError,
            "`trials` must have 121 frames or more each, got 6, which has 120",
        ),
        (
            {"trials": [1, 2, 3], "source": "published"},
            ValueError,
            "`source` must be None or 'asf'",
        ),
        ({"max_samples": 1}, ValueError, "`max_samples` must be at least 2, one for each"),
        ({"delta": 99}, ValueError, r"`delta` must be at most 3\d, for trial \d has 121 frames"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_refused(
    root: Path, options: dict[str, object], error: type[Exception], wording: str
) -> None:
    with pytest.raises(error, match=wording):
        MoCap(root, "run", **options)


@pytest.mark.dataset
def test_the_walks_are_read_from_their_source(tmp_path: Path) -> None:
    folder = os.environ.get("PYG_REMUL_DATA")
    if folder is None:
        pytest.skip("PYG_REMUL_DATA does not name a folder with the published files")
    (tmp_path / "raw").mkdir()
    for path in (Path(folder) / "mocap" / "walk").glob("35*"):
        (tmp_path / "raw" / path.name).symlink_to(path.resolve())
    chosen = {}
    for split, num in (("train", 200), ("val", 400), ("test", 500)):
        dataset = MoCap(tmp_path, "walk", split)
        assert dataset.split_source == "pyg_remul"
        assert len(dataset) == num
        assert dataset[0].edge_index.shape == (2, 130)
        chosen[split] = trials_of(dataset)
    assert [len(part) for part in chosen.values()] == [8, 4, 5]
    displacement = dataset.y - dataset.pos
    assert displacement.mean(dim=0)[2].item() == pytest.approx(5.3, abs=0.2)
