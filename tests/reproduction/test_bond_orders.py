"""Bond orders from valences."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.reproduction.bond_orders import bond_orders

RING = [(k, (k + 1) % 6) for k in range(6)]


def orders(z, pairs):
    return bond_orders(torch.tensor(z), torch.tensor(pairs).T).tolist()


@pytest.mark.parametrize(
    ("z", "pairs", "expected"),
    [
        ([1, 1], [(0, 1)], [1]),
        ([6, 1, 1, 1, 1], [(0, k) for k in range(1, 5)], [1] * 4),
        ([6, 8, 1, 1], [(0, 1), (0, 2), (0, 3)], [2, 1, 1]),
        ([7, 7], [(0, 1)], [3]),
        ([6, 7, 1], [(1, 0), (0, 2)], [3, 1]),
    ],
    ids=["hydrogen", "methane", "formaldehyde", "nitrogen", "hydrogen cyanide"],
)
def test_valences_are_filled(z, pairs, expected):
    assert orders(z, pairs) == expected


def test_bonds_of_benzene_are_one_and_a_half():
    hydrogens = [(k, 6 + k) for k in range(6)]
    assert orders([6] * 6 + [1] * 6, RING + hydrogens) == [1.5] * 6 + [1] * 6


def test_bonds_of_butadiene_are_double_at_the_ends():
    chain = [(0, 1), (1, 2), (2, 3)]
    hydrogens = [(0, 4), (0, 5), (1, 6), (2, 7), (3, 8), (3, 9)]
    assert orders([6] * 4 + [1] * 6, chain + hydrogens)[:3] == [2, 1, 2]


def test_order_of_the_bonds_does_not_matter():
    pairs = [*RING, *[(k, 6 + k) for k in range(6)]]
    assert orders([6] * 6 + [1] * 6, pairs[::-1])[6:] == [1.5] * 6


@pytest.mark.parametrize(
    ("z", "pairs", "match"),
    [
        ([6, 16], [(0, 1)], r"`z` must hold 1, 6, 7 and 8 alone, got \[16\]"),
        ([6, 1], [(0, 1)], "`bonds` must use up the valences of every atom"),
        ([1, 1, 1], [(0, 1), (1, 2)], "`bonds` must use up the valences of every atom"),
    ],
    ids=["sulphur", "radical", "too many bonds"],
)
def test_what_has_no_lewis_structure_is_refused(z, pairs, match):
    with pytest.raises(ValueError, match=match):
        orders(z, pairs)
