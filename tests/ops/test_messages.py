"""Messages as one operator, against whole tensors at a time in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.library import opcheck

from pyg_remul.ops import (
    Topology,
    edge_messages,
    plain_messages,
    use_backend,
)
from pyg_remul.ops._message_operator import messages_operator
from tests.ops.message_cases import (
    GRAPHS,
    VARIANTS,
    assert_equals_plain,
    assert_near,
    first_derivatives,
    hub_edges,
    make_case,
    operands,
    random_edges,
    second_derivatives,
    variables,
    weigh,
)

LARGE = {"10007-edges": (random_edges(300, 10_007), 300), "hub": (hub_edges(40, 5_600), 40)}
HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
variants = pytest.mark.parametrize("variant", VARIANTS)


@pytest.mark.parametrize("graph", GRAPHS)
def test_messages_and_gradients_are_those_of_the_plain_formulation(graph):
    assert_equals_plain(edge_messages, make_case(graph), 1e-12)


@variants
def test_variants_are_those_of_the_plain_formulation(variant):
    assert_equals_plain(edge_messages, make_case("unsorted", variant), 1e-12)


@variants
def test_second_derivatives_are_those_of_the_plain_formulation(variant):
    case = make_case("hub", variant, channels=4)
    assert_equals_plain(edge_messages, case, 1e-12, second_derivatives)


@pytest.mark.parametrize("graph", LARGE)
@pytest.mark.parametrize("variant", ["everything", "two-points"])
def test_graphs_of_several_blocks_equal_the_plain_formulation(graph, variant):
    assert_equals_plain(edge_messages, make_case(LARGE[graph], variant, channels=64), 1e-12)


@pytest.mark.parametrize("channels", [1, 3, 48, 130])
def test_any_number_of_channels_is_taken(channels):
    assert_equals_plain(edge_messages, make_case(channels=channels), 1e-12)


def test_points_keep_a_precision_of_their_own():
    topology, network, options = make_case(dtype=torch.float32, points_dtype=torch.float64)
    near = variables(network)
    far = near._replace(points=(network.points + 2.0**30).requires_grad_())
    moved, expected = (edge_messages(topology, x, options)[1] for x in (far, near))
    assert moved.dtype == torch.float64
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-5)
    gradients = [
        torch.autograd.grad(out.square().sum(), x.points)[0]
        for out, x in ((moved, far), (expected, near))
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_single_precision_is_kept():
    case = make_case(LARGE["hub"], channels=64, dtype=torch.float32)
    assert_equals_plain(edge_messages, case, 5e-6)


def test_single_precision_is_kept_in_second_derivatives():
    case = make_case(dtype=torch.float32)
    assert_equals_plain(edge_messages, case, 1e-5, second_derivatives)


@HALF
def test_half_precision_rounds_inputs_and_results_alone(dtype):
    case = make_case(LARGE["hub"], channels=64, dtype=dtype)
    assert_equals_plain(edge_messages, case, torch.finfo(dtype).eps)


@HALF
def test_points_stay_in_single_precision_beside_half_precision(dtype):
    case = make_case(dtype=dtype, points_dtype=torch.float32)
    _, moved = edge_messages(*case)
    assert moved.dtype == torch.float32
    assert_near(
        [moved], [edge_messages(*case[:1], case[1].map(torch.Tensor.double), case[2])[1]], 1e-5
    )


@variants
def test_operator_has_correct_first_and_second_derivatives(variant):
    topology, network, options = make_case((random_edges(4, 6), 4), variant, channels=2)
    network = variables(network)
    names = [name for name, x in network._asdict().items() if x is not None]

    def function(*tensors):
        outputs = edge_messages(
            topology, network._replace(**dict(zip(names, tensors, strict=True))), options
        )
        return tuple(x for x in outputs if x.numel())

    inputs = tuple(operands(network))
    torch.autograd.gradcheck(function, inputs)
    torch.autograd.gradgradcheck(function, inputs)


def test_operands_may_depend_on_each_other():
    topology, network, options = make_case("unsorted", "points")

    def function(source, points):
        shared = network._replace(target=2 * source, source=source, points=points)
        sums, moved = edge_messages(topology, shared, options)
        return sums.square().sum() + moved.square().sum()

    inputs = (network.source.requires_grad_(), network.points.requires_grad_())
    torch.autograd.gradgradcheck(function, inputs)


def test_forces_from_energies_reach_the_weights():
    topology, network, options = make_case("unsorted", "points")

    def loss(function):
        net = variables(network)
        energy = function(topology, net, options)[0].sum()
        (forces,) = torch.autograd.grad(energy, net.points, create_graph=True)
        forces.square().sum().backward()
        return [net.weight.grad, net.distance_weight.grad, net.target.grad]

    assert_near(loss(edge_messages), loss(plain_messages), 1e-12)


@pytest.mark.parametrize("name", ["source", "edge_attr", "points", "position_out"])
def test_gradient_of_one_operand_needs_no_other(name):
    case = make_case()

    def gradient(function):
        topology, network, options = case
        leaf = getattr(network, name).clone().requires_grad_()
        outputs = function(topology, network._replace(**{name: leaf}), options)
        return torch.autograd.grad(weigh(outputs), leaf)

    assert_near(gradient(edge_messages), gradient(plain_messages), 1e-12)


def test_no_points_no_displacements():
    _, moved = edge_messages(*make_case(variant="bare"))
    assert moved.shape == (0,)


def test_nodes_without_edges_receive_nothing():
    topology, network, options = make_case("isolated-nodes")
    sums, moved = edge_messages(topology, network, options)
    lonely = topology.by_target.counts == 0
    assert lonely.any()
    assert not sums[lonely].any()
    assert not moved[lonely].any()


def test_repeated_runs_give_equal_bits():
    case = make_case(LARGE["hub"], dtype=torch.float32)
    first, *others = (first_derivatives(edge_messages, *case) for _ in range(20))
    assert all(torch.equal(x, y) for other in others for x, y in zip(first, other, strict=True))


def test_nothing_of_the_size_of_the_edges_is_stored():
    topology, network, options = make_case(LARGE["10007-edges"], "everything")
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x)
    with hooks:
        edge_messages(topology, variables(network), options)
    inputs = {topology.edge_index.shape, network.edge_attr.shape}
    sizes = [x.numel() for x in saved if x.shape not in inputs]
    assert len(sizes) > 5
    assert max(sizes) < topology.num_edges


class Layer(nn.Module):
    """The operator with the options and weights of a case."""

    def __init__(self, network, options):
        super().__init__()
        self.network, self.options = network, options

    def forward(self, edge_index, target, points):
        topology = Topology(edge_index, target.size(0))
        network = self.network._replace(target=target, points=points)
        return edge_messages(topology, network, self.options)


def test_compiled_equals_eager():
    topology, network, options = make_case(channels=8, dtype=torch.float32)
    eager, inputs = Layer(network, options), (network.target, network.points)
    results = []
    for layer in (eager, torch.compile(eager, fullgraph=True)):
        leaves = [x.clone().requires_grad_() for x in inputs]
        outputs = layer(topology.edge_index, *leaves)
        results.append([*outputs, *torch.autograd.grad(weigh(outputs), leaves)])
    assert_near(results[1], results[0], 1e-6)


def test_export_holds_plain_operations():
    topology, network, options = make_case()
    inputs = (topology.edge_index, network.target, network.points)
    program = torch.export.export(Layer(network, options), inputs)
    assert not any("pyg_remul" in str(node.target) for node in program.graph.nodes)
    assert_near(program.module()(*inputs), edge_messages(topology, network, options), 1e-12)


def test_transforms_of_functions_apply():
    topology, network, options = make_case(channels=4)

    def moved(points):
        return edge_messages(topology, network._replace(points=points), options)[1]

    def loss(points):
        return moved(points).square().sum()

    leaf = network.points.clone().requires_grad_()
    gradient = torch.autograd.grad(loss(leaf), leaf)
    assert_near([torch.func.grad(loss)(network.points)], gradient, 1e-12)
    jacobian = torch.autograd.functional.jacobian(moved, network.points)
    assert_near([torch.func.jacrev(moved)(network.points)], [jacobian], 1e-12)


def test_batches_of_networks_are_mapped():
    topology, network, options = make_case(channels=4)
    points = torch.stack([network.points, 2 * network.points])

    def moved(points):
        return edge_messages(topology, network._replace(points=points), options)[1]

    assert_near(torch.vmap(moved)(points), [moved(x) for x in points], 1e-12)


def test_autocast_leaves_points_alone():
    topology, network, options = make_case(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network.target.bfloat16()
        sums, moved = edge_messages(topology, network._replace(target=rounded), options)
    assert (sums.dtype, moved.dtype) == (torch.bfloat16, torch.float32)
    shifted = network._replace(target=rounded, points=network.points + 1000)
    assert_near([edge_messages(topology, shifted, options)[1]], [moved], 1e-3)


def test_operands_follow_the_dtype_of_the_target():
    topology, network, options = make_case(dtype=torch.float32)
    doubles = network._replace(target=network.target.double())
    sums, moved = edge_messages(topology, doubles, options)
    assert (sums.dtype, moved.dtype) == (torch.float64, torch.float32)


@pytest.mark.parametrize("variant", ["bare", "everything", "two-points"])
def test_operator_keeps_the_rules_of_operators(variant):
    topology, network, options = make_case("unsorted", variant)
    edges = (topology.edge_index, *topology.groupings("torch"))
    opcheck(messages_operator, (*variables(network), *options, *edges, "torch"))


def test_double_precision_is_refused_by_the_kernel(monkeypatch):
    monkeypatch.setattr("pyg_remul.ops.backend._INSTALLED", {"triton": True})
    with use_backend("triton"), pytest.raises(ValueError, match=r"`backend` must be 'torch'"):
        edge_messages(*make_case())


def test_wrong_weight_changes_the_result():
    topology, network, options = make_case()
    wrong = network._replace(distance_weight=1.01 * network.distance_weight)
    with pytest.raises(AssertionError, match="not close"):
        assert_near(
            edge_messages(topology, network, options),
            plain_messages(topology, wrong, options),
            1e-4,
        )
