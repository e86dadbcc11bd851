from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import linear
from torch_geometric.data import Batch, Data

from pyg_remul import O3, SO3, equivariance_error
from pyg_remul.checks import NonFiniteError
from pyg_remul.datasets import MoCap
from pyg_remul.models import EMLP, PER, RPP

KINDS = {"mass": "scalar", "pos": "point", "vel": "vector", "spin": "pseudovector"}
MIXED = "2xscalar + vector + pseudovector"
every_family = pytest.mark.parametrize("family", [EMLP, RPP, PER])


def graph_of_all_kinds(num_nodes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    widths = {"mass": 1, "pos": 3, "vel": 3, "spin": 3}
    data = Data(num_nodes=num_nodes)
    for name, width in widths.items():
        data[name] = torch.randn(num_nodes, width, generator=generator, dtype=torch.float64)
    return data


def mixed_model(**options):
    sizes = {"num_nodes": 4, "hidden_channels": 60, "num_layers": 2}
    return EMLP(**sizes, inputs=tuple(KINDS), reps=KINDS, out_rep=MIXED, **options).double()


def relative_error(model, group, reps):
    batch = Batch.from_data_list([graph_of_all_kinds(seed=seed) for seed in range(3)])
    batch.y = model(batch).detach()
    errors = equivariance_error(model, batch, group, reps=reps | {"y": MIXED}, num_samples=20)
    return errors["E_prime_relative"]


def test_output_is_the_pinned_one(ring, settle_tensors):
    model = settle_tensors(EMLP(4, hidden_channels=33, num_layers=2).double())
    assert model(ring)[3].tolist() == pytest.approx(
        [0.00167796614818, 0.0486740025033, 0.0387604955824], rel=1e-9
    )


def test_layers_have_the_published_numbers_of_parameters():
    with torch.device("meta"):
        model = EMLP()
    maps = [*(block.linear for block in model.blocks), model.head]
    counts = [sum(parameter.numel() for parameter in layer.parameters()) for layer in maps]
    assert counts == [109_956, 313_404, 313_404, 49_569]


def test_hidden_layer_follows_the_formula():
    block = EMLP(2, hidden_channels=33).double().blocks[1]
    x = torch.randn(4, 33, dtype=torch.float64)
    z = linear(x, *block.linear.projection(block.linear.weight, block.linear.bias))
    expected = block.nonlinearity(z + 0.1 * block.bilinear(z))
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)


def test_matrices_start_orthogonal():
    weight = EMLP(2, hidden_channels=33).blocks[1].linear.weight
    torch.testing.assert_close(weight.T @ weight, torch.eye(33), rtol=0, atol=1e-5)


def test_biases_start_uniform_above_zero():
    bias = EMLP(2, hidden_channels=348).blocks[1].linear.bias
    bound = bias.numel() ** -0.5
    assert 0 <= bias.min() < 0.1 * bound
    assert 0.9 * bound < bias.max() < bound


@pytest.mark.parametrize("group", [SO3(), O3()], ids=["SO3", "O3"])
def test_model_of_all_kinds_is_equivariant(group):
    model = mixed_model(group=type(group).__name__)
    assert relative_error(model, group, KINDS) < 1e-10


def test_model_for_rotations_is_not_equivariant_under_reflections():
    assert relative_error(mixed_model(group="SO3"), O3(), KINDS) > 1e-2


def test_pseudovector_taken_for_a_vector_breaks_the_symmetry():
    wrong = KINDS | {"spin": "vector"}
    assert relative_error(mixed_model(group="O3"), O3(), wrong) > 1e-4


def test_pseudovectors_matter_under_reflections():
    model, data = mixed_model(group="O3"), graph_of_all_kinds()
    data.spin.requires_grad_()
    (gradient,) = torch.autograd.grad(model(data)[:, 5:].sum(), data.spin)
    assert gradient.all()


def test_output_has_the_columns_of_its_representation():
    assert mixed_model()(graph_of_all_kinds()).shape == (4, 8)


@every_family
def test_nodes_on_their_own_are_graphs_of_one_node(family, make_graph):
    data, sizes = make_graph(), {"hidden_channels": 33, "num_layers": 2}
    alone, graphs = family(None, **sizes).double(), family(1, **sizes).double()
    graphs.load_state_dict(alone.state_dict())
    singles = torch.cat([graphs(data.subgraph(torch.tensor([k]))) for k in range(5)])
    torch.testing.assert_close(alone(data), singles, rtol=1e-12, atol=1e-12)


def test_representations_of_a_dataset_will_do():
    assert EMLP(31, hidden_channels=33, reps=MoCap.reps).layout.counts == {"point": 1, "vector": 1}


def test_head_is_no_linear_layer_whose_gradient_a_weighting_could_watch():
    assert not isinstance(EMLP(2, hidden_channels=33).head, nn.Linear)


@every_family
@pytest.mark.parametrize("value", [float("nan"), 1e30], ids=["nan", "huge"])
def test_inputs_whose_outputs_are_no_numbers_are_refused(family, value, make_graph):
    data = make_graph(dtype=torch.float32)
    data.pos[2] = value
    match = r"`inputs` must be .* overflow torch\.float32, got inputs up to"
    with pytest.raises(ValueError, match=match) as error:
        family(5, hidden_channels=33)(data)
    assert not isinstance(error.value, NonFiniteError)


@every_family
def test_outputs_of_a_model_that_diverges_are_told_from_bad_inputs(family, make_graph):
    model, data = family(5, hidden_channels=33), make_graph(dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1e10)
    with pytest.raises(NonFiniteError, match=r"`inputs` must be .* and outputs up to"):
        model(data)


@every_family
def test_graph_of_another_size_is_refused(family, make_graph):
    model = family(5, hidden_channels=33).double()
    batch = Batch.from_data_list([make_graph(5), make_graph(6), make_graph(4)])
    with pytest.raises(ValueError, match=r"`num_nodes` must be .*, 5, got 6 in graph 1\."):
        model(batch)


@every_family
def test_unknown_group_is_refused(family):
    with pytest.raises(ValueError, match="`group` must be one of 'SO3', 'O3', got 'SE3'"):
        family(group="SE3")


@every_family
def test_width_without_room_for_a_vector_is_refused(family):
    with pytest.raises(ValueError, match=r"`hidden_channels` must be at least 6, .*, got 5\."):
        family(hidden_channels=5)


def test_width_that_pseudovectors_cannot_pass_under_reflections_is_refused():
    with pytest.raises(ValueError, match=r"must be at least 27, .* rank 2, .*, got 26\."):
        EMLP(hidden_channels=26, out_rep="pseudovector", group="O3")


def test_kind_that_is_no_tensor_of_low_rank_is_refused():
    expected = "`out_rep` must be made of 'scalar', 'vector', 'point', 'pseudovector', got '2e'"
    with pytest.raises(ValueError, match=expected):
        EMLP(out_rep="2e")
