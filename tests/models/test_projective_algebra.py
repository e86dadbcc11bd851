from __future__ import annotations

import itertools

import pytest

from pyg_remul.models._projective_algebra import (
    BLADES,
    GRADES,
    POSITIONS,
    dual_blade,
    multiply_blades,
    product_terms,
)

PAIRS = list(itertools.product(BLADES, BLADES))


def rewrite(word):
    """The sign and the blade of a word of generators, by the rules of the algebra alone."""
    word, sign, place = list(word), 1, 0
    while place < len(word) - 1:
        first, second = word[place : place + 2]
        if first == second:
            sign *= 0 if first == 0 else 1
            word[place : place + 2] = []
            place = 0
        elif first > second:
            word[place : place + 2] = second, first
            sign, place = -sign, 0
        else:
            place += 1
    return sign, tuple(word)


def test_product_of_two_blades_is_that_of_the_rules():
    for left, right in PAIRS:
        assert multiply_blades(left, right) == rewrite(left + right), (left, right)


def test_blades_are_all_products_of_the_generators():
    assert set(BLADES) == {
        subset for grade in range(5) for subset in itertools.combinations(range(4), grade)
    }


def test_second_half_of_the_blades_is_e0_times_the_first():
    for blade, lifted in zip(BLADES[:8], BLADES[8:], strict=True):
        assert multiply_blades((0,), blade) == (1, lifted)


def test_geometric_product_has_every_pair_that_does_not_vanish():
    expected = {
        (POSITIONS[a], POSITIONS[b], POSITIONS[out], sign)
        for a, b in PAIRS
        for sign, out in [rewrite(a + b)]
        if sign
    }
    assert set(product_terms("geometric")) == expected


def test_outer_product_adds_the_grades():
    for left, right, out, _ in product_terms("outer"):
        assert GRADES[left] + GRADES[right] == GRADES[out]


def test_outer_product_is_the_part_of_the_geometric_product_that_adds_the_grades():
    added = {
        t for t in product_terms("geometric") if GRADES[t.left] + GRADES[t.right] == GRADES[t.out]
    }
    assert set(product_terms("outer")) == added


def test_blade_and_its_dual_make_the_pseudoscalar():
    for index, blade in enumerate(BLADES):
        sign, dual = dual_blade(index)
        assert multiply_blades(blade, BLADES[dual]) == (sign, (0, 1, 2, 3))


def test_dual_of_the_dual_is_minus_the_blade_on_odd_grades():
    for index, grade in enumerate(GRADES):
        first, dual = dual_blade(index)
        second, twice = dual_blade(dual)
        assert (first * second, twice) == ((-1) ** grade, index)


@pytest.mark.parametrize(
    ("product", "count"), [("geometric", 192), ("outer", 81), ("join", 81)], ids=str
)
def test_tables_are_sparse(product, count):
    assert len(product_terms(product)) == count
