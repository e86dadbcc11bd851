"""What every model promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch_geometric.data import Batch, HeteroData

from pyg_remul import GroupElement
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
from pyg_remul.representations import parse_representation

NUM_NODES = 5


@dataclass(frozen=True)
class Case:
    """A small model and what sets it apart."""

    name: str
    build: Callable
    reads_edges: bool = True
    fixed_size: bool = False
    without_gradient: str = "none"  # prefix of the parameters that the output does not depend on
    reflections: bool = True  # whether an exact symmetry includes them
    translations: bool = True
    declared: bool = False  # whether the inputs are declared by `reps` instead of `in_channels`
    overflows: bool = False  # whether huge inputs overflow single precision, and are refused
    rounding: float = 1e-12  # by how much huge coordinates may miss the symmetry, relatively
    out_rep: str = "point"
    sizes: tuple[str, ...] = ("in_channels", "hidden_channels", "out_channels", "num_layers")

    @property
    def symmetry(self):
        return self.build.func.symmetry

    @property
    def width(self):
        return parse_representation(self.out_rep).width(3)


SMALL = {"hidden_channels": 16, "num_layers": 2}
small_egnn = partial(EGNN, edge_dim=3, **SMALL)
still_egnn = partial(small_egnn, velocity=None)
bounded_egnn = partial(small_egnn, normalize=True, tanh=True, clamp=1e-4)
channels_egnn = partial(
    MultiChannelEGNN,
    edge_dim=3,
    inputs=("mass", "pos", "force", "vel"),
    reps={"mass": "scalar", "pos": "point", "force": "vector", "vel": "vector", "y": "point"},
    **SMALL,
)
declared = {"declared": True, "sizes": ("hidden_channels", "num_layers", "dim")}
small_transformer = partial(GraphTransformer, heads=4, **SMALL)
small_se3 = partial(
    SE3Transformer, hidden_channels=4, num_layers=2, num_degrees=3, div=2, edge_dim=3
)
se3_traits = {
    "reflections": False,
    "declared": True,
    "sizes": ("hidden_channels", "num_layers", "num_degrees", "heads", "div"),
}
small_gatr = partial(GATr, hidden_channels=4, num_layers=2, hidden_scalars=8, heads=2)
gatr_traits = {
    "reads_edges": False,
    "reflections": False,
    "declared": True,
    "sizes": ("hidden_channels", "num_layers", "hidden_scalars", "heads"),
    "without_gradient": "embedding.from_scalars",  # the scalar beside the multivector is zero
}
tensor_perceptron = {"num_nodes": NUM_NODES, "hidden_channels": 33, "num_layers": 2}
emlp_traits = {
    "reads_edges": False,
    "fixed_size": True,
    "reflections": False,
    "translations": False,
    "declared": True,
    "overflows": True,
    "rounding": 1e-10,  # quadratic layers multiply it
    "without_gradient": "head.bias",  # a constant vector would not turn
    "sizes": ("num_nodes", "hidden_channels", "num_layers"),
}
HEADLESS = (EGNN, EMLP, GATr, MultiChannelEGNN, RPP, SE3Transformer)
CASES = [
    Case("FlatMLP", partial(FlatMLP, NUM_NODES, **SMALL), reads_edges=False, fixed_size=True),
    Case("GNN", partial(GNN, **SMALL)),
    Case("GNN-bare-edges", partial(GNN, edge_dim=0, **SMALL)),
    Case("EGNN", small_egnn, without_gradient="layers.1.node_mlp"),
    Case("EGNN-still", still_egnn, without_gradient="layers.1.node_mlp"),
    Case("EGNN-bounded", bounded_egnn, without_gradient="layers.1.node_mlp"),
    Case(
        "EGNN-attention", partial(small_egnn, attention=True), without_gradient="layers.1.node_mlp"
    ),
    Case("MultiChannelEGNN", channels_egnn, without_gradient="layers.1.node_mlp", **declared),
    Case(
        "MultiChannelEGNN-outputs",
        partial(channels_egnn, out_rep="point + 2xvector + 3xscalar", attention=True),
        out_rep="point + 2xvector + 3xscalar",
        **declared,
    ),
    Case("GraphTransformer", small_transformer, reads_edges=False),
    Case(
        "GraphTransformer-graph-norm",
        partial(small_transformer, norm_axes="graph"),
        reads_edges=False,
    ),
    Case("SE3Transformer", small_se3, **se3_traits),
    Case("SE3Transformer-heads", partial(small_se3, heads=2, mass=None), **se3_traits),
    Case(
        "SE3Transformer-outputs",
        partial(small_se3, out_rep="point + 2e + scalar"),
        out_rep="point + 2e + scalar",
        **se3_traits,
    ),
    Case("GATr", small_gatr, **gatr_traits),
    Case("EMLP", partial(EMLP, **tensor_perceptron), **emlp_traits),
    Case(
        "EMLP-O3",
        partial(EMLP, group="O3", **tensor_perceptron),
        **emlp_traits | {"reflections": True},
    ),
    Case(
        "EMLP-nodes",
        partial(EMLP, **tensor_perceptron | {"num_nodes": None}),
        **emlp_traits | {"fixed_size": False},
    ),
    Case(
        "RPP",
        partial(RPP, **tensor_perceptron),
        **emlp_traits | {"without_gradient": "head.equivariant_bias"},
    ),
    Case("PER", partial(PER, **tensor_perceptron), **emlp_traits | {"without_gradient": "none"}),
]


def over(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


every_case = over(CASES)
both_dtypes = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)
both_stages = pytest.mark.parametrize("num_steps", [0, 5], ids=["initial", "trained"])


def train(model, data, num_steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    target = data.pos + 0.5 * data.vel + data.pos[:, [1, 2, 0]]
    target = target.repeat(1, model(data).size(1) // 3)
    for _ in range(num_steps):
        optimizer.zero_grad()
        (model(data) - target).square().mean().backward()
        optimizer.step()


def moved(data, matrix, shift):
    """The same graph turned by a matrix and then translated."""
    out = data.clone()
    out.pos = data.pos @ matrix.T + shift
    out.vel, out.force = data.vel @ matrix.T, data.force @ matrix.T
    return out


def moved_output(case, out, matrix, shift):
    """The output turned by a matrix and then translated, as its representation wants."""
    element, index = GroupElement(matrix[None], shift[None]), torch.zeros(len(out)).long()
    return parse_representation(case.out_rep).transform(out, element, index)


def relative_error(case, model, data, matrices, *, translate=True):
    """Sum of errors of equivariance over sum of output norms about the graph's mean."""
    dtype = data.pos.dtype
    error = norm = 0.0
    with torch.no_grad():
        out = model(data)
        for matrix in matrices.to(dtype):
            shift = torch.randn(3, dtype=dtype) * translate
            expected = moved_output(case, out, matrix, shift)
            error += (model(moved(data, matrix, shift)) - expected).norm()
            norm += (out - out.mean(dim=0)).norm()
    return float(error / norm)


def rotations(matrices):
    """Orthogonal matrices with the sign of the reflections among them turned."""
    return matrices * torch.linalg.det(matrices)[:, None, None]


def permuted(data, order):
    """The same graph with node `order[k]` in place k."""
    out = data.clone()
    for name in ("mass", "charge", "pos", "vel", "force"):
        out[name] = data[name][order]
    out.edge_index = order.argsort()[data.edge_index]
    return out


def core_arguments(model, data):
    with mock.patch.object(model, "core", wraps=model.core) as core:
        model(data)
    return core.call_args.args


def first_tensor(output):
    return output[0] if isinstance(output, tuple) else output


# Awkward graphs, made from a fully connected one


def keep_edges(data, kept):
    data.edge_index, data.edge_attr = data.edge_index[:, kept], data.edge_attr[kept]
    return data


def without_edges(data):
    return keep_edges(data, torch.zeros(data.num_edges, dtype=torch.bool))


def with_isolated_nodes(data):
    return keep_edges(data, (data.edge_index < 3).all(dim=0))


def with_self_loops(data):
    loops = torch.arange(data.num_nodes).expand(2, -1)
    data.edge_index = torch.cat([data.edge_index, loops], dim=1)
    data.edge_attr = torch.cat([data.edge_attr, data.edge_attr[: data.num_nodes]])
    return data


def with_coincident_nodes(data):
    data.pos[1] = data.pos[0]
    return data


def collapsed(data):
    data.pos.zero_()
    return data


def collapsed_at_rest(data):
    data.vel.zero_()
    return collapsed(data)


def single_node(data):
    return data.subgraph(torch.tensor([0]))


def huge(data):
    data.pos *= 1e6
    return data


def far_away(data):
    data.pos += 1e6
    return data


AWKWARD = [
    without_edges,
    with_isolated_nodes,
    with_self_loops,
    with_coincident_nodes,
    collapsed,
    collapsed_at_rest,
    single_node,
    huge,
    far_away,
]


def over_awkward_graphs(cases, *dtypes):
    return pytest.mark.parametrize(
        ("case", "awkward", "dtype"),
        [
            pytest.param(case, awkward, dtype, id=f"{case.name}-{awkward.__name__}-{dtype}")
            for case in cases
            for awkward in AWKWARD
            for dtype in dtypes
            if not (case.fixed_size and awkward is single_node)
            and not (case.overflows and awkward in (huge, far_away) and dtype == torch.float32)
        ],
    )


# Symmetry


@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=["float64", "float32"]
)
@both_stages
@over([case for case in CASES if case.symmetry == "exact"])
def test_exact_model_is_equivariant(case, num_steps, dtype, bound, make_graph, orthogonal):
    model, data = case.build().to(dtype), make_graph(dtype=dtype)
    train(model, data, num_steps)
    matrices = orthogonal(20) if case.reflections else rotations(orthogonal(20))
    assert relative_error(case, model, data, matrices, translate=case.translations) <= bound


@over([case for case in CASES if case.symmetry == "exact" and not case.reflections])
def test_model_of_rotations_alone_tells_mirror_images_apart(case, make_graph, orthogonal):
    model, data = case.build().double(), make_graph()
    train(model, data, 5)
    mirrored = -rotations(orthogonal(20))
    error = relative_error(case, model, data, mirrored, translate=False)
    assert error > 1e-9  # rounding is 1e-15


@over([case for case in CASES if case.symmetry == "exact" and not case.translations])
def test_model_without_translations_depends_on_the_origin(case, make_graph):
    model, data = case.build().double(), make_graph()
    train(model, data, 5)
    assert relative_error(case, model, data, torch.eye(3).expand(5, 3, 3)) > 1e-3


@both_stages
@over([case for case in CASES if case.symmetry == "none"])
def test_unconstrained_model_is_not_equivariant(case, num_steps, make_graph, orthogonal):
    model, data = case.build().double(), make_graph()
    train(model, data, num_steps)
    assert relative_error(case, model, data, orthogonal(20)) > 0.05


@both_stages
@over([case for case in CASES if case.symmetry == "soft"])
def test_soft_model_is_off_equivariance(case, num_steps, make_graph, orthogonal):
    model, data = case.build().double(), make_graph()
    train(model, data, num_steps)
    assert relative_error(case, model, data, rotations(orthogonal(20)), translate=False) > 1e-3


@over([case for case in CASES if not case.fixed_size])
def test_permuting_nodes_permutes_the_output(case, make_graph):
    model, data, order = case.build().double(), make_graph(), torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        model(permuted(data, order)), model(data)[order], rtol=1e-12, atol=1e-12
    )


@over([case for case in CASES if case.fixed_size])
def test_model_tied_to_node_order_is_not_permutation_equivariant(case, make_graph):
    model, data, order = case.build().double(), make_graph(), torch.tensor([3, 0, 4, 1, 2])
    assert (model(permuted(data, order)) - model(data)[order]).abs().max() > 1e-3


@every_case
def test_order_of_edges_does_not_matter(case, make_graph):
    model, data = case.build().double(), make_graph()
    order, shuffled = torch.randperm(data.num_edges), data.clone()
    shuffled.edge_index = data.edge_index[:, order]
    shuffled.edge_attr = data.edge_attr[order]
    torch.testing.assert_close(model(shuffled), model(data), rtol=1e-12, atol=1e-12)


@over([case for case in CASES if case.reads_edges])
def test_edges_matter_to_model_that_reads_them(case, make_graph):
    model, data = case.build().double(), make_graph()
    fewer = data.clone()
    fewer.edge_index, fewer.edge_attr = data.edge_index[:, :-3], data.edge_attr[:-3]
    assert (model(fewer) - model(data)).abs().max() > 1e-6


# Batches


@every_case
def test_lone_graph_equals_batch_of_one(case, make_graph):
    model, data = case.build().double(), make_graph()
    alone, batched = model(data), model(Batch.from_data_list([data]))
    torch.testing.assert_close(batched, alone, rtol=1e-12, atol=1e-12)


@every_case
def test_batch_equals_single_graphs(case, make_graph):
    model = case.build().double()
    graphs = [make_graph(seed=seed) for seed in range(3)]
    singles = torch.cat([model(graph) for graph in graphs])
    torch.testing.assert_close(model(Batch.from_data_list(graphs)), singles, rtol=1e-12, atol=1e-12)


@over([case for case in CASES if not case.fixed_size])
def test_ragged_batch_equals_single_graphs(case, make_graph):
    model = case.build().double()
    graphs = [make_graph(size, seed=size) for size in (3, 0, 5, 1, 1)]
    singles = torch.cat([model(graph) for graph in graphs])
    torch.testing.assert_close(model(Batch.from_data_list(graphs)), singles, rtol=1e-12, atol=1e-12)


# Awkward graphs


@over_awkward_graphs(CASES, torch.float32, torch.float64)
def test_awkward_graph_gives_finite_output_and_gradients(case, awkward, dtype, make_graph):
    model, data = case.build().to(dtype), awkward(make_graph(dtype=dtype))
    data.pos.requires_grad_()
    data.vel.requires_grad_()
    out = model(data)
    out.square().sum().backward()
    leaves = {**dict(model.named_parameters()), "input vel": data.vel}
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    gradients["input pos"] = data.pos.grad
    assert out.shape == (data.num_nodes, case.width)
    assert out.isfinite().all()
    assert [name for name, value in gradients.items() if not value.isfinite().all()] == []


@over([case for case in CASES if case.overflows])
def test_inputs_that_overflow_are_refused(case, make_graph):
    model, data = case.build(), make_graph(dtype=torch.float32)
    data.pos *= 1e30
    with pytest.raises(ValueError, match=r"`inputs` must .* overflow torch\.float32.*, got .* nan"):
        model(data)


@over_awkward_graphs([case for case in CASES if case.symmetry == "exact"], torch.float64)
def test_exact_model_is_equivariant_on_awkward_graph(case, awkward, dtype, make_graph, orthogonal):
    model, data = case.build().to(dtype), awkward(make_graph(dtype=dtype))
    train(model, make_graph(), 5)
    matrices = orthogonal(4) if case.reflections else rotations(orthogonal(4))
    shifts = torch.randn(4, 3, dtype=torch.float64) * case.translations
    with torch.no_grad():
        out = model(data)
        moves = list(zip(matrices, shifts, strict=True))
        expected = [moved_output(case, out, *move) for move in moves]
        found = [model(moved(data, *move)) for move in moves]
    # Coordinates of size s are rounded to 1e-16 s, however close together the nodes lie.
    size = max(1.0, float(data.pos.abs().max()), float(out.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=case.rounding * size)


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
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have first derivatives only
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
