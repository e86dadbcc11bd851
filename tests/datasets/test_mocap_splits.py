from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.datasets._mocap_splits import (
    MOTIONS,
    SPLITS,
    draw_frames,
    published_split,
    split_trials,
)
from pyg_remul.datasets._pickles import load_arrays

WALK = MOTIONS["walk"]
LONG_WALKS = [2, 5, 7, 8, 9, 10, 11, 12, 14, 15, 16, 28, 29, 31, 32, 33, 34]


@pytest.mark.parametrize("motion", ["run", "walk"])
def test_no_trial_is_in_two_splits(motion: str) -> None:
    chosen = [trial for split in MOTIONS[motion].trials.values() for trial in split]
    assert len(set(chosen)) == len(chosen)


@pytest.mark.parametrize("motion", ["run", "walk"])
def test_there_are_as_many_trials_at_cmu_as_in_the_published_file(motion: str) -> None:
    preset = MOTIONS[motion]
    chosen = [trial for split in preset.trials.values() for trial in split]
    assert sorted(chosen) == list(range(len(preset.numbers)))


@pytest.mark.parametrize(("motion", "picks", "window"), [("run", 80, 90), ("walk", 100, 300)])
def test_splits_draw_distinct_frames_of_the_window(motion: str, picks: int, window: int) -> None:
    for split in published_split(MOTIONS[motion]).values():
        for frames in split.values():
            assert len(set(frames.tolist())) == picks
            assert 0 <= frames.min() <= frames.max() < window


def test_splits_do_not_touch_the_global_generator() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    published_split(MOTIONS["run"])
    split_trials(WALK, range(9))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.dataset
@pytest.mark.parametrize(
    ("motion", "file"), [("run", "mocap/run/split_run.pkl"), ("walk", "mocap/walk/split.pkl")]
)
def test_splits_are_the_published_ones(motion: str, file: str) -> None:
    folder = os.environ.get("PYG_REMUL_DATA")
    if folder is None:
        pytest.skip("PYG_REMUL_DATA does not name a folder with the published files")
    published = load_arrays(Path(folder) / file)
    ours = published_split(MOTIONS[motion])
    for theirs, split in zip(published, SPLITS, strict=True):
        assert list(theirs) == list(ours[split])
        for trial, frames in theirs.items():
            assert np.array_equal(frames, ours[split][trial])


@pytest.mark.parametrize(
    ("motion", "num", "sizes"),
    [
        ("walk", 23, (11, 6, 6)),
        ("walk", 17, (8, 4, 5)),
        ("run", 11, (5, 3, 3)),
        ("run", 3, (1,) * 3),
    ],
    ids=["23 walks", "17 walks", "11 runs", "3 runs"],
)
def test_trials_are_split_in_the_published_proportions(
    motion: str, num: int, sizes: tuple[int, ...]
) -> None:
    split = split_trials(MOTIONS[motion], range(num))
    assert tuple(len(split[name]) for name in SPLITS) == sizes


def test_the_split_of_the_long_walks_stays_what_it_is() -> None:
    assert split_trials(WALK, LONG_WALKS) == {
        "train": (32, 15, 28, 5, 29, 11, 33, 10),
        "val": (7, 9, 16, 2),
        "test": (31, 12, 8, 34, 14),
    }


@given(st.sets(st.integers(1, 99), min_size=3), st.randoms())
def test_each_trial_is_in_one_split_whatever_their_order(trials: set[int], random) -> None:
    shuffled = random.sample(sorted(trials), len(trials))
    split = split_trials(WALK, shuffled)
    assert all(split.values())
    assert sorted(trial for part in split.values() for trial in part) == sorted(trials)
    assert split == split_trials(WALK, sorted(trials))


def test_two_trials_cannot_be_split() -> None:
    with pytest.raises(ValueError, match=r"`trials` must hold at least 3 of 331 .* got \[4, 7\]"):
        split_trials(WALK, [7, 4])


def test_frames_are_drawn_in_the_order_of_splits_and_trials() -> None:
    trials = {"test": (5,), "train": (8, 2), "val": (1,)}
    drawn = draw_frames(WALK, trials)
    assert {split: list(frames) for split, frames in drawn.items()} == {
        "train": [8, 2],
        "val": [1],
        "test": [5],
    }
    published = published_split(WALK)
    assert np.array_equal(drawn["train"][8], published["train"][20])
    assert np.array_equal(drawn["train"][2], published["train"][1])
