"""Models that see lengths in a unit of their own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from pyg_remul.models import PER
from pyg_remul.scaled_model import ScaledModel


class Noting(nn.Module):
    """Keeps what it was given."""

    def forward(self, data):
        self.given = data
        return data.pos


@pytest.fixture
def graph():
    return Data(pos=torch.full((2, 3), 6.0), vel=torch.full((2, 3), 4.0), mass=torch.ones(2, 1))


def test_model_within_sees_lengths_in_the_unit(graph):
    model = Noting()
    ScaledModel(model, 2.0, ["pos", "vel"])(graph)
    given = (model.given.pos[0, 0], model.given.vel[0, 0], model.given.mass[0, 0])
    assert given == (3.0, 2.0, 1.0)


def test_prediction_is_in_the_unit_of_the_data(graph):
    assert torch.equal(ScaledModel(Noting(), 2.0, ["pos"])(graph), graph.pos)


def test_graph_is_left_alone(graph):
    ScaledModel(Noting(), 2.0, ["pos", "vel"])(graph)
    assert (graph.pos == 6).all()
    assert (graph.vel == 4).all()


def test_model_without_a_penalty_has_none():
    assert ScaledModel(Noting(), 2.0, []).regularisation() == 0


def test_penalty_is_that_of_the_model_within():
    model = PER(2, 8, num_layers=1)
    assert ScaledModel(model, 2.0, []).regularisation() == model.regularisation()


def test_model_within_is_compiled(monkeypatch):
    model, calls = Noting(), []
    monkeypatch.setattr(model, "compile", lambda **options: calls.append(options))
    ScaledModel(model, 2.0, []).compile(dynamic=True)
    assert calls == [{"dynamic": True}]


@pytest.mark.parametrize("scale", [0.0, -1.0])
def test_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match=f"`scale` must be positive, got {scale}"):
        ScaledModel(Noting(), scale, [])
