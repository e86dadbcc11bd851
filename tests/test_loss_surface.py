"""Losses on planes through the weights."""

from __future__ import annotations

import pytest
import torch
from helpers import make_batch, seeded
from torch import nn
from torch.nn.functional import mse_loss

from pyg_remul.filter_directions import filter_normalised_direction
from pyg_remul.loss_surface import grid_axis, loss_surface
from pyg_remul.models import GNN


def ignore(surface):
    pass


@pytest.fixture
def model():
    return nn.Linear(3, 2)


def draw(model):
    generator = seeded()
    return tuple(filter_normalised_direction(model, generator) for _ in range(2))


def sum_of_squares(model):
    return sum(parameter.square().sum() for parameter in model.parameters())


def surface_of(model, loss=sum_of_squares, directions=None, **options):
    directions = directions or draw(model)
    return loss_surface(model, loss, directions, **{"num_points": 5, "report": ignore, **options})


class TestGridAxis:
    def test_middle_is_zero(self):
        assert grid_axis(51, 0.7)[25] == 0

    def test_ends_are_the_extent(self):
        assert grid_axis(51, 0.7)[[0, -1]].tolist() == [-0.7, 0.7]

    @pytest.mark.parametrize("num_points", [1, 4])
    def test_grid_without_a_middle_is_refused(self, num_points):
        with pytest.raises(ValueError, match="`num_points` must be odd and at least 3, got"):
            grid_axis(num_points)

    def test_extent_is_positive(self):
        with pytest.raises(ValueError, match="`extent` must be positive, got 0"):
            grid_axis(5, 0)


class TestLossSurface:
    def test_middle_is_the_loss_of_the_model(self, model):
        expected = sum_of_squares(model.double()).item()
        assert surface_of(model)[2, 2].item() == pytest.approx(expected, rel=1e-12)

    def test_loss_is_that_of_the_moved_weights(self, model):
        directions = draw(model)
        surface = surface_of(model, directions=directions, extent=2.0)
        for name, weights in model.named_parameters():
            weights.data += 2.0 * directions[0][name] - 1.0 * directions[1][name]
        expected = sum_of_squares(model.double()).item()
        assert surface[4, 1].item() == pytest.approx(expected, rel=1e-6)

    def test_loss_of_a_graph_model_is_finite_and_lowest_where_it_was_fitted(self):
        batch, model = (
            make_batch(),
            GNN(6, 8, num_layers=1, edge_dim=0, inputs=("pos", "vel")).double(),
        )
        target = model(batch).detach()
        surface = surface_of(model, lambda model: mse_loss(model(batch), target))
        assert surface.isfinite().all()
        assert surface.argmin() == 12

    def test_model_does_not_change(self, model):
        before = [parameter.clone() for parameter in model.parameters()]
        surface_of(model)
        assert all(map(torch.equal, model.parameters(), before))
        assert model.training
        assert model.weight.dtype == torch.float32

    def test_loss_is_taken_in_evaluation_mode(self, model):
        modes = []

        def loss(model):
            modes.append(model.training)
            return sum_of_squares(model)

        surface_of(model, loss)
        assert not any(modes)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_loss_is_taken_in_the_precision_asked_for(self, model, dtype):
        found = set()

        def loss(model):
            found.add(model.weight.dtype)
            return sum_of_squares(model)

        surface = surface_of(model, loss, dtype=dtype)
        assert found == {dtype}
        assert surface.dtype == torch.float64

    def test_loss_needs_no_gradient(self, model):
        def loss(model):
            assert not torch.is_grad_enabled()
            return sum_of_squares(model)

        surface_of(model, loss)

    @pytest.mark.parametrize("value", [torch.nan, torch.inf], ids=str)
    def test_overflow_is_infinite(self, model, value):
        surface = surface_of(model, lambda _: torch.tensor(value))
        assert surface.isposinf().all()

    def test_report_sees_row_after_row(self, model):
        known = []
        surface_of(model, report=lambda surface: known.append(surface.isfinite().sum().item()))
        assert known == [5, 10, 15, 20, 25]

    def test_what_was_begun_is_not_evaluated_again(self, model):
        seen, calls = [], []

        def loss(model):
            calls.append(1)
            return sum_of_squares(model)

        whole = surface_of(model, report=seen.append)
        resumed = surface_of(model, loss, begun=seen[2])
        assert len(calls) == 10
        assert resumed.equal(whole)

    def test_what_was_begun_does_not_change(self, model):
        begun = torch.full((5, 5), torch.nan, dtype=torch.float64)
        surface_of(model, begun=begun)
        assert begun.isnan().all()

    def test_bar_shows_the_rows(self, model, capsys):
        surface_of(model, report=None)
        assert "5/5" in capsys.readouterr().err

    def test_unfitting_beginning_is_refused(self, model):
        with pytest.raises(ValueError, match=r"`begun` must have shape \[5, 5\], got \[4, 4\]"):
            surface_of(model, begun=torch.zeros(4, 4))

    @pytest.mark.parametrize(
        ("name", "wrong", "message"),
        [
            ("bias", None, r"'bias', must have shape \[2\], got none"),
            ("bias", torch.zeros(3), r"'bias', must have shape \[2\], got \[3\]"),
            ("other", torch.zeros(3), r"'other', must have shape none, got \[3\]"),
        ],
        ids=["missing", "of another shape", "unknown"],
    )
    def test_unfitting_direction_is_refused(self, model, name, wrong, message):
        first, second = draw(model)
        second = {**second, name: wrong}
        second = {name: value for name, value in second.items() if value is not None}
        with pytest.raises(ValueError, match=message):
            surface_of(model, directions=(first, second))
