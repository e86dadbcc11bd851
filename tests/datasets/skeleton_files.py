"""Texts of small ASF and AMC files, and the most literal evaluation of what they describe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pyg_remul.datasets.asf_amc import Motion, Skeleton

ASF = """\
# a comment
:version 1.10
:name Two Legs
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   begin at the beginning, end at the end
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name spine
     direction 0 1 0
     length 4
     axis 10 20 30 XYZ
    dof rx ry rz
    limits (-20.0 45.0)
           (-30.0 30.0)
           (-30.0 30.0)
  end
  begin
     id 2
     name lleg
     direction 0.6 -0.8 0
     length 2.5
     axis 0 0 20 XYZ
    dof rx rz
  end
  begin
     id 3
     name lfoot
     direction 0 0 1
     length 1.25
     axis -90 0 20 XYZ
  end
  begin
     id 4
     name rleg
     direction -0.6 -0.8 0
     length 2.5
     axis 0 0 -20 XYZ
    dof rx
  end
:hierarchy
  begin
    root lleg rleg spine
    lleg lfoot
  end
"""

# The joints of `ASF`, its channels and some values of theirs.
JOINTS = ("root", "lleg", "lfoot", "rleg", "spine")
CHANNELS = {"root": 6, "lleg": 2, "rleg": 1, "spine": 3}


def draw_frames(num: int, seed: int = 0) -> list[dict[str, list[float]]]:
    """For each frame the values of each bone."""
    rng = np.random.default_rng(seed)
    return [
        {name: rng.normal(0, 40, size).round(4).tolist() for name, size in CHANNELS.items()}
        for _ in range(num)
    ]


def amc_text(
    frames: list[dict[str, list[float]]], *, first: int = 1, header: str = ":DEGREES\n"
) -> str:
    """An AMC file."""
    lines = [f"#!OML:ASF\n:FULLY-SPECIFIED\n{header}"]
    for number, frame in enumerate(frames, first):
        lines.append(f"{number}\n")
        lines += [f"{name} {' '.join(map(repr, values))}\n" for name, values in frame.items()]
    return "".join(lines)


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def elementary(letter: str, angle: float) -> np.ndarray:
    """The textbook's rotation about one axis."""
    c, s = np.cos(angle), np.sin(angle)
    return {
        "X": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "Y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "Z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[letter]


def joint_positions(skeleton: Skeleton, motion: Motion) -> np.ndarray:
    """Joint by joint and frame by frame, with matrices of four by four."""
    everything = []
    for row in motion.values.tolist():
        values, worlds, positions = iter(row), [], []
        for bone in skeleton.bones:
            frame, turn, shift = np.eye(4), np.eye(4), np.zeros(3)
            for letter in bone.axis_order:
                angle = bone.axis["XYZ".index(letter)]
                frame[:3, :3] = elementary(letter, angle) @ frame[:3, :3]
            for kind, letter in bone.dof:
                if kind == "T":
                    shift["XYZ".index(letter)] = next(values)
                else:
                    turn[:3, :3] = elementary(letter, next(values)) @ turn[:3, :3]
            local = frame @ turn @ np.linalg.inv(frame)
            world = local if bone.parent < 0 else worlds[bone.parent] @ local
            step = np.eye(4)
            step[:3, 3] = bone.length * np.array(bone.direction)
            world = world @ step
            world[:3, 3] += shift
            worlds.append(world)
            positions.append(world[:3, 3].copy())
        everything.append(positions)
    return np.array(everything)
