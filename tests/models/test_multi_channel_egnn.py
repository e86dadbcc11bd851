"""EGNN with several points and vectors of a node."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from pyg_remul import GroupElement
from pyg_remul.models import EGNN, MultiChannelEGNN
from pyg_remul.representations import parse_representation

REPS = {"charge": "scalar", "pos": "point", "vel": "vector", "past": "2xpoint", "force": "vector"}


def build(inputs=("charge", "pos", "vel"), reps=REPS, **options):
    options = {"hidden_channels": 16, "num_layers": 2, **options}
    return MultiChannelEGNN(inputs=inputs, reps=reps, **options).double()


def transformed(data, reps, element):
    out, index = data.clone(), torch.zeros(data.num_nodes).long()
    for name, rep in reps.items():
        if name in data:
            out[name] = parse_representation(rep).transform(data[name], element, index)
    return out


def test_one_vector_in_and_one_point_out_is_egnn(make_graph, amplify):
    single = amplify(EGNN(edge_dim=3)).double()
    model = build(hidden_channels=64, num_layers=4, edge_dim=3)
    model.load_state_dict(single.state_dict())
    data = make_graph()
    torch.testing.assert_close(model(data), single(data), rtol=1e-12, atol=1e-12)


def test_columns_of_the_output_follow_its_representation(make_graph, amplify):
    first = amplify(build(out_rep="point + vector + 2xscalar"))
    second = build(out_rep="scalar + vector + point + scalar")
    second.load_state_dict(first.state_dict())
    point, vector, scalars = first(make_graph()).split([3, 3, 2], dim=1)
    expected = torch.cat([scalars[:, :1], vector, point, scalars[:, 1:]], dim=1)
    assert torch.equal(second(make_graph()), expected)


def test_points_start_at_the_position_and_vectors_at_zero(make_graph):
    model, data = build(("charge", "pos"), out_rep="2xpoint + vector"), make_graph()
    data.edge_index = data.edge_index[:, :0]
    expected = torch.cat([data.pos, data.pos, torch.zeros(5, 3)], dim=1)
    assert torch.equal(model(data), expected)


def test_further_points_enter_as_vectors_from_the_position(make_graph, amplify):
    model, data = amplify(build(("pos", "past"))), make_graph()
    data.past = torch.randn(5, 6).double()
    data.path = data.past - data.pos.repeat(1, 2)
    other = build(("pos", "path"), {"pos": "point", "path": "2xvector"})
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(data), other(data), rtol=1e-12, atol=1e-12)


def test_angle_between_vectors_matters_only_with_inner_products(make_graph):
    data = make_graph()
    data.edge_index = data.edge_index[:, :0]
    turned = data.clone()
    turned.force = data.force[:, [1, 2, 0]]
    model = build(("pos", "vel", "force"), out_rep="scalar")
    blind = build(("pos", "vel", "force"), out_rep="scalar", inner_products=False)
    assert (model(turned) - model(data)).abs().max() > 1e-3
    torch.testing.assert_close(blind(turned), blind(data), rtol=1e-12, atol=1e-12)


def test_scalars_and_vectors_do_not_feel_a_translation(make_graph, amplify):
    model, data = amplify(build(out_rep="scalar + vector")), make_graph()
    moved = data.clone()
    moved.pos = data.pos + 5
    torch.testing.assert_close(model(moved), model(data), rtol=0, atol=1e-10)


@pytest.mark.parametrize("num_points", [3, 5])
def test_more_points_than_outputs_all_reach_the_output(num_points, make_graph, amplify):
    model = amplify(build(num_points=num_points))
    model(make_graph()).square().sum().backward()
    gradient = model.layers[0].position_mlp[2].weight.grad.unflatten(0, (num_points, num_points))
    assert gradient.abs().sum(dim=(1, 2)).all()


@pytest.mark.parametrize("dim", [2, 4])
def test_model_of_any_dimension_is_equivariant(dim, orthogonal, amplify):
    model = amplify(build(("charge", "pos", "vel"), out_rep="point + vector + scalar", dim=dim))
    edges = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]])
    pos, vel = torch.randn(2, 3, dim, dtype=torch.float64)
    data = Data(charge=torch.ones(3, 1).double(), pos=pos, vel=vel, edge_index=edges)
    shift = torch.randn(2, dim, dtype=torch.float64)
    for matrix, translation in zip(orthogonal(2, dim=dim), shift, strict=True):
        element = GroupElement(matrix[None], translation[None])
        output = Data(y=model(data), num_nodes=3)
        expected = transformed(output, {"y": model.out_rep}, element).y
        found = model(transformed(data, REPS, element))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_output_is_the_pinned_one(settle, ring):
    inputs = ("charge", "pos", "vel", "force")
    model = settle(build(inputs, out_rep="point + vector + scalar", hidden_channels=4))
    point = [0.291820102395, 0.918750510822, -0.427116374197]
    vector = [0.229803883014, -5.058198123424, 2.365675189730]
    expected = torch.tensor([*point, *vector, 4.738675887381], dtype=torch.float64)
    torch.testing.assert_close(model(ring)[0], expected, rtol=0, atol=1e-10)


def test_inputs_without_position_are_refused():
    with pytest.raises(ValueError, match=r"`inputs` must hold a point, the position, got \{'vel'"):
        build(("vel",))


def test_position_alone_is_refused():
    with pytest.raises(ValueError, match="`inputs` must hold a scalar or vector beside the pos"):
        build(("pos",))


def test_fewer_points_than_outputs_are_refused():
    expected = r"`num_points` must be at least 3 for an output of 'point \+ 2xvector', got 2\."
    with pytest.raises(ValueError, match=expected):
        build(out_rep="point + 2xvector", num_points=2)


@pytest.mark.parametrize("kind", ["pseudovector", "tensor", "1o"])
def test_kinds_that_it_cannot_treat_are_refused(kind):
    with pytest.raises(ValueError, match=f"`out_rep` must be made of 'scalar', .* got '{kind}'"):
        build(out_rep=kind)
