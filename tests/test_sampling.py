"""Draws from groups: what they depend on, reflections, translations and ranges."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import DRAWS, GROUPS, close, draw, identity
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from pyg_remul import E2, E3, O2, O3, SE2, SE3, SO2, SO3
from pyg_remul.sampling import ContinuousGroup, check_degrees

REFLECTING = [O3(), O3(degrees=10), E3(), O2(), E2()]
TRANSLATING = [SE3(translation=20), E3(), SE2(), E2(translation=0.5)]


class Scaling(ContinuousGroup):
    """No group, but a map of uniform numbers that shows them."""

    dim = 2
    _num_angles = 4

    def _rotation(self, uniforms):
        return uniforms.view(-1, 2, 2)


@pytest.fixture(params=GROUPS, ids=repr)
def group(request):
    return request.param


class TestShape:
    @pytest.mark.parametrize("num", [0, 1, 5])
    def test_there_are_as_many_elements_as_asked_for(self, group, num):
        element = group.sample(num)
        assert element.matrix.shape == (num, group.dim, group.dim)
        if group.translates:
            assert element.translation.shape == (num, group.dim)

    def test_only_translating_groups_translate(self, group):
        assert (draw(group).translation is not None) == group.translates

    def test_a_negative_number_of_elements_is_refused(self, group):
        with pytest.raises(ValueError, match="`num` must not be negative, got -1"):
            group.sample(-1)


class TestDraws:
    def test_equal_seeds_give_equal_elements(self, group):
        assert torch.equal(draw(group, seed=3).matrix, draw(group, seed=3).matrix)

    def test_other_seeds_give_other_elements(self, group):
        assert not torch.allclose(draw(group, seed=3).matrix, draw(group, seed=4).matrix)

    def test_successive_draws_differ(self, group, generator):
        first, second = (group.sample(5, generator=generator).matrix for _ in range(2))
        assert not torch.allclose(first, second)

    def test_a_draw_leaves_the_global_generator_alone(self, group):
        before = torch.get_rng_state()
        draw(group)
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_global_generator_is_the_default(self, group):
        torch.manual_seed(3)
        actual = group.sample(5, dtype=torch.float64)
        expected = draw(group, 5, seed=3)
        assert torch.equal(actual.matrix, expected.matrix)
        if group.translates:
            assert torch.equal(actual.translation, expected.translation)

    @given(st.integers(0, 20), st.integers(0, 20))
    def test_the_first_of_a_larger_draw_are_a_smaller_draw(self, first, more):
        for group in (SO3(), E3(), SO2("x"), E2()):
            few, many = draw(group, first), draw(group, first + more)
            assert torch.equal(few.matrix, many.matrix[:first])
            if group.translates:
                assert torch.equal(few.translation, many.translation[:first])

    def test_numbers_are_uniform(self):
        numbers = draw(Scaling(), 1000).matrix.flatten()
        assert kstest(numbers.numpy(), "uniform").pvalue > 0.01


class TestPrecision:
    def test_single_is_double_rounded(self, group):
        single, double = draw(group, dtype=torch.float32), draw(group)
        assert torch.equal(single.matrix, double.matrix.float())
        if group.translates:
            assert torch.equal(single.translation, double.translation.float())

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_the_default_is_torchs(self, group, dtype):
        before = torch.get_default_dtype()
        try:
            torch.set_default_dtype(dtype)
            assert group.sample(2).matrix.dtype == dtype
        finally:
            torch.set_default_dtype(before)

    def test_a_device_can_be_given(self):
        assert SO3().sample(2, device="meta").matrix.device == torch.device("meta")


class TestReflections:
    @pytest.mark.parametrize("group", REFLECTING, ids=repr)
    def test_half_of_the_elements_reflect(self, group):
        share = (draw(group, DRAWS).parity < 0).double().mean()
        close(share, 0.5, atol=5 * 0.5 / math.sqrt(DRAWS))

    def test_those_of_space_are_inversions(self):
        element = draw(O3(degrees=0))
        close(element.matrix, element.parity[:, None, None] * identity(200, 3), atol=0)

    def test_those_of_space_keep_the_bound_of_the_angle(self):
        element = draw(O3(degrees=10))
        trace = (element.matrix.diagonal(dim1=1, dim2=2) * element.parity[:, None]).sum(1)
        assert trace.min() >= 1 + 2 * math.cos(math.radians(10)) - 1e-14

    def test_those_of_the_plane_are_mirrors(self):
        element = draw(O2())
        mirrors = element.matrix[element.parity < 0]
        close(mirrors @ mirrors, identity(len(mirrors), 2), atol=1e-14)

    def test_they_are_independent_of_the_rotation(self):
        element = draw(O3(), DRAWS)
        rotation = element.matrix * element.parity[:, None, None]
        mean = (rotation * element.parity[:, None, None]).mean(0)
        close(mean, torch.zeros_like(mean), atol=5 * math.sqrt(1 / 3 / DRAWS))


class TestTranslations:
    @pytest.mark.parametrize("group", TRANSLATING, ids=repr)
    def test_components_are_normal(self, group):
        shift = draw(group, 4000).translation
        for component in shift.T:
            assert kstest(component.numpy(), "norm", args=(0, group.translation)).pvalue > 0.01

    @pytest.mark.parametrize("group", TRANSLATING, ids=repr)
    def test_components_are_independent_of_each_other_and_the_matrix(self, group):
        element = draw(group, DRAWS)
        columns = torch.cat([element.translation, element.matrix[:, 0]], dim=1)
        correlation = torch.corrcoef(columns.T)[: group.dim].triu(1)
        assert correlation.abs().max() < 5 / math.sqrt(DRAWS)

    def test_a_deviation_of_0_gives_none(self):
        assert not draw(SE3(translation=0)).translation.any()

    @pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-53], ids=["lowest", "highest"])
    def test_extreme_uniform_numbers_give_finite_ones(self, monkeypatch, uniform):
        def rand(*shape, dtype, **_):
            return torch.full(shape, uniform, dtype=dtype)

        monkeypatch.setattr(torch, "rand", rand)
        shift = draw(SE3(), 1).translation.abs()
        close(shift, torch.full_like(shift, 8.3), atol=0.1)


class TestRanges:
    @pytest.mark.parametrize(
        ("degrees", "bounds"),
        [(None, None), (10, (0.0, 10.0)), (0, (0.0, 0.0)), ([90, 180], (90.0, 180.0))],
        ids=["none", "number", "zero", "pair"],
    )
    def test_degrees_are_a_magnitude_or_its_bounds(self, degrees, bounds):
        assert check_degrees(degrees) == bounds

    @pytest.mark.parametrize(
        "degrees",
        [-1, 181, (20, 10), (-10, 10), (0, 200), float("nan"), (1, 2, 3), (1,)],
        ids=str,
    )
    def test_wrong_degrees_are_refused(self, degrees):
        with pytest.raises(ValueError, match=r"`degrees` must be a magnitude in \[0, 180\] or an"):
            check_degrees(degrees)


class TestIdentity:
    def test_groups_are_equal_to_themselves_alone(self):
        for one in GROUPS:
            assert [one == other for other in GROUPS].count(True) == 1

    def test_equal_groups_have_equal_hashes(self):
        assert len({SO3(), SO3(), SO3(degrees=10), SO3(degrees=(0, 10)), O3()}) == 3

    def test_a_group_is_nothing_that_looks_like_it(self):
        class Imitation:
            def __repr__(self):
                return "SO3()"

        assert SO3() != Imitation()
