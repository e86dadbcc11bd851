"""Predicts test frames of a trajectory by looking up the nearest training frame.

Run: python docs/trajectory_lookup.py [SOURCE] [DATA] [DELTA] (a minute)

Frames are compared by their positions, velocities being left out, once as they are and once after
the best rotation onto each other, for an equivariant model cannot tell orientations apart. Where
the first is better, the orientation of a molecule tells from which part of its trajectory a frame
is, and a model does well to break the symmetry. The table also says how far in time the frames are
from those that were found, and from the closest ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor
from torch_geometric.data import InMemoryDataset

from pyg_remul.presets import preset
from pyg_remul.tables import markdown_table
from pyg_remul.tasks import load_task

MOLECULES = ("ethanol", "malonaldehyde", "uracil", "toluene")
HEADER = ["", "as it is (1e-2)", "turned (1e-2)", "frames to the found one", "to the closest"]


def main() -> None:
    """Prints the mean squared errors of both ways, and the medians of the times."""
    given = dict(enumerate(sys.argv))
    source, data, delta = given.get(1, "xtb"), Path(given.get(2, "data")), int(given.get(3, 3000))
    rows = []
    for molecule in MOLECULES:
        options = {"molecule": molecule, "source": source, "data": data, "delta": delta}
        task = load_task(preset("md17", "gnn", "paper", **options))
        known, targets = stack(task.train)
        frames, expected = stack(task.tests["test"])
        nearest = torch.cdist(frames.flatten(1), known.flatten(1)).argmin(dim=1)
        plain = (targets[nearest] - expected).square().mean()
        turned = (look_up_turned(frames, known, targets) - expected).square().mean()
        apart = (times(task.tests["test"])[:, None] - times(task.train)).abs()
        found, closest = apart.gather(1, nearest[:, None]).median(), apart.amin(dim=1).median()
        rows.append(
            [molecule, f"{100 * plain:.3g}", f"{100 * turned:.3g}", f"{found}", f"{closest}"]
        )
    print(markdown_table(HEADER, rows))


def stack(graphs: InMemoryDataset) -> tuple[Tensor, Tensor]:
    """Positions and targets, shape ``[B, N, 3]``, about the centroid of the positions."""
    pos, y = (torch.stack([graph[name].double() for graph in graphs]) for name in ("pos", "y"))
    centroid = pos.mean(dim=1, keepdim=True)
    return pos - centroid, y - centroid


def times(graphs: InMemoryDataset) -> Tensor:
    """Which frame of the trajectory each graph is, shape ``[B]``."""
    return torch.tensor([int(graph.frame) for graph in graphs])


def look_up_turned(frames: Tensor, known: Tensor, targets: Tensor) -> Tensor:
    """The target of the known frame that is nearest after the best rotation, turned alike.

    Args:
        frames: Positions about their centroids, shape ``[B, N, 3]``.
        known: Those of the known frames, shape ``[K, N, 3]``.
        targets: What followed them, shape ``[K, N, 3]``.

    Returns:
        Shape ``[B, N, 3]``.
    """
    found = []
    for frame in frames:
        rotations = best_rotations(known, frame.expand_as(known))
        place = (known @ rotations.mT - frame).square().sum(dim=(1, 2)).argmin()
        found.append(targets[place] @ rotations[place].mT)
    return torch.stack(found)


def best_rotations(first: Tensor, second: Tensor) -> Tensor:
    """The rotations that bring the first onto the second with least squares, shape ``[B, 3, 3]``.

    By the singular value decomposition of `Kabsch (1976)
    <https://doi.org/10.1107/S0567739476001873>`_, for positions of shape ``[B, N, 3]``.
    """
    first, second = (x - x.mean(dim=1, keepdim=True) for x in (first, second))
    left, _, right = torch.linalg.svd(second.mT @ first)
    mirrored = torch.linalg.det(left @ right)
    left = torch.cat([left[..., :2], left[..., 2:] * mirrored[:, None, None]], dim=-1)
    return left @ right


if __name__ == "__main__":
    main()
