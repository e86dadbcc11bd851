from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import shortest_path

from pyg_remul.datasets._mocap_files import read_motion, skeleton_graph
from pyg_remul.datasets._mocap_splits import MOTIONS

PARENTS = {6: 0, 11: 0, 17: 13, 24: 13, 23: 20, 30: 27}
BONES = [[child, PARENTS.get(child, child - 1)] for child in range(1, 31)]
RUN = MOTIONS["run"]


def trials(num: int = 11, frames: int = 91) -> list[np.ndarray]:
    return [np.random.default_rng(index).normal(size=(frames, 31, 3)) for index in range(num)]


def with_trial(index: int, trial: object) -> list[object]:
    return [*trials()[:index], trial, *trials()[index + 1 :]]


def with_value(value: float) -> list[object]:
    spoilt = trials()[4]
    spoilt[3, 2, 1] = value
    return with_trial(4, spoilt)


def published_folder() -> Path:
    folder = os.environ.get("PYG_REMUL_DATA")
    if folder is None:
        pytest.skip("PYG_REMUL_DATA does not name a folder with the published files")
    return Path(folder)


@pytest.mark.dataset
def test_the_published_run_is_read() -> None:
    bones, read = read_motion(published_folder() / "mocap/run/motion_run.pkl", RUN)
    assert bones.tolist() == BONES
    assert [len(trial) for trial in read] == [141, 138, 165, 143, 137, 126, 148, 128, 130, 152, 128]
    assert read[3][0, 0].tolist() == pytest.approx([-0.76, 17.41, -27.77], abs=0.005)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / RUN.file
    path.write_bytes(pickle.dumps((BONES, trials())))
    bones, read = read_motion(path, RUN)
    assert bones.tolist() == BONES
    for ours, theirs in zip(read, trials(), strict=True):
        assert ours.dtype == torch.float64
        assert np.array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([BONES, trials()], "it is not a pair of bones and trials"),
        ((BONES, trials(), 1), "it is not a pair of bones and trials"),
        ((BONES[1:], trials()), r"its bones have shape \[29, 2\] and type int64"),
        (([*BONES[1:], [1]], trials()), "its bones are not pairs"),
        ((np.array(BONES) / 2, trials()), r"its bones have shape \[30, 2\] and type float64"),
        (([*BONES[:29], [31, 0]], trials()), "do not give each joint one parent"),
        (([*BONES[:29], [30, -1]], trials()), "do not give each joint one parent"),
        (([[1, 2], *BONES[1:]], trials()), "do not give each joint one parent"),
        ((BONES, trials(10)), "the split needs 11 trials, of which it has 10"),
        ((BONES, "text"), "the split needs 11 trials, of which it has none"),
        ((BONES, with_trial(2, "text")), "trial 2 is not an array of floating-point numbers"),
        ((BONES, with_trial(2, np.zeros((91, 31, 3), int))), "trial 2 is not an array of float"),
        ((BONES, with_trial(2, np.zeros((91, 30, 3)))), r"trial 2 has shape \[91, 30, 3\]"),
        ((BONES, with_trial(2, np.zeros(3))), r"trial 2 has shape \[3\]"),
        ((BONES, with_trial(2, np.zeros((90, 31, 3)))), "trial 2 has 90 frames, .* needs 91"),
        ((BONES, with_value(np.nan)), "trial 4 has values that are not finite"),
        ((BONES, with_value(-np.inf)), "trial 4 has values that are not finite"),
    ],
    ids=[
        "list",
        "triple",
        "few bones",
        "ragged bones",
        "halves",
        "joint 31",
        "joint -1",
        "cycle",
        "few trials",
        "no trials",
        "text",
        "integers",
        "30 joints",
        "one axis",
        "short",
        "nan",
        "infinite",
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / RUN.file
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=f"{path.name} is refused: .*{reason}"):
        read_motion(path, RUN)


def test_the_skeleton_has_sixty_and_seventy_edges() -> None:
    edge_index, edge_attr = skeleton_graph(torch.tensor(BONES), hops=2)
    assert edge_index.shape == (2, 130)
    assert edge_attr[:, 0].tolist() == [1.0] * 60 + [2.0] * 70


def test_thirty_hops_reach_every_joint_over_the_bones_between() -> None:
    edge_index, edge_attr = skeleton_graph(torch.tensor(BONES), hops=30)
    assert edge_index.unique(dim=1).size(1) == edge_index.size(1) == 930
    near = np.zeros((31, 31))
    near[tuple(np.transpose(BONES))] = 1
    apart = shortest_path(near, directed=False)
    assert edge_attr[:, 0].tolist() == apart[tuple(edge_index.numpy())].tolist()


def test_one_hop_edges_are_the_bones_both_ways() -> None:
    edge_index, edge_attr = skeleton_graph(torch.tensor(BONES), hops=1)
    pairs = set(map(tuple, edge_index.T.tolist()))
    assert pairs == {pair for a, b in BONES for pair in ((a, b), (b, a))}
    assert edge_attr.tolist() == [[1.0]] * 60


def test_two_hop_edges_join_joints_with_a_common_neighbour() -> None:
    edge_index, _ = skeleton_graph(torch.tensor(BONES), hops=2)
    pairs = [tuple(pair) for pair in edge_index.T.tolist()]
    bones = set(pairs[:60])
    expected = {(a, d) for a, b in bones for c, d in bones if b == c and a != d}
    assert set(pairs[60:]) == expected
    assert not expected & bones
