"""How components are shared among tensors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.models._tensor_representation import TensorRepresentation, TensorTerm


def multiplicities(representation):
    return {term.rank: term.multiplicity for term in representation.terms}


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (6, {0: 3, 1: 1}),
        (33, {0: 12, 1: 4, 2: 1}),
        (348, {0: 93, 1: 31, 2: 9, 3: 3}),
        (532, {0: 118, 1: 39, 2: 12, 3: 4, 4: 1}),
    ],
)
def test_width_is_shared_evenly_among_the_ranks(width, expected):
    assert multiplicities(TensorRepresentation.evenly(width, "SO3")) == expected


@given(st.integers(6, 5102))
def test_shares_add_up_to_the_width(width):
    assert TensorRepresentation.evenly(width, "O3").size == width


@given(st.integers(6, 5102))
def test_shares_of_the_ranks_fall(width):
    counts = list(multiplicities(TensorRepresentation.evenly(width, "SO3")).values())
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("width", [1, 5, 5103])
def test_width_that_holds_no_vector_or_too_high_a_rank_is_refused(width):
    expected = rf"`hidden_channels` must be at least 6, .* below 5103, .*, got {width}\."
    with pytest.raises(ValueError, match=expected):
        TensorRepresentation.evenly(width, "SO3")


def test_every_tensor_but_scalars_gets_a_gate():
    gated = TensorRepresentation.evenly(532, "SO3").gated()
    assert multiplicities(gated) == {0: 174, 1: 39, 2: 12, 3: 4, 4: 1}


@pytest.mark.parametrize(
    ("group", "parities"), [("SO3", [1, 1, 1, 1]), ("O3", [1, -1, -1, 1])], ids=["SO3", "O3"]
)
def test_parities_of_kinds_count_under_reflections_alone(group, parities):
    counts = {"scalar": 1, "vector": 2, "point": 1, "pseudovector": 3}
    representation = TensorRepresentation.of_kinds(counts, copies=2, group=group)
    assert [term.parity for term in representation.terms] == parities
    assert [term.multiplicity for term in representation.terms] == [2, 4, 2, 6]


def test_split_cuts_the_tensors_of_each_term_apart():
    representation = TensorRepresentation((TensorTerm(0, 1, 2), TensorTerm(1, 1, 2)))
    scalars, vectors = representation.split(torch.arange(8).view(1, 8))
    assert scalars.tolist() == [[[0], [1]]]
    assert vectors.tolist() == [[[2, 3, 4], [5, 6, 7]]]
