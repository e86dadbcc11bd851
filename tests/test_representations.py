"""How attributes answer to group elements."""

from __future__ import annotations

import pytest
import torch
from e3nn import o3
from helpers import close, seeded
from hypothesis import given
from hypothesis import strategies as st

from pyg_remul import E3, O2, O3, SE3, SO2
from pyg_remul.irreps import tensor_to_irreps
from pyg_remul.representations import parse_representation

SPACE = ["scalar", "vector", "pseudovector", "point", "tensor", "0e", "0o", "1o", "1e", "2e", "3o"]
SUMS = ["scalar + point + vector", "2xtensor + 1o", "8x1o", "1o + 2e + 3o", "3xpoint + 2xscalar"]


def draw(group=None, num=6, seed=1):
    return (group or E3()).sample(num, generator=seeded(seed), dtype=torch.float64)


def value_of(rep, rows=6, dim=3):
    representation = parse_representation(rep)
    width = representation.width(dim) or 1
    return torch.randn(rows, *[width] * representation.event_dims, dtype=torch.float64)


def normals(*shape):
    return torch.randn(*shape, dtype=torch.float64)


class TestLaws:
    @pytest.mark.parametrize("rep", SPACE + SUMS)
    def test_products_act_one_after_the_other(self, rep):
        value, first, second = value_of(rep), draw(seed=1), draw(seed=2)
        both = second.compose(first).act(value, rep)
        close(second.act(first.act(value, rep), rep), both, atol=1e-12)

    @pytest.mark.parametrize("rep", SPACE + SUMS)
    def test_the_inverse_turns_back(self, rep):
        value, element = value_of(rep), draw()
        close(element.inverse().act(element.act(value, rep), rep), value, atol=1e-12)

    @pytest.mark.parametrize("rep", [rep for rep in SPACE + SUMS if "point" not in rep])
    def test_all_but_points_keep_their_norm(self, rep):
        value = value_of(rep)
        close(
            draw().act(value, rep).flatten(1).norm(dim=1), value.flatten(1).norm(dim=1), atol=1e-13
        )

    @pytest.mark.parametrize("rep", ["scalar", "vector", "point", "tensor", "scalar + 2xpoint"])
    def test_the_plane_obeys_them_too(self, rep):
        value, first, second = value_of(rep, dim=2), draw(O2(), seed=1), draw(O2(), seed=2)
        both = second.compose(first).act(value, rep)
        close(second.act(first.act(value, rep), rep), both, atol=1e-13)


class TestKinds:
    def test_scalars_stay(self):
        value = normals(6, 5)
        assert draw().act(value, "scalar") is value

    def test_vectors_turn(self):
        value, element = normals(6, 3), draw()
        expected = torch.stack([m @ v for m, v in zip(element.matrix, value, strict=True)])
        close(element.act(value, "vector"), expected, atol=1e-14)

    def test_points_turn_and_move(self):
        value, element = normals(6, 3), draw()
        close(
            element.act(value, "point"),
            element.act(value, "vector") + element.translation,
            atol=1e-14,
        )

    def test_cross_products_of_vectors_are_pseudovectors(self):
        one, other, element = normals(6, 3), normals(6, 3), draw(O3())
        turned = torch.linalg.cross(element.act(one), element.act(other))
        close(element.act(torch.linalg.cross(one, other), "pseudovector"), turned, atol=1e-13)
        assert not torch.allclose(element.act(torch.linalg.cross(one, other), "vector"), turned)

    def test_outer_products_of_vectors_are_tensors(self):
        one, other, element = normals(6, 3), normals(6, 3), draw()
        turned = element.act(one)[:, :, None] * element.act(other)[:, None, :]
        close(element.act(one[:, :, None] * other[:, None, :], "tensor"), turned, atol=1e-13)

    @pytest.mark.parametrize(("rep", "same"), [("1o", "vector"), ("1e", "pseudovector")])
    def test_degree_1_is_that_of_vectors(self, rep, same):
        value, element = normals(6, 3), draw(O3())
        close(element.act(value, rep), element.act(value, same), atol=1e-14)

    @pytest.mark.parametrize(
        ("rep", "sign"), [("0e", 1), ("0o", -1), ("2e", 1), ("2o", -1), ("3o", -1)]
    )
    def test_the_inversion_shows_the_parity(self, rep, sign):
        value = value_of(rep, rows=1)
        inversion = draw(O3(degrees=0), num=20)
        turned = inversion[inversion.parity < 0][:1].act(value, rep)
        close(turned, sign * value, atol=1e-14)

    @pytest.mark.parametrize("irreps", ["1o + 2e + 3o", "8x1o", "0o + 2x2e + 1e"])
    def test_irreps_turn_as_in_e3nn(self, irreps):
        value, element = value_of(irreps), draw(O3())
        matrices = o3.Irreps(irreps).D_from_matrix(element.matrix.float()).double()
        expected = torch.einsum("bij,bj->bi", matrices, value)
        close(element.act(value, irreps), expected, atol=2e-5)  # e3nn's angles are in float32

    def test_cartesian_tensors_are_three_irreps(self):
        value, element = normals(6, 3, 3), draw(O3())
        expected = element.act(tensor_to_irreps(value), "0e + 1e + 2e")
        close(tensor_to_irreps(element.act(value, "tensor")), expected, atol=1e-13)


class TestSums:
    def test_terms_turn_side_by_side(self):
        element, mass, pos, vel = draw(), normals(6, 1), normals(6, 3), normals(6, 3)
        actual = element.act(torch.cat([mass, pos, vel], dim=1), "scalar + point + vector")
        expected = torch.cat([mass, element.act(pos, "point"), element.act(vel)], dim=1)
        close(actual, expected, atol=1e-14)

    def test_a_multiplicity_repeats_its_term(self):
        value, element = normals(6, 7), draw()
        actual = element.act(value, "2xpoint + scalar")
        close(actual, element.act(value, "point + point + scalar"), atol=1e-14)

    def test_a_tensor_in_a_sum_is_flat(self):
        tensor, scalar, element = normals(6, 3, 3), normals(6, 1), draw()
        actual = element.act(torch.cat([tensor.flatten(1), scalar], dim=1), "tensor + scalar")
        expected = torch.cat([element.act(tensor, "tensor").flatten(1), scalar], dim=1)
        close(actual, expected, atol=1e-14)

    @pytest.mark.parametrize(
        ("text", "width"),
        [("scalar + point + vector", 7), ("2xtensor", 18), ("8x1o + 2x2e", 34), ("3 x scalar", 3)],
    )
    def test_the_width_is_that_of_all_terms(self, text, width):
        assert parse_representation(text).width(3) == width

    def test_a_plane_narrows_its_terms(self):
        assert parse_representation("scalar + point + tensor").width(2) == 7


class TestAxes:
    def test_rows_of_a_cell_are_vectors(self):
        cells, element = normals(6, 3, 3), draw()
        expected = torch.stack([cell @ m.T for cell, m in zip(cells, element.matrix, strict=True)])
        close(element.act(cells, "vector"), expected, atol=1e-14)

    @pytest.mark.parametrize("rep", ["vector", "point", "tensor", "1o + 2e", "scalar + point"])
    def test_inner_axes_turn_alike(self, rep):
        element = draw()
        frames = torch.stack([value_of(rep) for _ in range(4)], dim=1)
        expected = torch.stack([element.act(frame, rep) for frame in frames.unbind(1)], dim=1)
        close(element.act(frames, rep), expected, atol=1e-13)

    @pytest.mark.parametrize("rep", SPACE + SUMS)
    @given(rows=st.integers(0, 4))
    def test_any_number_of_rows_keeps_its_shape(self, rep, rows):
        value = value_of(rep, rows=rows)
        assert draw(SE3(), num=rows).act(value, rep).shape == value.shape

    @pytest.mark.parametrize("rep", [rep for rep in SPACE + SUMS if "point" not in rep])
    def test_the_gradient_turns_back(self, rep):
        value, element = value_of(rep).requires_grad_(), draw()
        weight = torch.randn_like(value)
        (element.act(value, rep) * weight).sum().backward()
        close(value.grad, element.inverse().act(weight, rep), atol=1e-12)


class TestRefusals:
    @pytest.mark.parametrize(
        ("rep", "width"), [("vector", 3), ("tensor", 3), ("2e", 5), ("scalar + point", 4)]
    )
    def test_a_wrong_width_is_named(self, rep, width):
        message = (
            rf"`force` must have width {width} to be of kind '.*, got width 2 \(shape \[6, 2, 2"
        )
        with pytest.raises(ValueError, match=message):
            parse_representation(rep).check(normals(6, 2, 2), 3, "force")

    def test_a_missing_axis_is_named(self):
        with pytest.raises(
            ValueError, match=r"`stress` must have shape \[rows, ..., 3, 3\] .* \[1, 3, 3"
        ):
            parse_representation("tensor").check(normals(3, 3), 3, "stress")

    @pytest.mark.parametrize(
        "text", ["velocity", "", "vector +", "1x", "x1o", "1", "2u", "vector vector", "-1x1o"]
    )
    def test_an_unknown_description_lists_the_kinds(self, text):
        kinds = "'scalar', 'vector', 'pseudovector', 'point', 'tensor', an irrep such as '1o', or"
        with pytest.raises(
            ValueError, match=f"`reps` must hold one of {kinds} .* got '{text}'".replace("+", r"\+")
        ):
            parse_representation(text)

    def test_a_multiplicity_of_0_is_refused(self):
        with pytest.raises(
            ValueError, match="`reps` must have multiplicities of at least 1, got '0x"
        ):
            parse_representation("0xvector")

    def test_what_is_no_string_is_refused(self):
        with pytest.raises(TypeError, match="`reps` must hold strings, got 1x1o"):
            parse_representation(o3.Irreps("1o"))

    @pytest.mark.parametrize("rep", ["pseudovector", "1o", "scalar + 2e"])
    def test_what_needs_space_is_refused_in_the_plane(self, rep):
        with pytest.raises(ValueError, match="needs a group acting on 3 dimensions, got one on 2"):
            draw(SO2()).act(normals(6, 2), rep)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" vector ", "vector"),
        ("1xvector", "vector"),
        ("2x1o+3e", "2x1o + 3e"),
        ("2 x point", "2xpoint"),
    ],
)
def test_the_text_has_a_normal_form(text, normal):
    assert str(parse_representation(text)) == normal
