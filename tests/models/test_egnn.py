from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from pyg_remul.models import EGNN
from pyg_remul.models.egnn import EGNNLayer

PAIR = torch.tensor([[0, 1], [1, 0]])


def amplify(module):
    """Enlarges the weights of the displacements, which start near zero."""
    for layer in module.modules():
        if isinstance(layer, EGNNLayer):
            layer.position_mlp[2].weight.data.mul_(1000)
    return module


def lone_vectors(**values):
    """Two connected nodes whose attributes are tensors that take gradients."""
    leaves = {name: value.double().requires_grad_() for name, value in values.items()}
    return Data(charge=torch.ones(2).double(), edge_index=PAIR, **leaves)


def test_layer_follows_the_formula():
    layer = amplify(EGNNLayer(channels=4, edge_dim=2, velocity=True)).double()
    h, pos, vel = torch.randn(3, 4).double(), torch.randn(3, 3).double(), torch.randn(3, 3).double()
    edges, edge_attr = [(0, 1), (2, 1), (1, 0)], torch.randn(3, 2).double()
    total, moves = torch.zeros(3, 4).double(), [[], [], []]
    for (j, i), attribute in zip(edges, edge_attr, strict=True):
        difference = pos[i] - pos[j]
        squared = (difference @ difference).view(1)
        message = layer.edge_mlp(torch.cat([h[i], h[j], squared, attribute]))
        total[i] += message
        moves[i].append(difference * layer.position_mlp(message))
    mean = torch.stack([sum(move) / len(move) if move else torch.zeros(3) for move in moves])
    new_h, new_pos = layer(h, pos, torch.tensor(edges).T, edge_attr, vel)
    expected_h = h + layer.node_mlp(torch.cat([h, total], dim=1))
    expected_pos = pos + mean + layer.velocity_mlp(h) * vel
    torch.testing.assert_close(new_h, expected_h, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(new_pos, expected_pos, rtol=1e-12, atol=1e-12)


def test_displacement_weights_start_within_the_small_xavier_bound():
    weight = EGNNLayer(channels=64).position_mlp[2].weight
    bound = 0.001 * (6 / 65) ** 0.5
    assert 0.8 * bound < weight.abs().max() <= bound


def test_input_distance_stays_that_of_the_input(make_graph):
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


@pytest.mark.parametrize("normalize", [False, True], ids=["plain", "normalised"])
def test_coincident_nodes_give_finite_gradients(normalize):
    data = lone_vectors(pos=torch.ones(2, 3), vel=torch.rand(2, 3))
    model = amplify(EGNN(edge_dim=0, normalize=normalize)).double()
    model(data).square().sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in [data.pos.grad, *gradients])


def test_zero_velocity_gives_finite_gradients():
    data = lone_vectors(pos=torch.rand(2, 3), vel=torch.zeros(2, 3))
    EGNN(edge_dim=0).double()(data).square().sum().backward()
    assert data.vel.grad.isfinite().all()


def test_clamp_bounds_the_length_of_a_displacement():
    layer = amplify(EGNNLayer(channels=4, clamp=0.25)).double()
    h, pos = torch.randn(2, 4).double(), 1000 * torch.eye(2, 3).double()
    moved = layer(h, pos, PAIR)[1] - pos
    lengths = torch.full((2,), 0.25, dtype=torch.float64)
    torch.testing.assert_close(moved.norm(dim=1), lengths, rtol=1e-12, atol=0)


def test_clamp_bounds_the_length_of_the_velocity_term():
    layer = EGNNLayer(channels=4, velocity=True, clamp=0.25).double()
    h, pos, vel = torch.randn(2, 4).double(), torch.zeros(2, 3).double(), 1e9 * torch.eye(2, 3)
    moved = layer(h, pos, PAIR[:, :0], vel=vel.double())[1]
    lengths = torch.full((2,), 0.25, dtype=torch.float64)
    torch.testing.assert_close(moved.norm(dim=1), lengths, rtol=1e-12, atol=0)


def test_deep_network_stays_finite_at_huge_coordinates(make_graph):
    model, data = EGNN(edge_dim=3, num_layers=8), make_graph(dtype=torch.float32)
    data.pos = (1e6 * data.pos).requires_grad_()
    model(data).square().sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in [data.pos.grad, *gradients])


def test_clamp_leaves_short_displacements_alone():
    layer = amplify(EGNNLayer(channels=4, clamp=None)).double()
    bounded = EGNNLayer(channels=4).double()
    bounded.load_state_dict(layer.state_dict())
    h, pos = torch.randn(2, 4).double(), torch.eye(2, 3).double()
    torch.testing.assert_close(bounded(h, pos, PAIR)[1], layer(h, pos, PAIR)[1], rtol=1e-12, atol=0)


def test_clamp_that_acts_keeps_the_equivariance(orthogonal):
    layer = amplify(EGNNLayer(channels=4, clamp=0.25)).double()
    h, pos, matrix = torch.randn(2, 4).double(), 1000 * torch.eye(2, 3).double(), orthogonal(2)[1]
    turned = layer(h, pos @ matrix.T, PAIR)[1]
    torch.testing.assert_close(turned, layer(h, pos, PAIR)[1] @ matrix.T, rtol=0, atol=1e-10)


def test_tanh_bounds_a_displacement_by_the_difference():
    layer = EGNNLayer(channels=4, tanh=True, clamp=None).double()
    layer.position_mlp[2].weight.data.mul_(1e9)
    pos = torch.eye(2, 3).double()
    moved = layer(torch.randn(2, 4).double(), pos, PAIR)[1] - pos
    torch.testing.assert_close(
        moved.norm(dim=1), torch.full((2,), 2**0.5, dtype=torch.float64), rtol=1e-6, atol=0
    )


def test_normalize_divides_the_difference_by_its_length_plus_one():
    plain = amplify(EGNNLayer(channels=4, clamp=None)).double()
    normalized = EGNNLayer(channels=4, clamp=None, normalize=True).double()
    normalized.load_state_dict(plain.state_dict())
    h, pos = torch.randn(2, 4).double(), torch.eye(2, 3).double()
    move, shorter = plain(h, pos, PAIR)[1] - pos, normalized(h, pos, PAIR)[1] - pos
    torch.testing.assert_close(shorter, move / (2**0.5 + 1), rtol=1e-10, atol=0)


def test_network_in_the_plane_is_equivariant(orthogonal):
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


def test_layer_with_velocity_term_refuses_to_go_without():
    with pytest.raises(ValueError, match="`vel` must be given to a layer with the velocity term"):
        EGNNLayer(channels=4, velocity=True)(torch.ones(2, 4), torch.ones(2, 3), PAIR)


@pytest.mark.parametrize("clamp", [0.0, -1.0, float("nan")])
def test_clamp_that_is_not_positive_is_refused(clamp):
    with pytest.raises(ValueError, match=f"`clamp` must be (positive|finite), got {clamp}"):
        EGNN(clamp=clamp)


def test_string_as_norm_inputs_is_refused():
    with pytest.raises(TypeError, match="`norm_inputs` must be a sequence of names"):
        EGNN(norm_inputs="vel")
