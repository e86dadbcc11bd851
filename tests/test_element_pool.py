"""Draws from fixed elements; the laws of all groups are tested in test_groups and test_sampling."""

from __future__ import annotations

import pytest
import torch
from helpers import REPS, NodeLinear, draw, make_batch, seeded
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from pyg_remul import E3, SO2, SO3, ElementPool, RandomRotation, RemulLoss


@given(size=st.integers(1, 40), seed=st.integers(0, 1000))
def test_exactly_as_many_elements_occur(size, seed):
    drawn = draw(ElementPool(SO3(), size, seed=seed), 40 * size)
    assert len(drawn.matrix.unique(dim=0)) == size


def test_they_are_equally_likely():
    drawn = draw(ElementPool(SO3(), 16), 4000).matrix
    _, counts = drawn.unique(dim=0, return_counts=True)
    assert chisquare(counts).pvalue > 0.01


def test_one_element_is_drawn_always():
    pool = ElementPool(E3(), 1)
    drawn = draw(pool, 20)
    assert torch.equal(drawn.matrix, pool.elements.matrix.expand(20, 3, 3))
    assert torch.equal(drawn.translation, pool.elements.translation.expand(20, 3))


def test_a_pool_depends_on_its_seed_alone():
    before, _ = ElementPool(SO3(), 4, seed=7), torch.rand(3)
    after, other = ElementPool(SO3(), 4, seed=7), ElementPool(SO3(), 4, seed=8)
    assert torch.equal(before.elements.matrix, after.elements.matrix)
    assert not torch.allclose(before.elements.matrix, other.elements.matrix)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    ElementPool(SO3(), 4)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_larger_pool_holds_a_smaller_one():
    small, large = ElementPool(SO3(), 3), ElementPool(SO3(), 8)
    assert torch.equal(small.elements.matrix, large.elements.matrix[:3])


def test_elements_come_from_the_range_of_the_group():
    matrix = draw(ElementPool(SO3(degrees=(90, 180)), 50)).matrix
    assert (matrix.diagonal(dim1=1, dim2=2).sum(1) <= 1 + 1e-12).all()


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-53], ids=["lowest", "highest"])
@pytest.mark.parametrize("size", [1, 3, 64, 1_000_000])
def test_extreme_uniform_numbers_give_the_first_and_last_element(monkeypatch, uniform, size):
    pool = ElementPool(SO2(), size)

    def rand(*shape, dtype, **_):
        return torch.full(shape, uniform, dtype=dtype)

    monkeypatch.setattr(torch, "rand", rand)
    expected = pool.elements.matrix[-1 if uniform else 0]
    assert torch.equal(draw(pool, 1).matrix[0], expected)


def test_augmentation_turns_by_its_elements_alone():
    pool = ElementPool(SO3(), 2)
    transform = RandomRotation(REPS, pool, generator=seeded())
    (graph,) = make_batch((4,)).to_data_list()
    turned = {transform(graph).pos.numpy().tobytes() for _ in range(30)}
    expected = {pool.elements[k : k + 1].act(graph.pos).numpy().tobytes() for k in (0, 1)}
    assert turned == expected


def test_the_loss_draws_from_it():
    pool = ElementPool(SO3(), 1)
    batch, model = make_batch(), NodeLinear()
    drawn = RemulLoss(pool, REPS)(model, batch)
    given_elements = pool.sample(batch.num_graphs, dtype=torch.float64)
    expected = RemulLoss(SO3(), REPS)(model, batch, elements=given_elements)
    assert torch.equal(drawn.equivariance, expected.equivariance)


def test_the_representation_rebuilds_it():
    pool = ElementPool(SO2("x"), 3, seed=5)
    assert repr(pool) == "ElementPool(group=SO2(axis='x'), size=3, seed=5)"
    assert eval(repr(pool)) == pool


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((SO3, 4), TypeError, r"`group` must be a group such as SO3\(\), got <class"),
        ((SO3(), 0), ValueError, "`size` must be positive, got 0"),
        ((SO3(), 2.5), TypeError, "`size` must be an integer, got 2.5"),
    ],
    ids=["class", "none", "fraction"],
)
def test_wrong_arguments_are_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        ElementPool(*arguments)
