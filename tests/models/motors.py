"""Rotations and translations of multivectors, for the tests of what is equivariant."""

from __future__ import annotations

import torch

from pyg_remul.models._multivectors import embed_translation, geometric_product
from pyg_remul.models._projective_algebra import GRADES, POSITIONS

REVERSED = torch.tensor([(-1.0) ** (grade * (grade - 1) // 2) for grade in GRADES]).double()


def random_motor(seed=0, *, size=1.0):
    """A rotation followed by a translation, a motor [16] in float64."""
    generator = torch.Generator().manual_seed(seed)
    quaternion, shift = torch.randn(7, generator=generator, dtype=torch.float64).split([4, 3])
    rotor = torch.zeros(16, dtype=torch.float64)
    rotor[[POSITIONS[blade] for blade in ((), (1, 2), (1, 3), (2, 3))]] = quaternion
    return geometric_product(embed_translation(size * shift), rotor / quaternion.norm())


def sandwich(motor, x):
    """What a motor makes of multivectors [16, ...]."""
    motor, reverse = (
        m.view(16, *[1] * (x.dim() - 1)).expand_as(x) for m in (motor, motor * REVERSED)
    )
    return geometric_product(geometric_product(motor, x), reverse)
