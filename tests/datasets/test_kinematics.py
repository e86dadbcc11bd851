from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skeleton_files import ASF, amc_text, draw_frames, elementary, joint_positions, write

from pyg_remul.datasets import _kinematics
from pyg_remul.datasets.asf_amc import (
    Bone,
    Motion,
    Skeleton,
    forward_kinematics,
    read_amc,
    read_asf,
)

ORDERS = ["".join(order) for order in permutations("XYZ")]
ROOT = Bone("root", -1, (0, 0, 0), 0, (0, 0, 0), "XYZ", ("TX", "TY", "TZ", "RX", "RY", "RZ"))
angles = st.floats(-7, 7)


def chain(axis_order: str = "XYZ", dof_order: str = "XYZ", root_order: str = "XYZ") -> Skeleton:
    """Three bones with rest frames of their own."""
    root = Bone("root", -1, (0, 0, 0), 0, (0, 0, 0), "XYZ", tuple(f"R{a}" for a in root_order))
    dof = tuple(f"R{a}" for a in dof_order)
    bones = [
        Bone("thigh", 0, (0, -1, 0), 3, (0.3, -0.2, 0.9), axis_order, dof),
        Bone("shin", 1, (0.6, -0.8, 0), 2, (0, 0, 0), "XYZ", ()),
        Bone("foot", 2, (0, 0, 1), 1, (-1.5, 0.1, 2.0), axis_order, dof[:2]),
    ]
    return Skeleton("chain", (root, *bones), "rad", 0.45)


def draw_motion(skeleton: Skeleton, frames: int = 6) -> Motion:
    rng = np.random.default_rng(0)
    return Motion(torch.from_numpy(rng.normal(0, 2, (frames, skeleton.num_channels))), 1)


@pytest.fixture
def skeleton(tmp_path: Path) -> Skeleton:
    return read_asf(write(tmp_path / "file.asf", ASF))


def test_positions_are_those_of_the_literal_evaluation(tmp_path: Path, skeleton: Skeleton) -> None:
    motion = read_amc(write(tmp_path / "file.amc", amc_text(draw_frames(20))), skeleton)
    positions = forward_kinematics(skeleton, motion)
    assert positions.dtype == torch.float64
    np.testing.assert_allclose(positions, joint_positions(skeleton, motion), rtol=0, atol=1e-12)


@pytest.mark.parametrize("role", ["axis_order", "dof_order", "root_order"])
@pytest.mark.parametrize("order", ORDERS)
def test_every_order_of_rotations_is_applied(role: str, order: str) -> None:
    skeleton = chain(**{role: order})
    motion = draw_motion(skeleton)
    positions = forward_kinematics(skeleton, motion)
    np.testing.assert_allclose(positions, joint_positions(skeleton, motion), rtol=0, atol=1e-12)


@pytest.mark.parametrize("role", ["axis_order", "dof_order", "root_order"])
def test_the_order_of_rotations_matters(role: str) -> None:
    turned = [
        forward_kinematics(skeleton, draw_motion(skeleton))
        for skeleton in (chain(), chain(**{role: "ZYX"}))
    ]
    assert (turned[0] - turned[1]).abs().max() > 0.1


def test_the_order_of_the_roots_columns_does_not_matter(tmp_path: Path) -> None:
    positions = []
    for order in (("TX", "TY", "TZ", "RX", "RY", "RZ"), ("RX", "RY", "RZ", "TX", "TY", "TZ")):
        text = ASF.replace("order TX TY TZ RX RY RZ", f"order {' '.join(order)}")
        skeleton = read_asf(write(tmp_path / "file.asf", text))
        frames = draw_frames(2)
        if order[0] == "RX":
            frames = [f | {"root": f["root"][3:] + f["root"][:3]} for f in frames]
        motion = read_amc(write(tmp_path / "file.amc", amc_text(frames)), skeleton)
        positions.append(forward_kinematics(skeleton, motion))
    assert torch.equal(*positions)


def test_without_rotations_the_skeleton_is_at_rest(skeleton: Skeleton) -> None:
    motion = Motion(torch.zeros(1, 12, dtype=torch.float64), 1)
    offsets = skeleton.lengths[:, None] * skeleton.directions
    expected = torch.stack(
        [offsets[0], offsets[1], offsets[1] + offsets[2], offsets[3], offsets[4]]
    )
    torch.testing.assert_close(forward_kinematics(skeleton, motion)[0], expected)


@given(arrays(np.float64, (2, 8), elements=angles))
def test_bones_keep_their_lengths(values: np.ndarray) -> None:
    skeleton = chain()
    positions = forward_kinematics(skeleton, Motion(torch.from_numpy(values), 1))
    bones = positions[:, 1:] - positions[:, list(skeleton.parents[1:])]
    lengths = skeleton.lengths[1:].expand(2, -1)
    torch.testing.assert_close(bones.norm(dim=-1), lengths, rtol=1e-13, atol=0)


@given(arrays(np.float64, (1, 8), elements=angles), angles)
def test_turning_the_root_turns_all_joints(values: np.ndarray, angle: float) -> None:
    before = torch.from_numpy(values)
    after = before.clone()
    after[:, 2] += angle  # about z, the last of the root's rotations
    positions, turned = (forward_kinematics(chain(), Motion(v, 1)) for v in (before, after))
    expected = positions @ torch.from_numpy(elementary("Z", angle)).T
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-12)


def test_frames_are_independent(skeleton: Skeleton, monkeypatch: pytest.MonkeyPatch) -> None:
    motion = draw_motion(skeleton, 7)
    whole = forward_kinematics(skeleton, motion)
    monkeypatch.setattr(_kinematics, "CHUNK", 3)
    torch.testing.assert_close(forward_kinematics(skeleton, motion), whole, rtol=0, atol=1e-13)


def test_metres_scale_all_positions(skeleton: Skeleton) -> None:
    motion = draw_motion(skeleton)
    metres = forward_kinematics(skeleton, motion, units="m")
    scaled = 0.0254 / 0.45 * forward_kinematics(skeleton, motion)
    torch.testing.assert_close(metres, scaled, rtol=1e-15, atol=0)


def test_positions_carry_gradients() -> None:
    skeleton = chain()
    values = draw_motion(skeleton, 2).values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: forward_kinematics(skeleton, Motion(v, 1)), values)


def test_a_skeleton_without_rotations_only_moves() -> None:
    skeleton = Skeleton(
        "point", (Bone("root", -1, (0, 0, 0), 0, (0, 0, 0), "XYZ", ("TZ",)),), "deg", 1
    )
    motion = Motion(torch.tensor([[1.0], [2.0]]).double(), 1)
    assert forward_kinematics(skeleton, motion).tolist() == [[[0, 0, 1]], [[0, 0, 2]]]


@pytest.mark.parametrize(
    ("values", "units", "wording"),
    [
        (torch.zeros(2, 11), "asf", r"`motion` must have .* \[frames, 12\], got \[2, 11\]"),
        (torch.zeros(12), "asf", r"`motion` must have .* \[frames, 12\], got \[12\]"),
        (torch.zeros(2, 12), "cm", "`units` must be one of 'asf', 'm', got 'cm'"),
    ],
    ids=["channels", "one axis", "units"],
)
def test_bad_arguments_are_refused(
    skeleton: Skeleton, values: torch.Tensor, units: str, wording: str
) -> None:
    with pytest.raises(ValueError, match=wording):
        forward_kinematics(skeleton, Motion(values, 1), units=units)


PUBLISHED_JOINTS = """
root lhipjoint lfemur ltibia lfoot ltoes rhipjoint rfemur rtibia rfoot rtoes lowerback upperback
thorax lowerneck upperneck head lclavicle lhumerus lradius lwrist lhand lfingers lthumb rclavicle
rhumerus rradius rwrist rhand rfingers rthumb
"""
PUBLISHED_PARENTS = {6: 0, 11: 0, 17: 13, 24: 13, 23: 20, 30: 27}


def walking_folder() -> Path:
    folder = os.environ.get("PYG_REMUL_DATA")
    if folder is None:
        pytest.skip("PYG_REMUL_DATA does not name a folder with the published files")
    return Path(folder) / "mocap" / "walk"


@pytest.mark.dataset
def test_joints_of_cmu_are_in_the_published_order() -> None:
    skeleton = read_asf(walking_folder() / "35.asf")
    assert list(skeleton.joints) == PUBLISHED_JOINTS.split()
    parents = [PUBLISHED_PARENTS.get(joint, joint - 1) for joint in range(31)]
    assert list(skeleton.parents) == parents
    assert skeleton.num_channels == 62


@pytest.mark.dataset
def test_all_walks_are_read_and_plausible() -> None:
    skeleton = read_asf(walking_folder() / "35.asf")
    paths = sorted(walking_folder().glob("*.amc"))
    assert len(paths) == 20
    for path in paths:
        motion = read_amc(path, skeleton)
        positions = forward_kinematics(skeleton, motion)
        bones = (positions[:, 1:] - positions[:, list(skeleton.parents[1:])]).norm(dim=-1)
        assert (bones - bones[0]).abs().max() < 1e-12
        some = Motion(motion.values[::100], 1)
        literal = joint_positions(skeleton, some)
        np.testing.assert_allclose(positions[::100], literal, rtol=0, atol=1e-10)
        x, y, z = (positions[30:] - positions[:-30]).mean(dim=(0, 1)).tolist()
        assert abs(x) < 0.2
        assert abs(y) < 0.1
        assert 4.7 < z < 5.9
