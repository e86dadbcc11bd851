"""The laws of the groups and the distributions of their draws."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import DRAWS, GROUPS, close, draw, identity
from scipy.stats import kstest

from pyg_remul import E2, E3, O2, O3, SE2, SE3, SO2, SO3


@pytest.fixture(params=GROUPS, ids=repr)
def group(request):
    return request.param


def net_angle(matrix):
    """The angle of rotations of space in degrees, from trace and skew part."""
    skew = matrix - matrix.mT
    sine = torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], dim=-1).norm(dim=1)
    cosine = matrix.diagonal(dim1=1, dim2=2).sum(1) - 1
    return torch.rad2deg(torch.atan2(sine, cosine))


def axes_of(matrix):
    skew = matrix - matrix.mT
    axis = torch.stack([skew[:, 2, 1], skew[:, 0, 2], skew[:, 1, 0]], dim=-1)
    return axis / axis.norm(dim=1, keepdim=True)


class TestLaws:
    def test_matrices_are_orthogonal(self, group):
        matrix = draw(group).matrix
        close(matrix @ matrix.mT, identity(200, group.dim), atol=1e-13)

    def test_determinants_are_1_unless_the_group_reflects(self, group):
        signs = draw(group).matrix.det().round(decimals=12).unique().tolist()
        assert signs == ([-1, 1] if group.reflects else [1])

    def test_products_are_elements(self, group):
        product = draw(group, seed=1).compose(draw(group, seed=2)).matrix
        close(product @ product.mT, identity(200, group.dim), atol=1e-13)
        signs = product.det().round(decimals=12).unique().tolist()
        assert set(signs) <= ({-1, 1} if group.reflects else {1})

    def test_an_inverse_undoes_its_element(self, group):
        element = draw(group)
        product = element.inverse().compose(element)
        close(product.matrix, identity(200, group.dim), atol=1e-13)
        if group.translates:
            close(product.translation, torch.zeros_like(product.translation), atol=1e-12)


class TestHaar:
    """Five standard errors everywhere."""

    @pytest.mark.parametrize("group", [SO3(), O3()], ids=repr)
    def test_the_mean_is_0(self, group):
        mean = draw(group, DRAWS).matrix.mean(0)
        close(mean, torch.zeros_like(mean), atol=5 * math.sqrt(1 / 3 / DRAWS))

    @pytest.mark.parametrize("group", [SO3(), O3()], ids=repr)
    def test_the_mean_square_is_a_third(self, group):
        square = draw(group, DRAWS).matrix.square().mean(0)
        # An entry is uniform in [-1, 1], whose fourth moment is 1/5.
        deviation = math.sqrt(1 / 5 - 1 / 9)
        close(square, torch.full_like(square, 1 / 3), atol=5 * deviation / math.sqrt(DRAWS))

    def test_different_entries_are_uncorrelated(self):
        flat = draw(SO3(), DRAWS).matrix.flatten(1)
        products = flat.mT @ flat / DRAWS
        close(products, torch.eye(9).double() / 3, atol=5 / math.sqrt(DRAWS) / 2)

    def test_the_angle_has_the_density_of_the_haar_measure(self):
        angle = torch.deg2rad(net_angle(draw(SO3(), 4000).matrix))
        assert (
            kstest(angle.numpy(), lambda x: (x - torch.tensor(x).sin().numpy()) / math.pi)[1] > 0.01
        )

    def test_the_distribution_does_not_change_under_a_rotation(self):
        turned = draw(SO3(), 1, seed=9).compose(draw(SO3(), 4000))
        angle = torch.deg2rad(net_angle(turned.matrix))
        assert (
            kstest(angle.numpy(), lambda x: (x - torch.tensor(x).sin().numpy()) / math.pi)[1] > 0.01
        )

    def test_the_angle_of_the_plane_is_uniform(self):
        matrix = draw(SO2(), 4000).matrix
        angle = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0])
        assert kstest(angle.numpy(), "uniform", args=(-math.pi, 2 * math.pi)).pvalue > 0.01


class TestBoundedAngle:
    @pytest.mark.parametrize(
        "degrees",
        [(0, 10), (90, 180), (0, 180), (30, 31)],
        ids=lambda pair: "{} to {}".format(*pair),
    )
    def test_the_magnitude_is_uniform_in_its_range(self, degrees):
        angle = net_angle(draw(SO3(degrees=degrees), 4000).matrix).numpy()
        low, high = degrees
        assert low - 1e-9 <= angle.min() <= angle.max() <= high + 1e-9
        assert kstest(angle, "uniform", args=(low, high - low)).pvalue > 0.01

    def test_180_degrees_are_not_the_haar_measure(self):
        mean = net_angle(draw(SO3(degrees=180), DRAWS).matrix).mean()
        close(mean, 90.0, atol=5 * 52 / math.sqrt(DRAWS))  # Haar: 126 degrees

    def test_the_axis_is_uniform_on_the_sphere(self):
        axis = axes_of(draw(SO3(degrees=(10, 20)), 4000).matrix)
        for component in axis.T:  # Archimedes: each is uniform
            assert kstest(component.numpy(), "uniform", args=(-1, 2)).pvalue > 0.01

    def test_an_angle_of_0_is_the_identity(self):
        close(draw(SO3(degrees=0)).matrix, identity(200, 3), atol=0)

    def test_an_angle_of_180_degrees_is_a_half_turn(self):
        matrix = draw(SO3(degrees=(180, 180))).matrix
        close(matrix, matrix.mT, atol=1e-13)
        close(matrix.diagonal(dim1=1, dim2=2).sum(1), torch.full((200,), -1.0), atol=1e-13)

    def test_tiny_angles_keep_their_digits(self):
        matrix = draw(SO3(degrees=(1e-9, 1e-9))).matrix
        skew = (matrix - matrix.mT)[:, [2, 0, 1], [1, 2, 0]].norm(dim=1) / 2
        torch.testing.assert_close(
            skew, torch.full_like(skew, math.radians(1e-9)), rtol=1e-6, atol=0
        )

    @pytest.mark.parametrize("group", [SO2(degrees=(20, 40)), SO2("z", degrees=(20, 40))], ids=repr)
    def test_angles_about_an_axis_have_either_sign(self, group):
        matrix = draw(group, 4000).matrix
        angle = torch.rad2deg(torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]))
        assert 20 <= angle.abs().min() <= angle.abs().max() <= 40
        close((angle > 0).double().mean(), 0.5, atol=5 * 0.5 / math.sqrt(4000))


class TestEuler:
    def test_the_net_angle_leaves_the_range(self):
        angle = net_angle(draw(SO3(degrees=10, euler=True), DRAWS).matrix)
        assert 10 < angle.max() < 17.9
        close(angle.mean(), 9.6, atol=0.1)

    def test_large_angles_give_small_net_angles_too(self):
        angle = net_angle(draw(SO3(degrees=(90, 180), euler=True), DRAWS).matrix)
        close(angle.mean(), 83.0, atol=1.0)
        close((angle < 90).double().mean(), 0.64, atol=0.02)

    def test_the_axes_are_fixed_and_x_comes_first(self):
        element = draw(SO3(degrees=(90, 90), euler=True))
        x, y, z = (abs(element.matrix[:, :, axis]) for axis in range(3))
        # Quarter turns about x, y, z in turn take the x axis to the z axis, and z there as well.
        close(x, torch.tensor([0.0, 0, 1]).double().expand(200, 3), atol=1e-15)
        close(y, torch.tensor([0.0, 1, 0]).double().expand(200, 3), atol=1e-15)
        close(z, torch.tensor([1.0, 0, 0]).double().expand(200, 3), atol=1e-15)

    def test_the_three_angles_are_independent(self):
        matrix = draw(SO3(degrees=30, euler=True), DRAWS).matrix
        # R = Z Y X gives back its angles.
        x = torch.atan2(matrix[:, 2, 1], matrix[:, 2, 2])
        y = -matrix[:, 2, 0].asin()
        z = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0])
        angles = torch.rad2deg(torch.stack([x, y, z]))
        assert angles.abs().max() <= 30 + 1e-9
        correlation = torch.corrcoef(angles) - torch.eye(3).double()
        assert correlation.abs().max() < 5 / math.sqrt(DRAWS)


class TestAxis:
    @pytest.mark.parametrize(
        ("axis", "direction"),
        [
            ("x", (1, 0, 0)),
            ("y", (0, 1, 0)),
            ("z", (0, 0, 1)),
            ((1, 1, 0), (1, 1, 0)),
            ((0, 0, -5), (0, 0, -5)),
        ],
        ids=str,
    )
    def test_it_stays_where_it_is(self, axis, direction):
        direction = torch.tensor(direction, dtype=torch.float64)
        close(draw(SO2(axis)).matrix @ direction, direction.expand(200, 3), atol=1e-14)

    def test_without_axis_the_group_acts_in_the_plane(self):
        assert (SO2().dim, SO2("x").dim) == (2, 3)


class TestOptions:
    @pytest.mark.parametrize("kind", [SO3, O3, SE3, E3, O2, SE2, E2, SO2], ids=lambda k: k.__name__)
    def test_wrong_degrees_are_refused(self, kind):
        with pytest.raises(ValueError, match=r"`degrees` must be a magnitude in .*, got 181"):
            kind(degrees=181)

    def test_euler_angles_need_degrees(self):
        with pytest.raises(ValueError, match="`euler` needs `degrees`, got degrees=None"):
            SO3(euler=True)

    @pytest.mark.parametrize("kind", [SE3, E3, SE2, E2], ids=lambda k: k.__name__)
    def test_a_wrong_translation_is_refused(self, kind):
        with pytest.raises(ValueError, match=r"`translation` must not be negative, got -1"):
            kind(translation=-1.0)

    @pytest.mark.parametrize(
        "axis", ["w", (1, 0), (0, 0, 0), (1, 2, 3, 4), (), (0, float("inf"), 0), 30], ids=str
    )
    def test_a_wrong_axis_is_refused(self, axis):
        with pytest.raises(ValueError, match="`axis` must be 'x', 'y', 'z' or a direction in spac"):
            SO2(axis)


@pytest.mark.parametrize(
    ("group", "text"),
    [
        (SO3(), "SO3()"),
        (SO3(degrees=10), "SO3(degrees=(0.0, 10.0))"),
        (SO3(30, euler=True), "SO3(degrees=(0.0, 30.0), euler=True)"),
        (SE3(), "SE3(translation=1.0)"),
        (E3(10, translation=2), "E3(degrees=(0.0, 10.0), translation=2.0)"),
        (SO2("x", degrees=5), "SO2(axis='x', degrees=(0.0, 5.0))"),
        (O2(), "O2()"),
        (E2(translation=0.5), "E2(translation=0.5)"),
    ],
    ids=repr,
)
def test_the_representation_rebuilds_the_group(group, text):
    assert repr(group) == text
    assert eval(text) == group
