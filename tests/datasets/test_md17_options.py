from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.datasets._md17_files import MOLECULES
from pyg_remul.datasets._md17_options import TrajectoryOptions, split_frames

PUBLISHED = {
    "aspirin": (19_176, 9_588, 9_588),
    "benzene": (60_798, 30_399, 30_399),
    "ethanol": (53_509, 26_754, 26_754),
    "malonaldehyde": (97_323, 48_661, 48_661),
    "naphthalene": (30_624, 15_312, 15_312),
    "salicylic": (30_023, 15_011, 15_011),
    "toluene": (42_278, 21_139, 21_139),
    "uracil": (11_376, 5_688, 5_688),
}
"""The sizes of the published splits."""
DIGESTS = {
    "aspirin": "149bc869e97dc3a1",
    "benzene": "7cd735ecbcb351ad",
    "ethanol": "612c5e270beaa04f",
    "malonaldehyde": "72d81a0f5c25f5b5",
    "naphthalene": "e30f8eae6636949d",
    "salicylic": "27ecd3350480b40a",
    "toluene": "9d85612b22a32458",
    "uracil": "d870f811ff150b69",
}
"""The beginnings of the SHA-256 sums of the published splits, as int64 one after another."""


def make(**options: object) -> TrajectoryOptions:
    given: dict[str, object] = {
        "molecule": "ethanol",
        "split": "train",
        "source": "md17",
        "delta": 3000,
        "heavy": True,
        "center": True,
        "energy": False,
        "force": False,
        "margin": None,
        "max_samples": 500,
    }
    return TrajectoryOptions(**(given | options))


@pytest.mark.parametrize("molecule", PUBLISHED)
def test_splits_have_the_published_sizes(molecule: str) -> None:
    splits = split_frames(MOLECULES[molecule].frames, 10_000)
    assert tuple(map(len, splits.values())) == PUBLISHED[molecule]


@pytest.mark.parametrize("molecule", DIGESTS)
def test_splits_are_the_published_ones(molecule: str) -> None:
    splits = split_frames(MOLECULES[molecule].frames, 10_000)
    content = np.concatenate(list(splits.values())).astype("<i8").tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == DIGESTS[molecule]


def test_frames_of_aspirin_begin_and_range_as_published() -> None:
    splits = split_frames(MOLECULES["aspirin"].frames, 10_000)
    train = splits["train"]
    assert train[:3].tolist() == [78845, 12943, 13421]
    assert (train.min(), train.max()) == (10_008, 201_759)
    assert min(frames.min() for frames in splits.values()) == 10_007


@given(num=st.integers(21, 3000), share=st.floats(0, 0.4))
def test_splits_are_disjoint_and_within_the_margins(num: int, share: float) -> None:
    margin = min(int(share * num), (num - 21) // 2)
    frames = np.concatenate(list(split_frames(num, margin).values()))
    assert len(np.unique(frames)) == len(frames)
    assert margin <= frames.min()
    assert frames.max() <= num - 2 - margin


def test_margins_that_leave_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`margin` must leave at least 20 of 100 frames .*got 40"):
        split_frames(100, 40)


@pytest.mark.parametrize("molecule", PUBLISHED)
@pytest.mark.parametrize("delta", [3000, 5000])
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_targets_of_both_published_deltas_exist(molecule: str, delta: int, split: str) -> None:
    frames = MOLECULES[molecule].frames
    assert make(molecule=molecule, split=split, delta=delta).draw(frames).max() + delta < frames


@pytest.mark.parametrize(
    ("num_frames", "margin"), [(133_770, 10_000), (100_000, 10_000), (60_000, 6000), (1000, 100)]
)
def test_short_trajectories_have_a_tenth_as_margin(num_frames: int, margin: int) -> None:
    drawn = make(delta=1, max_samples=10**6).draw(num_frames)
    assert np.array_equal(drawn, split_frames(num_frames, margin)["train"])


def test_the_margin_can_be_chosen() -> None:
    drawn = make(delta=1, margin=200).draw(1000)
    assert np.array_equal(drawn, split_frames(1000, 200)["train"])


def test_the_first_of_the_drawn_frames_are_taken() -> None:
    drawn = split_frames(100_000, 10_000)["train"]
    assert np.array_equal(make(max_samples=7).draw(100_000), drawn[:7])


def test_the_target_of_the_last_candidate_is_the_last_frame() -> None:
    make(delta=101).draw(1000)
    with pytest.raises(ValueError, match=r"`delta` must be at most 101, .*1000 frames, got 102"):
        make(delta=102).draw(1000)


def test_the_stem_tells_every_option() -> None:
    options = make(source="xtb", heavy=False, center=False, energy=True, force=True, margin=5)
    assert options.stem == (
        "md17-ethanol-xtb-train-500-delta3000-all-absolute-energy-force-margin5"
    )


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "a b", "a\n", 3, None], ids=repr)
def test_names_that_no_file_can_have_are_refused(name: object) -> None:
    with pytest.raises(ValueError, match=r"`molecule` must be a name of letters, .*got"):
        make(molecule=name, source="xtb")
