"""The published motion-capture files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pyg_remul.datasets._hops import hop_graph
from pyg_remul.datasets._mocap_splits import Preset
from pyg_remul.datasets._pickles import load_arrays
from pyg_remul.files import refusal

__all__ = ["read_motion", "skeleton_graph"]

NUM_JOINTS = 31


def read_motion(path: Path, preset: Preset) -> tuple[Tensor, list[Tensor]]:
    """Reads and checks a file.

    Args:
        path: Where it is.
        preset: What it should hold.

    Returns:
        The bones as pairs of child and parent, shape ``[30, 2]``, and for each trial the joints'
        positions in ASF units, shape ``[frames, 31, 3]`` in float64.

    Raises:
        ValueError: If the file holds anything else, names the file and the reason.
    """
    content = load_arrays(path)
    if not isinstance(content, tuple) or len(content) != 2:
        raise refusal(path, "it is not a pair of bones and trials")
    bones, trials = content
    return _check_bones(path, bones), _check_trials(path, trials, preset)


def skeleton_graph(bones: Tensor, hops: int) -> tuple[Tensor, Tensor]:
    """Connects joints that are at most so many bones apart.

    Args:
        bones: Pairs of joints that make up a tree, shape ``[N - 1, 2]``.
        hops: How many, positive.

    Returns:
        ``edge_index`` ``[2, E]``, both directions, and the hops of each edge, ``[E, 1]`` in
        float32; edges of fewer hops come first.
    """
    near = torch.zeros(len(bones) + 1, len(bones) + 1, dtype=torch.bool)
    near[bones[:, 0], bones[:, 1]] = near[bones[:, 1], bones[:, 0]] = True
    return hop_graph(near, hops)


def _check_bones(path: Path, bones: object) -> Tensor:
    try:
        pairs = np.asarray(bones)
    except ValueError as error:
        raise refusal(path, f"its bones are not pairs ({error})") from error
    if pairs.shape != (NUM_JOINTS - 1, 2) or pairs.dtype.kind != "i":
        raise refusal(
            path, f"its bones have shape {list(pairs.shape)} and type {pairs.dtype}, not 30 pairs"
        )
    child, parent = pairs.T
    if sorted(child) != list(range(1, NUM_JOINTS)) or (parent < 0).any() or (parent >= child).any():
        raise refusal(path, "its bones do not give each joint one parent that comes before it")
    return torch.from_numpy(pairs.astype(np.int64))


def _check_trials(path: Path, trials: object, preset: Preset) -> list[Tensor]:
    wanted = [trial for split in preset.trials.values() for trial in split]
    if not isinstance(trials, list) or len(trials) <= max(wanted):
        found = len(trials) if isinstance(trials, list) else "none"
        raise refusal(path, f"the split needs {max(wanted) + 1} trials, of which it has {found}")
    for index, trial in enumerate(trials):
        if not isinstance(trial, np.ndarray) or trial.dtype.kind != "f":
            raise refusal(path, f"trial {index} is not an array of floating-point numbers")
        if trial.shape[1:] != (NUM_JOINTS, 3):
            raise refusal(
                path, f"trial {index} has shape {list(trial.shape)}, not [frames, {NUM_JOINTS}, 3]"
            )
        if not np.isfinite(trial).all():
            raise refusal(path, f"trial {index} has values that are not finite")
        # The velocity of the last frame of the window takes one frame more.
        if index in wanted and len(trial) <= preset.window:
            raise refusal(
                path,
                f"trial {index} has {len(trial)} frames, of which the split needs "
                f"{preset.window + 1}",
            )
    return [torch.from_numpy(np.array(trial, dtype=np.float64)) for trial in trials]
