"""Reading a motion, and its forward kinematics for all frames at once against frame by frame."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.report import Report
from pyg_remul.datasets.asf_amc import (
    Bone,
    Motion,
    Skeleton,
    forward_kinematics,
    read_amc,
)

NUM_BONES, NUM_FRAMES = 30, 400
Matrix = NDArray[np.float64]


def make_skeleton() -> Skeleton:
    """A tree with as many bones and channels as those of CMU."""
    rng = np.random.default_rng(0)
    root = Bone("root", -1, (0, 0, 0), 0, (0, 0, 0), "XYZ", ("TX", "TY", "TZ", "RX", "RY", "RZ"))
    bones = [
        Bone(f"bone{i}", int(rng.integers(i)), (0, 1, 0), 1, (0.1, 0.2, 0.3), "XYZ", ("RX", "RZ"))
        for i in range(1, NUM_BONES + 1)
    ]
    return Skeleton("random", (root, *bones), "deg", 0.45)


def write_motion(skeleton: Skeleton, path: Path) -> None:
    """A motion with six digits a value, as those of CMU have."""
    rng = np.random.default_rng(0)
    lines = [":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(1, NUM_FRAMES + 1):
        lines.append(str(frame))
        for bone in skeleton.bones:
            values = rng.normal(0, 30, len(bone.dof))
            lines.append(" ".join([bone.name, *(f"{value:g}" for value in values)]))
    path.write_text("\n".join(lines))


def turn(axis: str, angle: float) -> Matrix:
    """The rotation about an axis."""
    c, s = np.cos(angle), np.sin(angle)
    if axis == "X":
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    if axis == "Y":
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def rest_frames(skeleton: Skeleton) -> list[Matrix]:
    """The frames in which bones turn, which need to be computed only once."""
    return [
        turn("Z", bone.axis[2]) @ turn("Y", bone.axis[1]) @ turn("X", bone.axis[0])
        for bone in skeleton.bones
    ]


def frame_by_frame(skeleton: Skeleton, motion: Motion, frames: list[Matrix]) -> Matrix:
    """Joint by joint and frame by frame."""
    result = np.empty((len(motion.values), len(skeleton.bones), 3))
    for positions, row in zip(result, motion.values.numpy(), strict=True):
        rotations: list[Matrix] = []
        for joint, (bone, frame) in enumerate(zip(skeleton.bones, frames, strict=True)):
            local = np.eye(3)
            values = row[skeleton.channels[bone.name]]
            for token, value in zip(bone.dof, values, strict=True):
                if token[0] == "R":
                    local = turn(token[1], value) @ local
            local = frame @ local @ frame.T
            if bone.parent < 0:
                rotations.append(local)
                positions[joint] = values[:3]
            else:
                rotations.append(rotations[bone.parent] @ local)
                offset = bone.length * np.array(bone.direction)
                positions[joint] = positions[bone.parent] + rotations[joint] @ offset
    return result


def main(settings: Settings) -> None:
    """Times reading and both evaluations."""
    skeleton = make_skeleton()
    rest = rest_frames(skeleton)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "motion.amc"
        write_motion(skeleton, path)
        motion = read_amc(path, skeleton)
        literal = torch.from_numpy(frame_by_frame(skeleton, motion, rest))
        difference = float((forward_kinematics(skeleton, motion) - literal).abs().max())
        ours = "forward_kinematics"
        cases = {
            ours: lambda: forward_kinematics(skeleton, motion),
            "the same frame by frame, with NumPy": lambda: frame_by_frame(skeleton, motion, rest),
            "read_amc": lambda: read_amc(path, skeleton),
        }
        frames = {"frames": NUM_FRAMES}
        sizes = {**frames, "bones": NUM_BONES, "channels": skeleton.num_channels}
        report = Report("motion", settings)
        report.compare("reading and kinematics", cases, ours, sizes=sizes, work=frames)
    print(f"largest difference of the evaluations: {difference:.1e}")
