from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from pyg_remul import SO3, equivariance_error
from pyg_remul.models import SE3Transformer

REPS = {
    "pos": "point",
    "vel": "vector",
    "mass": "scalar",
    "other": "2xpoint",
    "spin": "pseudovector",
    "strain": "scalar + 2e",
}


def small(**options):
    sizes = {"hidden_channels": 4, "num_layers": 2, "num_degrees": 3, "div": 2}
    return SE3Transformer(**sizes | options).double()


@pytest.fixture
def make_rich_graph(make_graph):
    """Makes a graph with inputs of every kind."""

    def make(num_nodes=5, **options):
        data = make_graph(num_nodes, **options)
        for name, width in (("other", 6), ("spin", 3), ("strain", 6)):
            data[name] = torch.randn(num_nodes, width).to(data.pos)
        return data

    return make


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# The published configuration


def test_first_layer_has_its_published_number_of_parameters():
    assert count(SE3Transformer().layers[0]) == 7_332


def test_middle_layers_have_their_published_number_of_parameters():
    assert [count(layer) for layer in SE3Transformer().layers[1:]] == [87_808] * 3


def test_norms_have_their_published_number_of_parameters():
    assert [count(norm) for norm in SE3Transformer().norms] == [32] * 4


def test_last_layer_has_its_published_number_of_parameters():
    assert count(SE3Transformer().last) == 23_036


def test_one_edge_attribute_in_place_of_the_masses_keeps_the_number_of_parameters():
    assert count(SE3Transformer(mass=None, edge_dim=1)) == 293_920


def test_scores_are_scaled_by_the_dimension_of_the_keys():
    model = SE3Transformer()
    scales = [layer.scale for layer in (*model.layers, model.last)]
    assert scales == pytest.approx([6**-0.5, 32**-0.5, 32**-0.5, 32**-0.5, 6**-0.5])


def test_output_is_what_it_was(make_graph):
    model = SE3Transformer().double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(
                0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            )
    expected = [
        [0.452218831348, 0.585623241503, -0.598846406547],
        [-0.415647125333, -0.529256912164, 0.151678041277],
        [-0.795231171192, 1.082183966644, -1.064044945235],
    ]
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(model(make_graph(3)), expected, rtol=0, atol=1e-10)


# Inputs and outputs


@pytest.mark.parametrize(
    "out_rep",
    [
        "point",
        "vector",
        "scalar",
        "pseudovector",
        "3xpoint",
        "scalar + point + vector",
        "4x0e + 1x2e",
        "2e + 1o + 2o",
    ],
)
def test_output_turns_as_declared(out_rep, make_rich_graph):
    model = small(inputs=tuple(REPS), reps=REPS, out_rep=out_rep)
    batch = Batch.from_data_list([make_rich_graph(size, seed=size) for size in (3, 5)])
    batch.y = torch.zeros_like(model(batch))
    reps = {**REPS, "y": out_rep, "edge_attr": "scalar", "force": "vector", "charge": "scalar"}
    errors = equivariance_error(
        model, [batch], SO3(), reps=reps, target="y", num_samples=5, dtype=torch.float64
    )
    assert errors["E_prime_relative"] <= 1e-12


def test_output_columns_have_the_order_of_the_representation(make_graph):
    apart, data = small(out_rep="2xscalar + vector"), make_graph()
    joined = small(out_rep="scalar + vector + scalar")
    joined.load_state_dict(apart.state_dict())
    assert torch.equal(joined(data), apart(data)[:, [0, 2, 3, 4, 1]])


def test_point_is_the_position_plus_the_first_vector(make_graph):
    point, data = small(), make_graph()
    vector = small(out_rep="vector")
    vector.load_state_dict(point.state_dict())
    assert torch.equal(point(data), data.pos + vector(data))


def test_points_are_read_relative_to_the_position(make_rich_graph):
    reps = {"pos": "point", "other": "2xpoint"}
    points, data = small(inputs=("pos", "other"), reps=reps), make_rich_graph()
    vectors = small(inputs=("pos", "other"), reps=reps | {"other": "2xvector"})
    vectors.load_state_dict(points.state_dict())
    relative = data.clone()
    relative.other = data.other - data.pos.repeat(1, 2)
    assert torch.equal(points(data), vectors(relative))


@pytest.mark.parametrize("name", ["vel", "mass", "spin", "strain", "other"])
def test_every_kind_of_input_matters(name, make_rich_graph):
    model, data = small(inputs=tuple(REPS), reps=REPS, mass=None), make_rich_graph()
    changed = data.clone()
    changed[name] = data[name] + 1
    assert (model(changed) - model(data)).abs().max() > 1e-6


def test_representations_of_a_dataset_will_do(make_graph):
    assert small(reps=REPS | {"y": "tensor"})(make_graph()).shape == (5, 3)


def test_first_point_is_the_position(make_graph):
    model, data = small(inputs=("vel", "x"), reps={"vel": "vector", "x": "point"}), make_graph()
    expected = small()
    expected.load_state_dict(model.state_dict())
    renamed = data.clone()
    renamed.x = data.pos
    del renamed.pos
    assert torch.equal(model(renamed), expected(data))


# Edges


def test_product_of_masses_is_an_edge_attribute(make_graph):
    model, data = small(), make_graph()
    explicit = small(mass=None, edge_dim=1, edge_attr="product")
    explicit.load_state_dict(model.state_dict())
    source, target = data.edge_index
    data.product = data.mass[source] * data.mass[target]
    torch.testing.assert_close(explicit(data), model(data), rtol=1e-12, atol=1e-12)


def test_masses_may_be_one_dimensional(make_graph):
    model, data = small(), make_graph()
    flat = data.clone()
    flat.mass = data.mass.flatten()
    assert torch.equal(model(flat), model(data))


def test_network_without_masses_needs_none(make_graph):
    data = make_graph()
    del data.mass
    assert small(mass=None)(data).isfinite().all()


def test_edges_point_to_the_node_that_attends(make_graph):
    model, data = small(), make_graph(2)
    data.edge_index, data.edge_attr = data.edge_index[:, :1], data.edge_attr[:1]
    source, target = data.edge_index[:, 0].tolist()
    data.vel.requires_grad_()
    (to_target,) = torch.autograd.grad(model(data)[target].sum(), data.vel)
    (to_source,) = torch.autograd.grad(model(data)[source].sum(), data.vel)
    assert to_target[source].any()
    assert not to_source[target].any()


# Awkward graphs


@pytest.mark.parametrize(
    "spread", [0.0, 1e-30, 1e-8, 1e6], ids=["coincident", "underflow", "close", "far"]
)
def test_gradients_of_positions_are_finite(spread, make_graph):
    model, data = small(), make_graph()
    data.pos = (spread * data.pos).requires_grad_()
    model(data).square().sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient.isfinite().all() for gradient in (data.pos.grad, *gradients))


def test_gradients_of_positions_agree_with_finite_differences(make_graph):
    model, data = small(num_layers=1, out_rep="scalar"), make_graph(3)

    def energy(pos):
        moved = data.clone()
        moved.pos = pos
        return model(moved).sum()

    assert torch.autograd.gradcheck(energy, data.pos.requires_grad_(), atol=1e-6)


def test_forces_can_be_trained(make_graph):
    model, data = small(out_rep="scalar"), make_graph()
    data.pos.requires_grad_()
    (force,) = torch.autograd.grad(model(data).sum(), data.pos, create_graph=True)
    force.square().sum().backward()
    gradient = model.layers[0].kernels.radial[0].weights[0].grad
    assert gradient.isfinite().all()
    assert gradient.any()


def test_model_first_used_for_inference_can_be_trained(make_graph):
    model, data = small(), make_graph()
    with torch.inference_mode():
        model(data)
    data.pos.requires_grad_()
    model(data).sum().backward()
    assert data.pos.grad.any()


@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_rounding_about_a_centre_of_symmetry_is_not_amplified(unit, make_graph, orthogonal):
    model, data = small(mass=None).float(), make_graph(9, dtype=torch.float32)
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)
    pos = unit * torch.cat([corners, torch.zeros(1, 3)])
    matrices = orthogonal(10)[::2].float()  # the rotations
    with torch.no_grad():
        data.pos, data.vel = pos, torch.zeros(9, 3)
        expected = model(data) @ matrices.mT
        found = []
        for matrix in matrices:
            data.pos = pos @ matrix.T
            found.append(model(data))
    torch.testing.assert_close(torch.stack(found), expected, rtol=0, atol=1e-5 * unit)


def test_half_precision_stays_close_to_single(make_graph):
    model, data = small().float(), make_graph(dtype=torch.float32)
    with torch.no_grad():
        expected = model(data) - data.pos
        with torch.autocast("cpu", torch.bfloat16):
            found = model(data) - data.pos
    assert (found - expected).norm() < 0.05 * expected.norm()


# Mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_degrees": 7}, r"`num_degrees` must be at most 6, got 7\."),
        ({"num_degrees": 0}, r"`num_degrees` must be positive, got 0\."),
        ({"hidden_channels": 6}, r"`hidden_channels` must be a multiple .* = 4, got 6\."),
        ({"div": 1, "heads": 3}, r"`hidden_channels` must be a multiple .* = 3, got 8\."),
        ({"edge_dim": -1}, r"`edge_dim` must not be negative, got -1\."),
        ({"inputs": ("vel",)}, r"`inputs` must hold a point, the position, got {'vel': 'vector'}"),
        ({"inputs": ("pos",)}, r"`inputs` must hold more than the position, got {'pos': 'point'}"),
        ({"inputs": ("w",)}, r"`reps` must declare every input, got none for \['w'\]\."),
        ({"num_degrees": 1}, r"`reps` must be made of 'scalar', 'point', '0e', .* 'vector'\."),
        (
            {"num_degrees": 1, "inputs": ("pos", "z"), "reps": {"pos": "point", "z": "scalar"}},
            r"`num_degrees` must be at least 2 for points other than the position, got 1\.",
        ),
        ({"out_rep": "4e"}, r"`out_rep` must be made of .*'3o', got '4e'\."),
        ({"out_rep": "tensor"}, r"`out_rep` must be made of .*, got 'tensor'\."),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_option_out_of_its_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SE3Transformer(**options)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pos", torch.ones(5, 2), r"`data\.pos` must have width 3 .*, got 2\."),
        ("mass", torch.ones(5, 2), r"`data\.mass` must have shape \[5\] .*, got \[5, 2\]\."),
        ("mass", torch.ones(4, 1), r"`data\.mass` must have shape \[5\] .*, got \[4, 1\]\."),
        ("pos", torch.ones(4, 3), r"`inputs` must have one row per node each, .*'pos': 4"),
    ],
    ids=["positions", "masses", "rows-of-masses", "rows-of-positions"],
)
def test_attribute_that_does_not_fit_is_refused(name, value, message, make_graph):
    data = make_graph()
    data[name] = value.double()
    with pytest.raises(ValueError, match=message):
        small()(data)
