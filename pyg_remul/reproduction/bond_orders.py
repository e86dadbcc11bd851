"""Bond orders from valences."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["bond_orders"]

_VALENCES = {1: 1, 6: 4, 7: 3, 8: 2}


def bond_orders(z: Tensor, bonds: Tensor) -> Tensor:
    """Counts the electron pairs of each bond of a neutral molecule of H, C, N and O.

    All Lewis structures in which every atom has its usual valence and no charge are found; a bond's
    order is its mean over them. It is whole where they agree, and a fraction where the bond is
    delocalised, as in aromatic rings.

    Args:
        z: Atomic numbers, shape ``[N]``.
        bonds: Pairs of bonded atoms, each once, shape ``[2, E]``.

    Returns:
        The orders, shape ``[E]``.

    Raises:
        ValueError: If there is no such structure.

    Example:
        >>> carbon_dioxide = torch.tensor([8, 6, 8])
        >>> bond_orders(carbon_dioxide, torch.tensor([[0, 1], [1, 2]])).tolist()
        [2.0, 2.0]
    """
    pairs = [(int(i), int(j)) for i, j in bonds.T.tolist()]
    unknown = sorted({int(number) for number in z} - set(_VALENCES))
    if unknown:
        raise ValueError(f"`z` must hold 1, 6, 7 and 8 alone, got {unknown}.")
    degrees = torch.bincount(bonds.flatten(), minlength=len(z)).tolist()
    free = [_VALENCES[int(number)] - degree for number, degree in zip(z, degrees, strict=True)]
    structures = set(_lewis_structures(free, pairs, (0,) * len(pairs)))
    if not structures:
        raise ValueError("`bonds` must use up the valences of every atom in some way, got none.")
    return 1 + torch.tensor(sorted(structures), dtype=torch.float64).mean(dim=0)


def _lewis_structures(
    free: list[int], pairs: list[tuple[int, int]], extra: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    """Every way to use up the free valences on further electron pairs of the bonds."""
    if min(free, default=0) < 0:
        return
    first = next((atom for atom, number in enumerate(free) if number), None)
    if first is None:
        yield extra
        return
    for place, pair in enumerate(pairs):
        if first in pair and all(free[atom] for atom in pair):
            left = [number - (atom in pair) for atom, number in enumerate(free)]
            more = tuple(number + (place == other) for other, number in enumerate(extra))
            yield from _lewis_structures(left, pairs, more)
