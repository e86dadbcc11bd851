"""Reading AMC files."""

from __future__ import annotations

import math
import os
from array import array
from typing import Final

import torch

from pyg_remul.datasets._numbered_lines import (
    FormatError,
    naming,
    numbered_lines,
    parse_numbers,
)
from pyg_remul.datasets._skeletons import Angle, Motion, Skeleton

__all__ = ["read_amc"]

# Characters of a file: a quarter of an hour of a recording of CMU.
MAX_SIZE = 2**26
# Numbers in the arrays of channels and of positions, 128 MB of them: 25 minutes of CMU.
MAX_VALUES = 2**24
MAX_DIGITS = 9

_ANGLES: Final[dict[str, Angle]] = {":DEGREES": "deg", ":RADIANS": "rad"}


def read_amc(path: str | os.PathLike[str], skeleton: Skeleton) -> Motion:
    r"""Reads what a skeleton does from an AMC file.

    Args:
        path: The file.
        skeleton: The skeleton that it was written for.

    Returns:
        Its frames, with angles in radians. Channels of bones that the file leaves out are zero.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is malformed, belongs to another skeleton, or ends within a frame;
            names the file, the line and the reason. Every frame must list the root and the bones of
            the first, in any order, and have a number one more than the last.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from pyg_remul.datasets.asf_amc import Bone, Skeleton
        >>> root = Bone("root", -1, (0, 0, 0), 0, (0, 0, 0), "XYZ", ("TX", "TY", "TZ", "RY"))
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "turn.amc"
        ...     _ = path.write_text(":DEGREES\n7\nroot 1 2 3 0\n8\nroot 1 2 3 180\n")
        ...     motion = read_amc(path, Skeleton("a point", (root,), "deg", 0.45))
        >>> motion.first_frame, motion.values[:, 3].tolist()
        (7, [0.0, 3.14159...])
    """
    with naming(path):
        frames = _Frames(skeleton)
        for line, tokens in numbered_lines(path, MAX_SIZE):
            frames.add(line, tokens)
        return frames.finish()


class _Frames:
    """The frames up to a line of the file."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton, self.channels, self.angle = skeleton, skeleton.channels, skeleton.angle
        self.num_channels = skeleton.num_channels
        self.max_frames = MAX_VALUES // max(self.num_channels, 3 * len(skeleton.bones))
        self.values = array("d")  # of all frames that are complete
        self.num_frames = 0
        self.number = 0  # of the frame being read
        self.row: list[float] = []  # of the frame being read
        self.bones: set[str] = set()  # those of the first frame
        self.seen: set[str] = set()  # those of the frame being read

    def add(self, line: int, tokens: list[str]) -> None:
        """Takes the next line."""
        columns = self.channels.get(tokens[0])
        if len(tokens) == 1 and tokens[0].isdecimal():
            self._begin(line, tokens[0])
        elif columns is not None and self.num_frames:
            self._add_bone(line, tokens, columns)
        elif tokens[0].startswith(":") and not self.num_frames:
            self.angle = _ANGLES.get(tokens[0].upper(), self.angle)
        elif self.num_frames:
            raise FormatError(line, f"the skeleton has no bone {tokens[0][:80]!r} that moves")
        else:
            raise FormatError(line, "a frame number must come first")

    def finish(self) -> Motion:
        """Ends the last frame."""
        if not self.num_frames:
            raise FormatError(None, "it has no frames")
        self._end(None)
        values = torch.frombuffer(self.values, dtype=torch.float64).view(-1, self.num_channels)
        if self.angle == "deg":
            tokens = (token for bone in self.skeleton.bones for token in bone.dof)
            values[:, [token[0] == "R" for token in tokens]] *= math.pi / 180
        return Motion(values, self.number - self.num_frames + 1)

    def _begin(self, line: int, token: str) -> None:
        if len(token) > MAX_DIGITS:
            raise FormatError(line, f"the frame number has more than {MAX_DIGITS} digits")
        number = int(token)
        if self.num_frames:
            self._end(line)
            if number != self.number + 1:
                raise FormatError(line, f"frame {number} comes after frame {self.number}")
        if self.num_frames == self.max_frames:
            raise FormatError(line, f"it has more than {self.max_frames} frames")
        self.number = number
        self.num_frames += 1
        self.row, self.seen = [0.0] * self.num_channels, set()

    def _add_bone(self, line: int, tokens: list[str], columns: slice) -> None:
        name, *values = tokens
        wanted = columns.stop - columns.start
        if len(values) != wanted:
            raise FormatError(line, f"the bone {name!r} takes {wanted} values, got {len(values)}")
        if name in self.seen:
            raise FormatError(line, f"frame {self.number} lists the bone {name!r} twice")
        self.seen.add(name)
        self.row[columns] = parse_numbers(line, values)

    def _end(self, line: int | None) -> None:
        if self.num_frames == 1:
            self.bones = self.seen | {self.skeleton.bones[0].name}
        if self.seen != self.bones:
            odd, *_ = sorted(self.seen ^ self.bones)
            fault = "lacks" if odd in self.bones else "has, unlike the first,"
            raise FormatError(line, f"frame {self.number} {fault} the bone {odd!r}")
        self.values.extend(self.row)
