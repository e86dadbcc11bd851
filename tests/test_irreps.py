"""Wigner matrices against their laws and e3nn."""

from __future__ import annotations

import pytest
import torch
from e3nn import o3
from helpers import close, seeded

from pyg_remul import SO3
from pyg_remul.irreps import irreps_to_tensor, tensor_to_irreps, wigner_matrices

DEGREES = range(7)


def draw(seed=1, dtype=torch.float64):
    return SO3().sample(20, generator=seeded(seed), dtype=dtype).matrix


@pytest.fixture(params=DEGREES, ids="l={}".format)
def degree(request):
    return request.param


def test_matrices_are_orthogonal(degree):
    matrix = wigner_matrices(draw(), degree)[-1]
    eye = torch.eye(2 * degree + 1, dtype=torch.float64).expand_as(matrix)
    close(matrix @ matrix.mT, eye, atol=1e-13)


def test_products_go_to_products(degree):
    first, second = draw(1), draw(2)
    product = wigner_matrices(first @ second, degree)[-1]
    factors = wigner_matrices(first, degree)[-1] @ wigner_matrices(second, degree)[-1]
    close(product, factors, atol=1e-13)


def test_the_identity_goes_to_the_identity(degree):
    matrix = wigner_matrices(torch.eye(3).double()[None], degree)[-1]
    close(matrix[0], torch.eye(2 * degree + 1), atol=1e-14)


def test_all_degrees_up_to_the_highest_are_given(degree):
    sizes = [matrix.size(-1) for matrix in wigner_matrices(draw(), degree)]
    assert sizes == [2 * level + 1 for level in range(degree + 1)]


def test_degree_1_is_the_rotation():
    close(wigner_matrices(draw(), 1)[1], draw(), atol=1e-15)


def test_they_turn_the_spherical_harmonics_of_e3nn(degree):
    rotation, points = draw(), torch.randn(20, 3, dtype=torch.float64)
    turned = torch.einsum("bij,bj->bi", rotation, points)
    before, after = (
        o3.spherical_harmonics(degree, x.float(), normalize=True).double() for x in (points, turned)
    )
    expected = torch.einsum("bij,bj->bi", wigner_matrices(rotation, degree)[-1], before)
    close(after, expected, atol=2e-5)


def test_they_agree_with_e3nn(degree):
    rotation = draw()
    expected = o3.Irrep(degree, 1).D_from_matrix(rotation.float())
    close(wigner_matrices(rotation, degree)[-1], expected, atol=2e-5)  # its angles are in float32


def test_single_precision_is_kept(degree):
    matrix = wigner_matrices(draw(dtype=torch.float32), degree)[-1]
    assert matrix.dtype == torch.float32
    close(matrix.double(), wigner_matrices(draw(), degree)[-1], atol=2e-6)


def test_a_negative_degree_is_refused():
    with pytest.raises(ValueError, match="`degree` must not be negative, got -1"):
        wigner_matrices(draw(), -1)


class TestTensors:
    @pytest.fixture
    def tensor(self):
        return torch.randn(5, 3, 3, dtype=torch.float64)

    def test_the_change_of_basis_can_be_undone(self, tensor):
        close(irreps_to_tensor(tensor_to_irreps(tensor)), tensor, atol=1e-14)

    def test_it_keeps_the_norm(self, tensor):
        close(tensor_to_irreps(tensor).norm(dim=-1), tensor.norm(dim=(-2, -1)), atol=1e-14)

    def test_the_first_part_is_the_trace(self, tensor):
        trace = tensor.diagonal(dim1=-2, dim2=-1).sum(-1)
        close(tensor_to_irreps(tensor)[:, 0].abs(), trace.abs() / 3**0.5, atol=1e-14)

    def test_the_second_part_is_the_antisymmetric_one(self, tensor):
        symmetric = tensor + tensor.mT
        assert not torch.allclose(tensor_to_irreps(tensor)[:, 1:4], torch.zeros(5, 3).double())
        close(tensor_to_irreps(symmetric)[:, 1:4], torch.zeros(5, 3).double(), atol=1e-14)

    def test_the_order_of_degree_2_is_that_of_e3nn(self):
        points = torch.randn(5, 3)
        outer = points[:, :, None] * points[:, None, :]
        actual = tensor_to_irreps(outer)[:, 4:]
        expected = o3.spherical_harmonics(2, points, normalize=False)
        close(actual / actual.norm(), expected / expected.norm(), atol=1e-5)

    def test_leading_axes_are_kept(self):
        assert tensor_to_irreps(torch.zeros(2, 4, 3, 3)).shape == (2, 4, 9)

    def test_a_wrong_shape_is_refused(self):
        with pytest.raises(ValueError, match=r"`tensor` must have shape \[..., 3, 3\], got \[9\]"):
            tensor_to_irreps(torch.zeros(9))
        with pytest.raises(ValueError, match=r"`irreps` must have shape \[..., 9\], got \[3, 3\]"):
            irreps_to_tensor(torch.zeros(3, 3))
