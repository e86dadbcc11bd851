"""The look-up of the nearest training frame, docs/trajectory_lookup.py."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from pyg_remul import SO3

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent / "docs" / "trajectory_lookup.py"))


@pytest.fixture
def frames():
    """Positions about their centroids, float64."""
    pos = torch.randn(6, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return pos - pos.mean(dim=1, keepdim=True)


@pytest.fixture
def rotations():
    generator = torch.Generator().manual_seed(1)
    return SO3().sample(6, generator=generator, dtype=torch.float64).matrix


def test_rotation_between_turned_frames_is_found(frames, rotations):
    found = SCRIPT["best_rotations"](frames, frames @ rotations.mT)
    torch.testing.assert_close(found, rotations, atol=1e-12, rtol=0)


def test_best_rotation_onto_a_mirror_image_does_not_mirror(frames):
    found = SCRIPT["best_rotations"](frames, -frames)
    torch.testing.assert_close(torch.linalg.det(found), torch.ones(6, dtype=torch.float64))


def test_best_rotation_is_not_worse_than_others(frames, rotations):
    first, second = frames, frames.roll(1, dims=0)
    found = SCRIPT["best_rotations"](first, second)
    errors = [(first @ r.mT - second).square().sum(dim=(1, 2)) for r in (found, rotations)]
    assert (errors[0] <= errors[1]).all()


def test_target_of_a_turned_frame_is_turned_alike(frames, rotations):
    targets = 2 * frames.flip(1)
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    turned = frames[order] @ rotations.mT
    found = SCRIPT["look_up_turned"](turned, frames, targets)
    torch.testing.assert_close(found, targets[order] @ rotations.mT, atol=1e-12, rtol=0)
