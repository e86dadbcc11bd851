"""Lengths and directions of vectors, however short."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.lengths import direction_and_length, length, squared_length


@given(st.integers(-12, 6))
def test_direction_has_length_one_and_times_the_length_gives_the_vector(exponent):
    vector = torch.randn(4, 3, dtype=torch.float64) * 10.0**exponent
    direction, norm = direction_and_length(vector)
    torch.testing.assert_close(direction.norm(dim=1), torch.ones(4).double(), rtol=0, atol=1e-14)
    torch.testing.assert_close(direction * norm, vector, rtol=1e-14, atol=0)


@pytest.mark.parametrize("scale", [0.0, 1e-30], ids=["zero", "underflow"])
def test_vector_of_no_length_has_no_direction_and_no_gradient(scale):
    vector = torch.full((2, 3), scale).requires_grad_()
    direction, norm = direction_and_length(vector)
    (direction.sum() + norm.sum()).backward()
    assert not direction.any()
    assert not norm.any()
    assert not vector.grad.any()


def test_length_is_the_root_of_the_squared_length():
    vector = torch.randn(5, 2, 3, dtype=torch.float64)
    assert length(vector).shape == squared_length(vector).shape == (5, 2, 1)
    torch.testing.assert_close(length(vector).square(), squared_length(vector), rtol=1e-14, atol=0)


def test_second_derivatives_are_finite_where_vectors_vanish():
    vector = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]).double().requires_grad_()
    (first,) = torch.autograd.grad(length(vector).sum(), vector, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum() + first.sum(), vector)
    assert second.isfinite().all()
