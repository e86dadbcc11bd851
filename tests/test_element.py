"""Group elements."""

from __future__ import annotations

import pytest
import torch
from helpers import close, seeded
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul import E3, O2, O3, SE2, SE3, SO2, SO3, GroupElement

GROUPS = [SO3(), E3(), SE3(), SO2(), SE2(), O2()]


def draw(group, num, seed):
    return group.sample(num, generator=seeded(seed), dtype=torch.float64)


def apply(element, points):
    """One point an element, by an explicit loop."""
    rows = []
    for position, point in enumerate(points):
        row = element.matrix[position] @ point
        rows.append(row if element.translation is None else row + element.translation[position])
    return torch.stack(rows)


@pytest.fixture(params=GROUPS, ids=repr)
def group(request):
    return request.param


class TestAlgebra:
    def test_a_point_is_turned_and_moved(self, group):
        element, points = draw(group, 4, 1), torch.randn(4, group.dim).double()
        close(element.act(points, "point"), apply(element, points), atol=1e-14)

    def test_a_product_acts_as_its_factors_from_right_to_left(self, group):
        first, second = draw(group, 4, 1), draw(group, 4, 2)
        points = torch.randn(4, group.dim).double()
        expected = apply(second, apply(first, points))
        close(second.compose(first).act(points, "point"), expected, atol=1e-13)

    def test_an_inverse_acts_backwards(self, group):
        element, points = draw(group, 4, 1), torch.randn(4, group.dim).double()
        close(element.inverse().act(apply(element, points), "point"), points, atol=1e-13)

    @given(st.integers(0, 100))
    def test_products_are_associative(self, seed):
        a, b, c = (draw(SE3(), 3, 3 * seed + k) for k in range(3))
        left, right = a.compose(b).compose(c), a.compose(b.compose(c))
        close(left.matrix, right.matrix, atol=1e-13)
        close(left.translation, right.translation, atol=1e-13)

    def test_the_identity_is_neutral(self):
        element = draw(SE3(), 3, 1)
        product = GroupElement.identity(3, 3, dtype=torch.float64).compose(element)
        assert torch.equal(product.matrix, element.matrix)
        assert torch.equal(product.translation, element.translation)

    @pytest.mark.parametrize("one_first", [True, False])
    def test_one_element_composes_with_many(self, one_first):
        one, many = draw(SE3(), 1, 1), draw(SE3(), 4, 2)
        points = torch.randn(4, 3).double()
        first, second = (one, many) if one_first else (many, one)
        actual = second.compose(first).act(points, "point")
        close(actual, second.act(first.act(points, "point"), "point"), atol=1e-13)

    def test_a_rotation_composes_with_a_motion(self):
        rotation, motion = draw(SO3(), 4, 1), draw(SE3(), 4, 2)
        points = torch.randn(4, 3).double()
        expected = apply(rotation, apply(motion, points))
        close(rotation.compose(motion).act(points, "point"), expected, atol=1e-13)


class TestAct:
    def test_an_index_names_the_element_of_each_row(self):
        element, vectors = draw(SO3(), 2, 1), torch.randn(5, 3).double()
        index = torch.tensor([0, 1, 1, 0, 1])
        expected = torch.stack([element.matrix[k] @ v for k, v in zip(index, vectors, strict=True)])
        close(element.act(vectors, index=index), expected, atol=1e-14)

    def test_one_element_acts_on_all_rows(self):
        element, vectors = draw(SO3(), 1, 1), torch.randn(5, 3).double()
        close(element.act(vectors), vectors @ element.matrix[0].T, atol=1e-14)

    def test_a_value_keeps_its_dtype(self):
        assert draw(SO3(), 2, 1).act(torch.randn(2, 3)).dtype == torch.float32

    @pytest.mark.parametrize("rep", ["vector", "point", "pseudovector", "1o"])
    def test_the_value_is_not_written_to(self, rep):
        value = torch.randn(2, 3)
        before = value.clone()
        draw(SE3(), 2, 1).act(value, rep)
        assert torch.equal(value, before)

    @pytest.mark.parametrize("index", [None, torch.zeros(3, dtype=torch.long)])
    def test_rows_that_fit_nothing_are_refused(self, index):
        with pytest.raises(ValueError, match="`value` must have one row for each of 2 elements or"):
            draw(SO3(), 2, 1).act(torch.randn(5, 3), index=index)

    def test_a_width_that_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match=r"`value` must have width 3 .* got width 2"):
            draw(SO3(), 2, 1).act(torch.randn(2, 2))


class TestForm:
    @pytest.mark.parametrize("shape", [(3, 3), (2, 3, 2), (1, 2, 3, 3)], ids=str)
    def test_a_matrix_of_another_shape_is_refused(self, shape):
        with pytest.raises(ValueError, match=r"`matrix` must have shape \[B, d, d\], got"):
            GroupElement(torch.zeros(shape))

    @pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 2)], ids=str)
    def test_a_translation_of_another_shape_is_refused(self, shape):
        with pytest.raises(ValueError, match=r"`translation` must have shape \[2, 3\] to go with"):
            GroupElement(torch.zeros(2, 3, 3), torch.zeros(shape))

    def test_the_length_is_the_number_of_elements(self):
        assert len(draw(SO3(), 4, 1)) == 4

    def test_a_slice_takes_matrix_and_translation(self):
        element = draw(SE3(), 4, 1)
        part = element[1:3]
        assert torch.equal(part.matrix, element.matrix[1:3])
        assert torch.equal(part.translation, element.translation[1:3])

    def test_the_parity_is_the_sign_of_the_determinant(self):
        element = GroupElement(torch.stack([torch.eye(3), -torch.eye(3)]))
        assert element.parity.tolist() == [1, -1]

    def test_the_precision_can_be_changed(self):
        element = draw(SE3(), 2, 1).to(dtype=torch.float32)
        assert (element.matrix.dtype, element.translation.dtype) == (torch.float32,) * 2

    def test_elements_cannot_be_reassigned(self):
        with pytest.raises(AttributeError, match="cannot assign to field 'matrix'"):
            draw(SO3(), 1, 1).matrix = torch.eye(3)[None]


@pytest.mark.parametrize("rep", ["point", "vector", "tensor", "2e"])
def test_autocast_does_not_round_the_action(rep):
    element = SE3().sample(3, dtype=torch.float32)
    shape = {"tensor": (3, 3, 3), "2e": (3, 5)}.get(rep, (3, 3))
    value = 10 * torch.randn(shape)
    expected = element.act(value, rep)
    with torch.autocast("cpu", torch.bfloat16):
        turned = element.act(value, rep)
    assert torch.equal(turned, expected)


def test_autocast_does_not_round_a_product():
    first, second = SE3().sample(3, dtype=torch.float32), SE3().sample(3, dtype=torch.float32)
    expected = first.compose(second.inverse())
    with torch.autocast("cpu", torch.bfloat16):
        product = first.compose(second.inverse())
    assert torch.equal(product.matrix, expected.matrix)
    assert torch.equal(product.translation, expected.translation)


def test_half_precision_has_a_parity():
    parity = O3().sample(20, dtype=torch.float16).parity
    assert parity.dtype == torch.float16
    assert set(parity.tolist()) == {-1.0, 1.0}
