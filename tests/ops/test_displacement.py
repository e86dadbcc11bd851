"""How far an edge moves the points of its end, and the derivative of this written by hand."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.ops.displacement import (
    DisplacementOptions,
    bounded,
    combine,
    displacement,
    displacement_backward,
)
from tests.helpers import close

VARIANTS = [
    DisplacementOptions(*x) for x in product([False, True], [False, True], [torch.inf, 0.3])
]


def draw(num_points=2, num_edges=20):
    weights = torch.randn(num_edges, num_points**2, dtype=torch.float64)
    return weights, torch.randn(num_edges, num_points, 3, dtype=torch.float64)


def test_combinations_are_products_of_matrices():
    weights, vectors = torch.randn(7, 4 * 2), torch.randn(7, 2, 3)
    close(combine(weights, vectors), weights.view(7, 4, 2) @ vectors, 1e-6)


@given(st.floats(0.01, 10))
def test_bound_shortens_long_vectors_alone(clamp):
    vectors = torch.randn(50, 3, dtype=torch.float64) * torch.logspace(-2, 2, 50).double()[:, None]
    result, norms = bounded(vectors, clamp), vectors.norm(dim=1, keepdim=True)
    close(result.norm(dim=1, keepdim=True), norms.clamp(max=clamp), 1e-12)
    close(result[(norms <= clamp)[:, 0]], vectors[(norms <= clamp)[:, 0]], 1e-15)
    close(torch.linalg.cross(result, vectors), torch.zeros(50, 3), 1e-9)


def test_without_options_differences_are_combined():
    weights, difference = draw()
    assert torch.equal(
        displacement(weights, difference, DisplacementOptions()), combine(weights, difference)
    )


def test_normalized_differences_are_shorter_than_one():
    difference = 1000 * draw(1)[1]
    result = displacement(
        torch.ones(20, 1).double(), difference, DisplacementOptions(normalize=True)
    )
    close(result.norm(dim=-1), torch.ones(20, 1), 1e-2)
    assert (result.norm(dim=-1) < 1).all()


def test_weights_are_bounded_by_the_hyperbolic_tangent():
    weights, difference = draw(1)
    result = displacement(1000 * weights, difference, DisplacementOptions(tanh=True))
    close(result, weights.sign().unsqueeze(-1) * difference, 1e-12)


@pytest.mark.parametrize("num_points", [1, 3])
@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_backward_is_the_derivative(options, num_points):
    weights, difference = (x.requires_grad_() for x in draw(num_points))
    grad = torch.randn_like(difference)
    expected = torch.autograd.grad(
        displacement(weights, difference, options), (weights, difference), grad
    )
    with torch.no_grad():
        actual = displacement_backward(weights, difference, options, grad)
    for x, y in zip(actual, expected, strict=True):
        close(x, y, 1e-13)


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_backward_is_finite_where_points_coincide(options):
    weights, difference = draw()
    grads = displacement_backward(weights, 0 * difference, options, torch.ones_like(difference))
    assert all(grad.isfinite().all() for grad in grads)
