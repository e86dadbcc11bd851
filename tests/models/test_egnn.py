from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from pyg_remul.models import EGNN

PAIR = torch.tensor([[0, 1], [1, 0]])


def test_input_distance_stays_that_of_the_input(make_graph, amplify):
    model, data = amplify(EGNN(edge_dim=3, num_layers=2)).double(), make_graph()
    source, target = data.edge_index
    distance = (data.pos[source] - data.pos[target]).square().sum(dim=1, keepdim=True)
    data.longer = torch.cat([data.edge_attr, distance], dim=1)
    explicit = EGNN(edge_dim=4, num_layers=2, edge_attr="longer", input_distance=False).double()
    explicit.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(data), explicit(data), rtol=1e-12, atol=1e-12)


def test_speed_enters_as_a_column(make_graph):
    model, data = EGNN(edge_dim=3).double(), make_graph()
    data.speed = data.vel.norm(dim=1)
    explicit = EGNN(edge_dim=3, inputs=("charge", "speed"), norm_inputs=()).double()
    explicit.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(data), explicit(data), rtol=1e-12, atol=1e-12)


def test_network_without_velocity_and_edges_returns_the_positions(make_graph):
    model, data = EGNN(edge_dim=3, velocity=None).double(), make_graph()
    data.edge_index, data.edge_attr = data.edge_index[:, :0], data.edge_attr[:0]
    assert torch.equal(model(data), data.pos)


def test_network_without_velocity_needs_none(make_graph):
    data = make_graph()
    del data.vel
    model = EGNN(1, edge_dim=3, norm_inputs=(), velocity=None).double()
    assert model(data).isfinite().all()


def test_positions_are_read_by_their_name(make_graph):
    data = make_graph()
    model = EGNN(edge_dim=3, position="x").double()
    expected = EGNN(edge_dim=3).double()
    expected.load_state_dict(model.state_dict())
    renamed = data.clone()
    renamed.x = data.pos
    del renamed.pos
    assert torch.equal(model(renamed), expected(data))


def test_deep_network_stays_finite_at_huge_coordinates(make_graph):
    model, data = EGNN(edge_dim=3, num_layers=8), make_graph(dtype=torch.float32)
    data.pos = (1e6 * data.pos).requires_grad_()
    model(data).square().sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in [data.pos.grad, *gradients])


def test_attention_adds_one_linear_map_a_layer():
    plain, weighted = EGNN(), EGNN(attention=True)
    names = set(weighted.state_dict()) - set(plain.state_dict())
    expected = {f"layers.{i}.attention.0.{part}" for i in range(4) for part in ("weight", "bias")}
    assert names == expected


@pytest.mark.parametrize(
    ("options", "x", "y", "z"),
    [
        ({}, 1.587345837877, -1.570951923980, -0.419334772005),
        ({"attention": True}, 1.490681115291, -1.065425278327, -0.321872016446),
        ({"normalize": True, "tanh": True}, 1.295449649751, -0.532546360347, -0.175738962633),
    ],
    ids=["plain", "attention", "bounded"],
)
def test_output_is_the_pinned_one(options, x, y, z, settle, ring):
    model = settle(EGNN(hidden_channels=4, num_layers=2, edge_dim=0, **options))
    expected = torch.tensor([x, y, z], dtype=torch.float64)
    torch.testing.assert_close(model(ring)[0], expected, rtol=0, atol=1e-10)


def test_network_in_the_plane_is_equivariant(orthogonal, amplify):
    model = amplify(EGNN(out_channels=2, edge_dim=0)).double()
    pos, vel = torch.randn(2, 2).double(), torch.randn(2, 2).double()
    data = Data(charge=torch.ones(2).double(), pos=pos, vel=vel, edge_index=PAIR)
    turned, matrix = data.clone(), orthogonal(2, dim=2)[1]
    turned.pos, turned.vel = pos @ matrix.T, vel @ matrix.T
    torch.testing.assert_close(model(turned), model(data) @ matrix.T, rtol=0, atol=1e-12)


def test_positions_of_another_dimension_are_refused(make_graph):
    data = make_graph()
    data.pos = data.pos[:, :2]
    with pytest.raises(ValueError, match=r"`out_channels` must equal .*data\.pos`, 2, got 3\."):
        EGNN(edge_dim=3).double()(data)


def test_missing_velocity_is_named(make_graph):
    data = make_graph()
    del data.vel
    with pytest.raises(ValueError, match=r"`data\.vel` must be present"):
        EGNN(1, edge_dim=3, norm_inputs=()).double()(data)


def test_string_as_norm_inputs_is_refused():
    with pytest.raises(TypeError, match="`norm_inputs` must be a sequence of names"):
        EGNN(norm_inputs="vel")
