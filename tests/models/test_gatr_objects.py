from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul.models._gatr_objects import (
    centroid,
    embed_objects,
    embedding_sizes,
    excess,
    read_objects,
    readout_sizes,
)
from pyg_remul.models._multivectors import (
    embed_point,
    embed_scalar,
    embed_translation,
    extract_point,
    extract_translation,
)
from pyg_remul.models._projective_algebra import POSITIONS
from pyg_remul.ops import RaggedLayout

WIDTHS = {"scalar": 1, "vector": 3, "point": 3}
counts = st.dictionaries(st.sampled_from(list(WIDTHS)), st.integers(1, 4), min_size=1)


def draw(**numbers):
    return {
        kind: torch.randn(2, 5, number, WIDTHS[kind], dtype=torch.float64)
        for kind, number in numbers.items()
    }


def test_mass_position_and_velocity_make_one_multivector_and_a_zero():
    objects = draw(scalar=1, point=1, vector=1)
    x, s = embed_objects(objects)
    expected = embed_scalar(objects["scalar"][..., 0]) + embed_point(objects["point"])
    assert torch.equal(x, expected + embed_translation(objects["vector"]))
    assert torch.equal(s, torch.zeros(2, 5, 1).double())


def test_position_and_velocity_alone_have_grade_zero_one():
    x, _ = embed_objects(draw(point=1, vector=1))
    assert torch.equal(x[0], torch.ones(2, 5, 1).double())


def test_scalars_beyond_the_multivectors_stay_scalars():
    objects = draw(scalar=5, point=2)
    x, s = embed_objects(objects)
    assert torch.equal(x[0], 1 + objects["scalar"][..., :2, 0])
    assert torch.equal(s, objects["scalar"][..., 2:, 0])


@given(counts)
def test_every_object_can_be_read_again(numbers):
    objects = draw(**numbers)
    x, s = embed_objects(objects)
    points, vectors = numbers.get("point", 0), numbers.get("vector", 0)
    scalars = torch.cat([x[0] - 1, s], dim=-1)[..., : numbers.get("scalar", 0)]
    found = {
        "scalar": scalars.unsqueeze(-1),
        "vector": extract_translation(x)[..., :vectors, :],
        "point": extract_point(x)[..., :points, :],
    }
    for kind, value in objects.items():
        torch.testing.assert_close(found[kind], value, rtol=1e-12, atol=1e-12)


@given(counts)
def test_embedding_has_the_sizes_that_are_told(numbers):
    x, s = embed_objects(draw(**numbers))
    assert (x.size(-1), s.size(-1)) == embedding_sizes(numbers)


@given(counts)
def test_objects_are_read_in_the_numbers_asked_for(numbers):
    channels, scalars = readout_sizes(numbers)
    objects = read_objects(torch.randn(16, 2, 5, channels), torch.randn(2, 5, scalars), numbers)
    assert {kind: list(value.shape) for kind, value in objects.items()} == {
        kind: [2, 5, number, WIDTHS[kind]] for kind, number in numbers.items()
    }


def test_plain_point_has_no_excess():
    x = embed_point(torch.randn(2, 5, 1, 3))
    assert not excess(x, torch.zeros(2, 5, 1), {"point": 1}).any()


def test_excess_is_that_of_the_weights_of_points_and_of_the_spare_scalar():
    x, s = torch.randn(16, 2, 5, 2), torch.randn(2, 5, 1)
    weights = x[POSITIONS[1, 2, 3]]
    expected = (weights[..., 0].abs() - 1) ** 2 + s[..., 0] ** 2
    torch.testing.assert_close(excess(x, s, {"point": 1, "vector": 2}), expected)


def test_scalars_that_are_read_are_no_excess():
    x, s = torch.randn(16, 2, 5, 1), torch.randn(2, 5, 3)
    assert not excess(x, s, {"scalar": 3, "vector": 1}).any()


@pytest.mark.parametrize("sizes", [[5], [3, 3], [2, 0, 3]], ids=str)
def test_centroid_is_the_mean_of_the_points_of_every_graph(sizes):
    points = torch.randn(sum(sizes), 2, 3)
    graphs = points.split(sizes)
    expected = torch.cat([graph.mean(dim=(0, 1)).expand(len(graph), 1, 3) for graph in graphs])
    torch.testing.assert_close(centroid(points, RaggedLayout(sizes)), expected)
