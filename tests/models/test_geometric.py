"""Columns as geometric objects."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from pyg_remul.models._geometric import KINDS, GeometricModel, Layout

REPS = {"mass": "scalar", "pos": "point", "vel": "vector", "y": "tensor"}
term = st.tuples(st.integers(1, 3), st.sampled_from(KINDS)).map(lambda t: f"{t[0]}x{t[1]}")


class Echo(GeometricModel):
    """Returns its inputs."""

    def __init__(self, inputs=("mass", "pos", "vel"), reps=REPS, out_rep="vector", kinds=KINDS):
        super().__init__(4, 1, inputs, reps, out_rep, kinds)

    def forward(self, data):
        return self.node_inputs(data)


@given(st.lists(st.lists(term, min_size=1, max_size=3).map(" + ".join), min_size=1, max_size=4))
def test_join_inverts_split(reps):
    layout = Layout("reps", reps, KINDS)
    x = torch.arange(2.0 * layout.width).view(2, layout.width)
    assert torch.equal(layout.join(layout.split(x)), x)


def test_split_keeps_the_components_of_a_vector_together():
    layout = Layout("reps", ["vector", "scalar + 2xvector"], KINDS)
    vectors = layout.split(torch.arange(10.0).view(1, 10))["vector"]
    assert vectors.tolist() == [[[0, 1, 2], [4, 5, 6], [7, 8, 9]]]


def test_counts_add_up_over_blocks():
    assert Layout("reps", ["2xscalar + vector", "scalar"], KINDS).counts == {
        "scalar": 3,
        "vector": 1,
    }


def test_kind_that_is_not_understood_is_refused():
    expected = r"`out_rep` must be made of 'scalar', 'vector', 'point', got 'tensor'\."
    with pytest.raises(ValueError, match=expected):
        Echo(out_rep="tensor")


@pytest.mark.parametrize("text", ["vectr", "", "2*vector"], ids=["typo", "empty", "asterisk"])
def test_output_that_cannot_be_read_is_told_by_its_parameter(text):
    with pytest.raises(
        ValueError, match=rf"`out_rep` must hold one of .*, got '{re.escape(text)}'"
    ):
        Echo(out_rep=text)


def test_output_that_is_no_string_is_told_by_its_parameter():
    with pytest.raises(TypeError, match=r"`out_rep` must hold strings, got None\."):
        Echo(out_rep=None)


def test_no_inputs_are_refused():
    with pytest.raises(ValueError, match=r"`inputs` must name at least one attribute, got \(\)\."):
        Echo(inputs=())


def test_undeclared_input_is_refused():
    with pytest.raises(ValueError, match=r"`reps` must declare every input, got none for \['w'\]"):
        Echo(inputs=("pos", "w"))


def test_width_of_an_input_that_is_not_its_kinds_is_told():
    data = Data(mass=torch.ones(2), pos=torch.ones(2, 2), vel=torch.ones(2, 3))
    expected = r"`data\.pos` must have width 3 to be of kind 'point', got 2\."
    with pytest.raises(ValueError, match=expected):
        Echo()(data)


def test_representations_of_other_attributes_are_ignored():
    data = Data(mass=torch.ones(2), pos=torch.ones(2, 3), vel=torch.ones(2, 3))
    assert Echo()(data).shape == (2, 7)
