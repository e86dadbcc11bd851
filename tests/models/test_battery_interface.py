"""What every model promises of its parameters, derivatives, interface and errors."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from cases import (
    CASES,
    HEADLESS,
    NUM_NODES,
    both_dtypes,
    channels_egnn,
    core_arguments,
    every_case,
    over,
    small_egnn,
    small_se3,
)
from torch import nn
from torch_geometric.data import Batch, HeteroData

from pyg_remul.models import (
    EGNN,
    EMLP,
    GNN,
    PER,
    RPP,
    FlatMLP,
    GATr,
    GraphTransformer,
    MultiChannelEGNN,
    SE3Transformer,
)

# Parameters


@every_case
def test_every_parameter_gets_a_finite_gradient_unless_declared_unused(case, make_graph):
    model = case.build().double()
    loss = model(make_graph()).square().sum()
    (loss + (model.regularisation() if hasattr(model, "regularisation") else 0)).backward()
    for name, parameter in model.named_parameters():
        if name.startswith(case.without_gradient):
            assert parameter.grad is None or not parameter.grad.any(), name
        else:
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


@pytest.mark.parametrize(
    ("build", "count"),
    [
        pytest.param(FlatMLP, 1_116_653, id="FlatMLP"),
        pytest.param(GNN, 104_771, id="GNN"),
        pytest.param(EGNN, 134_852, id="EGNN"),
        pytest.param(partial(EGNN, velocity=None), 117_952, id="EGNN-still"),
        pytest.param(partial(MultiChannelEGNN, edge_dim=4), 134_852, id="MultiChannelEGNN"),
        pytest.param(GraphTransformer, 11_827_587, id="GraphTransformer-384x10"),
        pytest.param(
            partial(GraphTransformer, hidden_channels=168, num_layers=12),
            2_725_467,
            id="GraphTransformer-168x12",
        ),
        pytest.param(SE3Transformer, 293_920, id="SE3Transformer"),
        pytest.param(GATr, 2_209_058, id="GATr-10"),
        pytest.param(partial(GATr, num_layers=12), 2_650_674, id="GATr-12"),
        pytest.param(EMLP, 1_092_648, id="EMLP"),
        pytest.param(partial(EMLP, None), 938_838, id="EMLP-nodes"),
        pytest.param(RPP, 938_325, id="RPP"),
        pytest.param(partial(RPP, None), 734_745, id="RPP-nodes"),
        pytest.param(PER, 1_094_244, id="PER"),
    ],
)
def test_number_of_parameters_is_the_published_one(build, count):
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in build().parameters()) == count


@every_case
def test_same_seed_gives_same_weights_by_construction_and_by_reset(case):
    torch.manual_seed(1)
    fresh = case.build()
    model = case.build()
    torch.manual_seed(1)
    model.reset_parameters()
    for name, value in model.state_dict().items():
        assert torch.equal(value, fresh.state_dict()[name]), name


@every_case
def test_reset_draws_every_weight_anew(case):
    model = case.build()
    before = {name: value.clone() for name, value in model.named_parameters() if value.dim() == 2}
    model.reset_parameters()
    for name, value in before.items():
        assert not torch.equal(model.get_parameter(name), value), name


@every_case
def test_state_dict_round_trip_keeps_the_output(case, make_graph):
    first, second, data = case.build().double(), case.build().double(), make_graph()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(data), second(data))


@every_case
def test_model_built_without_memory_can_be_loaded(case, make_graph):
    model, data = case.build(), make_graph(dtype=torch.float32)
    with torch.device("meta"):
        empty = case.build()
    loaded = empty.to_empty(device="cpu")
    loaded.load_state_dict(model.state_dict())
    assert torch.equal(loaded(data), model(data))


# Derivatives


@every_case
def test_second_derivatives_agree_with_finite_differences(case, make_graph):
    model, data = case.build().double(), make_graph()

    def gradient(pos):
        moved = data.clone()
        moved.pos = pos
        energy = model(moved).square().sum()
        return torch.autograd.grad(energy, pos, create_graph=True)[0]

    pos, direction = data.pos.requires_grad_(), torch.randn_like(data.pos)
    (found,) = torch.autograd.grad(gradient(pos), pos, direction)
    ends = [gradient(pos + step * direction) for step in (1e-5, -1e-5)]
    expected = (ends[0] - ends[1]).detach() / 2e-5
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


# Interface


@every_case
@both_dtypes
def test_output_has_one_row_per_node_in_the_dtype_of_the_model(case, dtype, make_graph):
    out = case.build().to(dtype)(make_graph(dtype=dtype))
    assert out.shape == (NUM_NODES, case.width)
    assert out.dtype == dtype


@every_case
def test_forward_leaves_the_data_untouched(case, make_graph):
    data = Batch.from_data_list([make_graph(), make_graph(seed=1)])
    before = data.clone()
    case.build().double()(data)
    assert data.keys() == before.keys()
    for name in before.keys():  # noqa: SIM118  (a Data iterates over pairs)
        assert torch.equal(data[name], before[name]), name


@over([case for case in CASES if case.build.func not in HEADLESS])
def test_output_is_the_linear_head_of_the_features(case, make_graph):
    model, data = case.build().double(), make_graph()
    assert isinstance(model.head, nn.Linear)
    assert torch.equal(model.head(model.features(data)).view(-1, case.width), model(data))


@over([case for case in CASES if case.build.func in (GNN, EGNN)])
def test_one_dimensional_attribute_counts_as_one_column(case, make_graph):
    model, data = case.build().double(), make_graph()
    column = data.clone()
    column.charge = data.charge.unsqueeze(1)
    assert torch.equal(model(data), model(column))


@over([case for case in CASES if case.declared])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_integers_are_read_as_floats(case, dtype, make_graph):
    model, data = case.build().to(dtype), make_graph(dtype=dtype)
    floats, integers = data.clone(), data.clone()
    for name in {*model.inputs, "mass", "pos"}:
        integers[name] = data[name].mul(10).long()
        floats[name] = integers[name].to(dtype)
    out = model(integers)
    assert out.dtype == dtype
    assert torch.equal(out, model(floats))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (FlatMLP(2, hidden_channels=8), "FlatMLP(6, 8, 3, num_layers=3, num_nodes=2)"),
        (GNN(), "GNN(4, 64, 3, num_layers=4)"),
        (EGNN(), "EGNN(2, 64, 3, num_layers=4)"),
        (MultiChannelEGNN(out_rep="point + vector"), "MultiChannelEGNN(7, 64, 6, num_layers=4)"),
        (
            GraphTransformer(7, 8, num_layers=1, heads=2),
            "GraphTransformer(7, 8, 3, num_layers=1, heads=2)",
        ),
        (SE3Transformer(), "SE3Transformer(6, 8, 3, num_layers=4, num_degrees=4)"),
        (GATr(num_layers=1), "GATr(7, 16, 3, num_layers=1, hidden_scalars=128, heads=8)"),
        (EMLP(2, 16), "EMLP(6, 16, 3, num_layers=3, num_nodes=2, group='SO3')"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_repr_tells_the_sizes(model, text):
    assert repr(model) == text


@every_case
def test_compiled_core_equals_eager(case, make_graph):
    model, data = case.build().double(), make_graph()
    arguments = core_arguments(model, data)
    compiled = torch.compile(model.core, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(*arguments), model.core(*arguments), rtol=1e-12, atol=1e-12)


@every_case
def test_exported_core_equals_eager(case, make_graph):
    class Core(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, *arguments):
            return self.model.core(*arguments)

    model, data = case.build().double(), make_graph()
    arguments = core_arguments(model, data)
    exported = torch.export.export(Core(model), arguments).module()
    torch.testing.assert_close(exported(*arguments), model.core(*arguments), rtol=1e-12, atol=1e-12)


# Mistakes


@every_case
def test_missing_attribute_is_named(case, make_graph):
    model, data = case.build().double(), make_graph()
    name = model.inputs[-1]
    del data[name]
    with pytest.raises(ValueError, match=rf"`data\.{name}` must be present, got only \["):
        model(data)


@every_case
def test_wrong_total_width_is_told(case, make_graph):
    model, data = case.build().double(), make_graph()
    name = model.inputs[-1]
    data[name] = torch.ones(NUM_NODES, 9, dtype=torch.float64)
    expected = rf"`in_channels` must equal .*{name}: 9.*, got {model.in_channels}\."
    if case.declared:
        expected = rf"`data\.{name}` must have width 3 to be of kind '\w+', got 9\."
    with pytest.raises(ValueError, match=expected):
        model(data)


@every_case
def test_inputs_of_different_length_are_refused(case, make_graph):
    model, data = case.build().double(), make_graph()
    name = model.inputs[-1]
    data[name] = data[name][:-1]
    with pytest.raises(ValueError, match=rf"`inputs` must have one row per node.*'{name}': 4"):
        model(data)


@every_case
def test_attribute_with_three_axes_is_refused(case, make_graph):
    model, data = case.build().double(), make_graph()
    name = model.inputs[-1]
    data[name] = torch.ones(NUM_NODES, 1, 3)
    with pytest.raises(ValueError, match=rf"`data\.{name}` must have one or two axes"):
        model(data)


@over([case for case in CASES if case.reads_edges])
def test_missing_edge_index_is_named(case, make_graph):
    model, data = case.build().double(), make_graph()
    del data.edge_index
    with pytest.raises(ValueError, match=r"`data\.edge_index` must be present"):
        model(data)


@over([case for case in CASES if case.reads_edges])
@pytest.mark.parametrize("turn", [torch.t, torch.flatten], ids=["transposed", "flat"])
def test_edge_index_of_another_shape_is_refused(case, turn, make_graph):
    model, data = case.build().double(), make_graph()
    data.edge_index = turn(data.edge_index)
    with pytest.raises(ValueError, match=r"`data\.edge_index` must have shape \[2, E\], got \["):
        model(data)


@every_case
def test_array_of_numpy_is_refused(case, make_graph):
    model, data = case.build().double(), make_graph()
    name = model.inputs[-1]
    data[name] = data[name].numpy()
    with pytest.raises(TypeError, match=rf"`data\.{name}` must be a tensor, got ndarray\."):
        model(data)


@every_case
def test_graph_with_types_of_nodes_is_refused(case, make_graph):
    data = HeteroData(atom=dict(make_graph()))
    with pytest.raises(TypeError, match="`data` must have nodes of one type, got HeteroData"):
        case.build()(data)


over_readers_of_edge_attributes = pytest.mark.parametrize(
    "build",
    [GNN, small_egnn, channels_egnn, small_se3],
    ids=["GNN", "EGNN", "MultiChannelEGNN", "SE3Transformer"],
)


@over_readers_of_edge_attributes
def test_wrong_width_of_edge_attributes_is_told(build, make_graph):
    data = make_graph(dtype=torch.float32)
    data.edge_attr = data.edge_attr[:, :2]
    with pytest.raises(ValueError, match=r"`edge_dim` must equal .*edge_attr`, 2, got 3\."):
        build()(data)


@over_readers_of_edge_attributes
def test_wrong_number_of_edge_attributes_is_told(build, make_graph):
    data = make_graph(dtype=torch.float32)
    data.edge_attr = data.edge_attr[:-1]
    with pytest.raises(ValueError, match=r"`data\.edge_attr` must have one row per edge, 20, got"):
        build()(data)


@pytest.mark.parametrize("build", [GNN, EGNN, MultiChannelEGNN, SE3Transformer])
def test_negative_edge_dim_is_refused(build):
    with pytest.raises(ValueError, match=r"`edge_dim` must not be negative, got -1\."):
        build(edge_dim=-1)


@pytest.mark.parametrize(
    ("case", "name"),
    [pytest.param(case, name, id=f"{case.name}-{name}") for case in CASES for name in case.sizes],
)
def test_size_below_one_is_refused(case, name):
    with pytest.raises(ValueError, match=rf"`{name}` must be positive, got 0\."):
        case.build(**{name: 0})


@every_case
def test_string_as_inputs_is_refused(case):
    with pytest.raises(TypeError, match="`inputs` must be a sequence of names, got the string"):
        case.build(inputs="pos")
