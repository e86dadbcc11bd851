"""Graphs cut out of a trajectory's file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyg_remul.datasets._hops import hop_graph
from pyg_remul.datasets._npz import read_header, read_rows
from pyg_remul.files import refusal

__all__ = ["molecular_graph", "read_labels", "read_positions"]

MEMBERS: Final[dict[str, str]] = {"energy": "E", "force": "F"}
BOND_LENGTH = 1.6
"""Atoms closer than this, in A, count as bonded, unless both are hydrogen, as in water."""
MAX_BONDS = 16
"""More neighbours than any atom has in a molecule."""


def read_positions(
    path: Path, t: NDArray[np.int64], delta: int, atoms: NDArray[np.bool_], *, progress: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Reads inputs and targets.

    Args:
        path: An npz file that :func:`~pyg_remul.datasets._md17_files.read_composition` has passed.
        t: Input frames, ``B`` of them.
        delta: Frames from input to target.
        atoms: Whether to keep each atom, shape ``[n]``; N of them are kept.
        progress: Show a progress bar.

    Returns:
        The positions in the file's first frame, shape ``[N, 3]``, and ``pos``, ``vel`` and ``y``,
        shape ``[B, N, 3]``, all in float64.
    """
    rows = np.unique(np.concatenate([[0], t, t + 1, t + delta]))
    x = read_rows(path, "R", rows, progress=progress)[:, atoms].astype(np.float64)
    now, following, later = (x[np.searchsorted(rows, frames)] for frames in (t, t + 1, t + delta))
    fields = {"pos": now, "vel": following - now, "y": later}
    return torch.from_numpy(x[0]), {key: torch.from_numpy(value) for key, value in fields.items()}


def read_labels(
    path: Path,
    names: Collection[str],
    t: NDArray[np.int64],
    atoms: NDArray[np.bool_],
    *,
    progress: bool,
) -> dict[str, Tensor]:
    """Reads energies, in float64, and forces, in float32.

    Args:
        path: As for :func:`read_positions`.
        names: Which, of ``energy`` and ``force``.
        t: The frames, ``B`` of them.
        atoms: Whether to keep each atom, shape ``[n]``; N of them are kept.
        progress: Show progress bars.

    Returns:
        Energies have shape ``[B, 1, 1]`` and forces ``[B, N, 3]``.

    Raises:
        ValueError: If the file lacks an array.
    """
    rows, place = np.unique(t, return_inverse=True)
    labels = {}
    for name in names:
        member = MEMBERS[name]
        if read_header(path, member) is None:
            raise refusal(path, f"it has no array `{member}`, which `{name}=True` asks for")
        values = read_rows(path, member, rows, progress=progress)[place]
        labels[name] = (
            torch.from_numpy(values.astype(np.float64).reshape(-1, 1, 1))
            if member == "E"
            else torch.from_numpy(values[:, atoms].astype(np.float32))
        )
    return labels


def molecular_graph(pos: Tensor, z: Tensor) -> dict[str, Tensor]:
    r"""Connects atoms that are one or two bonds apart.

    Args:
        pos: Positions, shape ``[N, 3]``, in A.
        z: Atomic numbers, shape ``[N]``.

    Returns:
        ``z``, ``charge`` ``[N, 1]`` (:math:`z / z_{\max}`), ``edge_index`` ``[2, E]``, and
        ``edge_attr`` ``[E, 3]`` with :math:`(z_i, z_j, \text{hops})` for an edge from j to i.

    Raises:
        ValueError: If the atoms lie too close for a molecule.

    Example:
        >>> water = molecular_graph(torch.eye(3), torch.tensor([1, 8, 1]))
        >>> water["edge_attr"][0].tolist()
        [8.0, 1.0, 1.0]
    """
    heavy = z > 1
    near = (torch.cdist(pos, pos) < BOND_LENGTH) & (heavy[:, None] | heavy)
    most = int(near.sum(dim=1).max()) - 1
    if most > MAX_BONDS:
        raise ValueError(f"{most} atoms lie within {BOND_LENGTH} A of one")
    edge_index, hops = hop_graph(near)
    ends = z[edge_index.flip(0)].T.float()
    return {
        "z": z,
        "charge": (z / z.max())[:, None].float(),
        "edge_index": edge_index,
        "edge_attr": torch.cat([ends, hops], dim=1),
    }
