"""The kernels of messages on a GPU: large graphs, half precision, memory, and what must not wait.

Floats agree with double precision to 1e-5 of the largest entry, or 1e-4 where 100,000 edges add up
in the gradients of weights; half precision to four units in the last place of that entry.
"""

from __future__ import annotations

import pytest
import torch

from pyg_remul.ops import Topology, edge_messages, plain_messages, use_backend
from pyg_remul.precision import tf32
from tests.ops.message_cases import (
    GRAPHS,
    VARIANTS,
    assert_equals_plain,
    assert_near,
    first_derivatives,
    hub_edges,
    make_case,
    random_edges,
    second_derivatives,
    variables,
    weigh,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

LARGE = {
    "10007-edges": (random_edges(300, 10_007), 300),
    "hub": (hub_edges(40, 5_600), 40),
    "100000-edges": (random_edges(9_001, 100_000), 9_001),
}
half = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
kernel_variants = pytest.mark.parametrize(
    "variant", [name for name in VARIANTS if name not in ("two-points", "three-points")]
)


@pytest.fixture(autouse=True)
def _kernels():
    with use_backend("triton"), tf32(False):
        yield


def make_gpu_case(*args, **keywords):
    return make_case(*args, **{"dtype": torch.float32, "device": "cuda", **keywords})


def assert_equal_bits(results):
    first, *others = results
    assert all(torch.equal(x, y) for other in others for x, y in zip(first, other, strict=True))


@pytest.mark.parametrize("graph", GRAPHS)
def test_messages_and_gradients_are_those_of_the_plain_formulation(graph):
    assert_equals_plain(edge_messages, make_gpu_case(graph), 1e-5)


@kernel_variants
def test_variants_are_those_of_the_plain_formulation(variant):
    assert_equals_plain(edge_messages, make_gpu_case("unsorted", variant), 1e-5)


@pytest.mark.parametrize("graph", LARGE)
@pytest.mark.parametrize("channels", [32, 48, 64, 128, 256])
def test_large_graphs_equal_the_plain_formulation(graph, channels):
    assert_equals_plain(edge_messages, make_gpu_case(LARGE[graph], channels=channels), 1e-4)


@pytest.mark.parametrize("edge_dim", [0, 1, 5, 20, 64, 70])
def test_attributes_may_have_any_width(edge_dim):
    assert_equals_plain(edge_messages, make_gpu_case(channels=64, edge_dim=edge_dim), 1e-5)


@half
@pytest.mark.parametrize("channels", [16, 64, 128])
def test_half_precision_rounds_operands_of_products(channels, dtype):
    case = make_gpu_case(LARGE["hub"], channels=channels, dtype=dtype, points_dtype=torch.float32)
    assert_equals_plain(edge_messages, case, 4 * torch.finfo(dtype).eps)


def test_tensor_float_keeps_ten_bits():
    case = make_gpu_case(LARGE["hub"], channels=64)
    with tf32(True):
        assert_equals_plain(edge_messages, case, 1e-2)


@kernel_variants
def test_second_derivatives_are_those_of_the_plain_formulation(variant):
    assert_equals_plain(edge_messages, make_gpu_case("hub", variant), 1e-5, second_derivatives)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("graph", ["hub", "100000-edges"])
def test_repeated_runs_give_equal_bits(graph, dtype):
    case = make_gpu_case(LARGE[graph], channels=64, dtype=dtype)
    assert_equal_bits(first_derivatives(edge_messages, *case) for _ in range(20))


def test_memory_does_not_grow_with_the_edges():
    topology, network, options = make_gpu_case((random_edges(1_000, 400_000), 1_000), channels=64)
    network = variables(network)._replace(edge_attr=network.edge_attr)
    topology.groupings("triton")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    weigh(edge_messages(topology, network, options)).backward()
    grown = torch.cuda.max_memory_allocated() - before
    assert grown < topology.num_edges * 64 * 4 / 4


def test_autocast_leaves_points_alone():
    topology, network, options = make_gpu_case(channels=64)
    with torch.autocast("cuda", torch.bfloat16):
        rounded = network._replace(target=network.target.bfloat16())
        sums, moved = edge_messages(topology, rounded, options)
    assert (sums.dtype, moved.dtype) == (torch.bfloat16, torch.float32)
    shifted = rounded._replace(points=network.points + 1000)
    assert_near([edge_messages(topology, shifted, options)[1]], [moved], 1e-2)


def test_nothing_waits_for_the_device():
    topology, network, options = make_gpu_case(LARGE["hub"], channels=64)
    network = variables(network)

    def step():
        sums, moved = edge_messages(topology, network, options)
        (sums.sum() + moved.sum()).backward()

    step()  # sorts the edges and compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_graph_of_calls_is_captured():
    topology, network, options = make_gpu_case(LARGE["hub"], channels=64)
    expected = edge_messages(topology, network, options)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = edge_messages(topology, network, options)
    graph.replay()
    assert_equal_bits([outputs, expected])


def test_compiled_equals_eager():
    topology, network, options = make_gpu_case(channels=64)

    def layer(edge_index, target, points):
        edges = Topology(edge_index, target.size(0))
        return edge_messages(edges, network._replace(target=target, points=points), options)

    inputs = (topology.edge_index, network.target, network.points)
    assert_near(torch.compile(layer, fullgraph=True)(*inputs), layer(*inputs), 1e-6)


def test_offsets_may_need_more_than_32_bits():
    num_nodes = 2**25 + 1
    last = torch.tensor([[num_nodes - 2, num_nodes - 1], [num_nodes - 1, num_nodes - 2]])
    topology, network, options = make_gpu_case((random_edges(1, 0), 1), "bare", channels=64)
    topology = Topology(last.cuda(), num_nodes)
    rows = torch.zeros(num_nodes, 64, dtype=torch.bfloat16, device="cuda")
    rows[-2:] = torch.randn(2, 64)
    network = network.map(torch.Tensor.bfloat16)._replace(target=rows, source=rows)
    sums, _ = edge_messages(topology, network, options)
    small = Topology(last.cuda() - (num_nodes - 2), 2)
    ends = network._replace(target=rows[-2:], source=rows[-2:]).map(torch.Tensor.double)
    assert_near([sums[-2:]], plain_messages(small, ends, options)[:1], 0.03)
