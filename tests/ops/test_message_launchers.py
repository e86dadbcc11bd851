"""The kernels of messages in Triton's interpreter, against double precision.

Floats agree to 1e-5 of the largest entry; half precision rounds the operands of every product, and
agrees to four units in the last place of that entry.
"""

from __future__ import annotations

import pytest
import torch
from torch.library import opcheck

from pyg_remul.ops import _message_operator as operators
from pyg_remul.ops import edge_messages, use_backend
from pyg_remul.ops._message_operator import messages_operator
from tests.ops.message_cases import (
    GRAPHS,
    VARIANTS,
    assert_equals_plain,
    first_derivatives,
    make_case,
    random_edges,
    second_derivatives,
    variables,
)

pytestmark = pytest.mark.interpreter

KERNEL_VARIANTS = [name for name in VARIANTS if name not in ("two-points", "three-points")]
HALF = {torch.bfloat16: "bfloat16", torch.float16: "float16"}
half = pytest.mark.parametrize("dtype", HALF, ids=HALF.values())


@pytest.fixture(autouse=True)
def _kernels():
    with use_backend("triton"):
        yield


def make_float_case(*args, **keywords):
    return make_case(*args, **{"dtype": torch.float32, **keywords})


@pytest.mark.parametrize("graph", GRAPHS)
def test_messages_and_gradients_are_those_of_the_plain_formulation(graph):
    assert_equals_plain(edge_messages, make_float_case(graph), 1e-5)


@pytest.mark.parametrize("variant", KERNEL_VARIANTS)
def test_variants_are_those_of_the_plain_formulation(variant):
    assert_equals_plain(edge_messages, make_float_case("unsorted", variant), 1e-5)


@pytest.mark.parametrize("variant", KERNEL_VARIANTS)
def test_variants_need_no_blocks(monkeypatch, variant):
    monkeypatch.setattr(operators, "block_forward", None)
    monkeypatch.setattr(operators, "block_backward", None)
    first_derivatives(edge_messages, *make_float_case("one-node", variant))


@pytest.mark.parametrize("channels", [1, 17, 32, 48, 64, 128])
def test_channels_are_padded(channels):
    assert_equals_plain(edge_messages, make_float_case(channels=channels), 1e-5)


@pytest.mark.parametrize("edge_dim", [0, 1, 5, 20, 64])
def test_attributes_are_padded(edge_dim):
    assert_equals_plain(edge_messages, make_float_case(edge_dim=edge_dim), 1e-5)


@pytest.mark.parametrize("num_edges", [31, 32, 33, 300])
def test_tiles_need_not_be_full(num_edges):
    graph = (random_edges(20, num_edges), 20)
    assert_equals_plain(edge_messages, make_float_case(graph), 1e-5)


@pytest.mark.parametrize("dim", [1, 4])
def test_space_has_up_to_four_dimensions(dim):
    assert_equals_plain(edge_messages, make_float_case(dim=dim), 1e-5)


@half
@pytest.mark.parametrize("variant", ["bare", "everything"])
def test_half_precision_rounds_operands_of_products(variant, dtype):
    case = make_case("hub", variant, channels=32, dtype=dtype)
    assert_equals_plain(edge_messages, case, 4 * torch.finfo(dtype).eps)


@half
def test_points_stay_in_single_precision_beside_half_precision(dtype):
    case = make_case(dtype=dtype, points_dtype=torch.float32)
    assert edge_messages(*case)[1].dtype == torch.float32
    assert_equals_plain(edge_messages, case, 4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("variant", ["bare", "everything"])
def test_second_derivatives_are_those_of_the_plain_formulation(variant):
    case = make_float_case("unsorted", variant)
    assert_equals_plain(edge_messages, case, 1e-5, second_derivatives)


def test_gradient_of_attributes_is_left_out_where_it_is_not_wanted():
    topology, network, options = make_float_case()
    network = variables(network)._replace(edge_attr=network.edge_attr)
    sums, moved = edge_messages(topology, network, options)
    (sums.sum() + moved.sum()).backward()
    assert network.edge_attr.grad is None
    assert network.edge_weight.grad.any()


def test_operands_need_not_be_contiguous():
    topology, network, options = make_float_case()
    strided = network.map(lambda x: x.T.contiguous().T if x.dim() == 2 else x)
    assert_equals_plain(edge_messages, (topology, strided, options), 1e-5)


def test_repeated_runs_give_equal_bits():
    case = make_float_case((random_edges(5, 40), 5), "points")
    first, *others = (first_derivatives(edge_messages, *case) for _ in range(20))
    assert all(torch.equal(x, y) for other in others for x, y in zip(first, other, strict=True))


def test_more_nodes_than_programs_share_the_gradients_of_weights(monkeypatch):
    monkeypatch.setattr("pyg_remul.ops._message_launchers._PROGRAMS", 2)
    assert_equals_plain(edge_messages, make_float_case((random_edges(80, 120), 80)), 1e-5)


@pytest.mark.parametrize("variant", ["bare", "everything"])
def test_operator_keeps_the_rules_of_operators(variant):
    topology, network, options = make_float_case("unsorted", variant)
    edges = (topology.edge_index, *topology.groupings("triton"))
    opcheck(messages_operator, (*variables(network), *options, *edges, "triton"))


@pytest.mark.parametrize(
    ("variant", "keywords"),
    [
        pytest.param("two-points", {}, id="several points"),
        pytest.param("bare", {"channels": 130}, id="many channels"),
        pytest.param("bare", {"edge_dim": 65}, id="many attributes"),
        pytest.param("points", {"dim": 5}, id="many dimensions"),
        pytest.param("points", {"points_dtype": torch.float64}, id="precise points"),
    ],
)
def test_blocks_take_what_the_kernels_do_not(variant, keywords):
    assert_equals_plain(edge_messages, make_float_case("unsorted", variant, **keywords), 1e-5)
