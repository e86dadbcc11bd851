from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from motors import random_motor, sandwich

from pyg_remul.models._multivectors import (
    _contract,
    dual,
    embed_point,
    embed_scalar,
    embed_translation,
    extract_point,
    extract_translation,
    geometric_product,
    inner_product,
    join,
    outer_product,
)
from pyg_remul.models._projective_algebra import POSITIONS

multivectors = st.lists(st.integers(-3, 3), min_size=16, max_size=16).map(
    lambda entries: torch.tensor(entries, dtype=torch.float64)
)
triples = st.lists(st.integers(-9, 9), min_size=3, max_size=3).map(
    lambda entries: torch.tensor(entries, dtype=torch.float64)
)
seeds = st.integers(0, 1000)
PRODUCTS = [geometric_product, outer_product, join]
each_product = pytest.mark.parametrize("product", PRODUCTS, ids=lambda f: f.__name__)


def draw(*shape, requires_grad=False):
    return torch.randn(16, *shape, dtype=torch.float64, requires_grad=requires_grad)


def close(x, y, tolerance):
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def part(x, *blades):
    return torch.stack([x[POSITIONS[blade]] for blade in blades], dim=-1)


# Laws


@pytest.mark.parametrize("product", PRODUCTS[:2], ids=lambda f: f.__name__)
@given(x=multivectors, y=multivectors, z=multivectors)
def test_product_is_associative(product, x, y, z):
    assert torch.equal(product(product(x, y), z), product(x, product(y, z)))


@each_product
@given(x=multivectors, y=multivectors, z=multivectors)
def test_product_is_linear_in_both_factors(product, x, y, z):
    assert torch.equal(product(x + 2 * y, z), product(x, z) + 2 * product(y, z))
    assert torch.equal(product(z, x + 2 * y), product(z, x) + 2 * product(z, y))


@given(x=multivectors, y=multivectors)
def test_join_is_the_dual_of_the_outer_product_of_duals(x, y):
    assert torch.equal(join(x, y), dual(outer_product(dual(x), dual(y))))


@given(x=multivectors)
def test_one_is_neutral(x):
    one = embed_scalar(torch.tensor(1.0, dtype=torch.float64))
    assert torch.equal(geometric_product(one, x), x)
    assert torch.equal(geometric_product(x, one), x)


@given(x=multivectors)
def test_inner_product_with_itself_is_the_squared_length_without_e0(x):
    assert inner_product(x, x) == x[:8].square().sum()


# Geometry


@given(p=triples, q=triples)
def test_join_of_two_points_is_their_line(p, q):
    line = join(embed_point(p), embed_point(q))
    x, y, z = (q - p).tolist()
    assert part(line, (2, 3), (1, 3), (1, 2)).tolist() == [x, -y, z]
    assert torch.equal(part(line, (0, 1), (0, 2), (0, 3)), torch.linalg.cross(p, q))


@given(p=triples, q=triples)
def test_join_of_a_point_with_a_line_through_it_vanishes(p, q):
    assert not join(join(embed_point(p), embed_point(q)), embed_point(p)).any()


@given(p=triples, q=triples, r=triples)
def test_join_of_three_points_is_the_plane_normal_to_their_triangle(p, q, r):
    plane = join(join(embed_point(p), embed_point(q)), embed_point(r))
    normal = -torch.linalg.cross(q - p, r - p)
    assert torch.equal(part(plane, (1,), (2,), (3,)), normal)
    assert plane[POSITIONS[(0,)]] == -normal @ p


@given(p=triples, shift=triples)
def test_translation_is_embedded_as_the_motor_of_it(p, shift):
    assert torch.equal(sandwich(embed_translation(shift), embed_point(p)), embed_point(p + shift))


@given(seed=seeds)
def test_motor_moves_embedded_points_rigidly(seed):
    points = torch.randn(4, 3, dtype=torch.float64)
    moved = extract_point(sandwich(random_motor(seed), embed_point(points)))
    close(torch.cdist(moved, moved), torch.cdist(points, points), 1e-12)
    assert not torch.allclose(moved, points)


@pytest.mark.parametrize("product", [geometric_product, join], ids=lambda f: f.__name__)
@given(seed=seeds)
def test_product_commutes_with_motors(product, seed):
    motor, x, y = random_motor(seed), draw(2), draw(2)
    moved = product(sandwich(motor, x), sandwich(motor, y))
    close(moved, sandwich(motor, product(x, y)), 1e-10)


@given(seed=seeds)
def test_inner_product_is_invariant(seed):
    motor, x, y = random_motor(seed), draw(2), draw(2)
    close(inner_product(sandwich(motor, x), sandwich(motor, y)), inner_product(x, y), 1e-12)


def test_join_changes_its_sign_under_reflections():
    mirror = embed_scalar(torch.zeros(3, dtype=torch.float64))
    mirror[POSITIONS[(1,)]] = 1.0
    x, y = draw(3), draw(3)
    odd = torch.tensor([(-1.0) ** len(blade) for blade in POSITIONS], dtype=torch.float64)

    def reflect(z):
        return geometric_product(geometric_product(mirror, odd.unsqueeze(1) * z), mirror)

    close(join(reflect(x), reflect(y)), -reflect(join(x, y)), 1e-12)


# Embeddings


@given(p=triples, weight=st.sampled_from([-3.0, 0.25, 1.0]))
def test_point_is_read_whatever_its_weight(p, weight):
    close(extract_point(weight * embed_point(p)), p, 1e-14)


@given(v=triples)
def test_vector_is_read_from_its_translation(v):
    assert torch.equal(extract_translation(embed_translation(v)), v)


@pytest.mark.parametrize("weight", [0.0, 1e-3, -1e-3, 1e-9])
def test_small_weight_of_a_point_is_replaced_by_the_threshold(weight):
    x = embed_point(torch.ones(3, dtype=torch.float64))
    x[POSITIONS[1, 2, 3]] = weight
    close(extract_point(x), torch.full((3,), 1e3, dtype=torch.float64), 1e-12)


def test_embeddings_keep_leading_axes():
    vectors = torch.ones(2, 5, 3)
    assert embed_point(vectors).shape == embed_translation(vectors).shape == (16, 2, 5)


# Implementation


@each_product
@pytest.mark.parametrize("shape", [(), (3,), (2, 5, 3), (0, 3)], ids=str)
def test_product_has_the_shape_of_its_factors(product, shape):
    assert product(draw(*shape), draw(*shape)).shape == (16, *shape)


@each_product
def test_product_of_many_rows_is_that_of_each(product):
    x, y = draw(4500, 2), draw(4500, 2)
    assert torch.equal(product(x, y)[:, 4000:], product(x[:, 4000:], y[:, 4000:]))


@each_product
def test_product_of_slices_is_that_of_copies(product):
    x, y = draw(7, 12)[..., ::3], draw(7, 12)[..., 2:6]
    assert torch.equal(product(x, y), product(x.contiguous(), y.contiguous()))


@each_product
def test_first_and_second_derivatives_are_right(product):
    factors = draw(2, requires_grad=True), draw(2, requires_grad=True)
    assert torch.autograd.gradcheck(product, factors)
    assert torch.autograd.gradgradcheck(product, factors)


def test_operator_is_fit_for_compilation():
    x, y = (draw(2, 3, requires_grad=True) for _ in range(2))
    torch.library.opcheck(_contract, (x, y, "join", "ijk"))


@each_product
def test_factors_of_different_shape_are_refused(product):
    with pytest.raises(ValueError, match=r"`x` and `y` must have .*, got \[16, 2\] and \[16, 3\]"):
        product(draw(2), draw(3))
