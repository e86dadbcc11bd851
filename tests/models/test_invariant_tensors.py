"""Invariant tensors, against the laws that define them."""

from __future__ import annotations

import math

import pytest
import torch

from pyg_remul.models import _invariant_tensors
from pyg_remul.models._invariant_tensors import invariant_basis

COLUMNS = [1, 0, 1, 1, 3, 6, 15, 36, 91]
every_rank = pytest.mark.parametrize("rank", range(len(COLUMNS)))


def act(matrix, basis, rank, axes=None):
    """Applies a matrix to the given indices of each tensor, by default to all of them."""
    tensors = basis.view(*[3] * rank, -1)
    for axis in range(rank) if axes is None else axes:
        tensors = torch.tensordot(matrix, tensors, dims=([1], [axis])).movedim(0, axis)
    return tensors.reshape(3**rank, -1)


def generator(axis):
    """The infinitesimal rotation about an axis."""
    matrix = torch.zeros(3, 3, dtype=torch.float64)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix[second, first], matrix[first, second] = 1, -1
    return matrix


@every_rank
def test_number_of_invariants_is_the_known_one(rank):
    assert invariant_basis(rank).shape == (3**rank, COLUMNS[rank])


@every_rank
def test_number_of_invariants_follows_from_the_characters(rank):
    angle = 2 * math.pi * torch.arange(rank + 2, dtype=torch.float64) / (rank + 2)
    trivial = (1 + 2 * angle.cos()) ** rank * (1 - angle.cos())  # exact for so many angles
    assert invariant_basis(rank).size(1) == round(float(trivial.mean()))


@every_rank
def test_basis_is_orthonormal(rank):
    basis = invariant_basis(rank)
    identity = torch.eye(basis.size(1), dtype=torch.float64)
    torch.testing.assert_close(basis.T @ basis, identity, rtol=0, atol=1e-12)


@every_rank
@pytest.mark.parametrize("axis", range(3), ids="xyz")
def test_infinitesimal_rotations_annihilate_the_basis(rank, axis):
    basis = invariant_basis(rank)
    change = sum(
        (act(generator(axis), basis, rank, axes=[k]) for k in range(rank)), torch.zeros_like(basis)
    )
    torch.testing.assert_close(change, torch.zeros_like(basis), rtol=0, atol=1e-12)


@every_rank
def test_reflections_change_the_sign_of_odd_ranks_alone(rank, orthogonal):
    basis, (rotation, reflection) = invariant_basis(rank), orthogonal(2)
    torch.testing.assert_close(act(rotation, basis, rank), basis, rtol=0, atol=1e-12)
    mirrored = (-1) ** rank * basis
    torch.testing.assert_close(act(reflection, basis, rank), mirrored, rtol=0, atol=1e-12)


def test_invariant_of_rank_three_is_the_antisymmetric_symbol():
    basis = invariant_basis(3).view(3, 3, 3) * math.sqrt(6)
    even = basis[[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    assert basis.abs().round(decimals=12).sum() == 6
    torch.testing.assert_close(even, even[:1].expand(3), rtol=0, atol=1e-12)
    torch.testing.assert_close(basis, -basis.transpose(0, 1), rtol=0, atol=1e-12)


def test_other_types_are_rounded_from_the_exact_basis():
    assert torch.equal(invariant_basis(4, torch.float32), invariant_basis(4).float())


@pytest.mark.parametrize(
    "mode", [torch.inference_mode(), torch.device("meta")], ids=["inference", "meta"]
)
def test_basis_does_not_depend_on_the_mode_in_which_it_is_first_asked_for(mode):
    _invariant_tensors._basis.cache_clear()
    with mode:
        basis = invariant_basis(5, torch.float32)
    assert basis.device.type == "cpu"
    assert not basis.is_inference()


def test_negative_rank_is_refused():
    with pytest.raises(ValueError, match=r"`rank` must not be negative, got -1\."):
        invariant_basis(-1)
