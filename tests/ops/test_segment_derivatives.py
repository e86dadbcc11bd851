"""Derivatives of segment reductions, and what PyTorch's transformations make of them."""

from __future__ import annotations

import pytest
import torch
from segment_cases import REDUCTIONS, SMALL, TOLERANCES, make_rows, make_segments, objective
from torch.autograd import gradcheck, gradgradcheck

from pyg_remul.ops import Segments, segment_gather, segment_softmax, segment_sum, use_backend
from pyg_remul.ops._segment_operators import gather_operator, softmax_operator, sum_operator

HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
OPERATORS = {"sum": sum_operator, "softmax": softmax_operator, "gather": gather_operator}
all_reductions = pytest.mark.parametrize("name", REDUCTIONS)
all_operators = pytest.mark.parametrize("operator", OPERATORS)


@pytest.mark.parametrize("backend", ["torch", "torch_scatter"])
class TestDerivatives:
    @pytest.fixture(autouse=True)
    def _choose(self, request, backend):
        if backend != "torch":
            request.getfixturevalue(backend)

    @all_reductions
    def test_of_both_orders_are_those_of_differences(self, name):
        segments = Segments(torch.tensor([3, 0, 3, 3, 1]), 5)
        x = make_rows(segments, (2,)).requires_grad_()
        assert gradcheck(lambda x: REDUCTIONS[name](x, segments), x)
        assert gradgradcheck(lambda x: REDUCTIONS[name](x, segments), x)

    def test_of_gathering_are_those_of_differences(self):
        segments = Segments(torch.tensor([3, 0, 3, 3, 1]), 5)
        x = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
        assert gradcheck(lambda x: segment_gather(x, segments), x)
        assert gradgradcheck(lambda x: segment_gather(x, segments), x)

    def test_of_third_order_are_those_of_differences(self):
        segments = Segments(torch.tensor([1, 0, 1, 1]), 2)
        x = make_rows(segments, ()).requires_grad_()

        def force(x):
            grad = torch.autograd.grad(objective(x, segments), x, create_graph=True)[0]
            return torch.autograd.grad(grad.square().sum(), x, create_graph=True)[0]

        assert gradcheck(force, x)

    @HALVES
    def test_of_half_precision_have_its_dtype(self, dtype):
        segments = make_segments("hub")
        x = make_rows(segments, dtype=dtype).requires_grad_()
        exact = x.detach().double().requires_grad_()
        grad, expected = (torch.autograd.grad(objective(y, segments), y)[0] for y in (x, exact))
        assert grad.dtype == dtype
        assert (grad - expected).norm() < 8 * TOLERANCES[dtype] * expected.norm()


@pytest.mark.interpreter
@pytest.mark.parametrize("case", SMALL)
@pytest.mark.usefixtures("segment_kernels")
def test_derivatives_of_kernels_are_those_of_plain_torch(case):
    segments = make_segments(case)
    x = make_rows(segments, (2,), torch.float32).requires_grad_()
    exact = x.detach().double().requires_grad_()

    def derivatives(y):
        first = torch.autograd.grad(objective(y, segments), y, create_graph=True)[0]
        return first, torch.autograd.grad(first.pow(3).sum(), y)[0]

    found = derivatives(x)
    with use_backend("torch"):
        expected = derivatives(exact)
    for grad, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(grad.double(), reference, rtol=1e-4, atol=1e-4)


def check_operator(operator, case, backend, dtype):
    segments = make_segments(case)
    rows = segments.num_segments if operator == "gather" else segments.index.numel()
    x = torch.randn(rows, 2, dtype=dtype, requires_grad=True)
    groups = segments.index, segments.order, segments.pointer
    torch.library.opcheck(OPERATORS[operator], (x, *groups, backend))


@all_operators
@pytest.mark.parametrize("case", ["unsorted", "no rows"])
@pytest.mark.usefixtures("torch_scatter")
def test_operators_keep_the_rules_of_pytorch(operator, case):
    check_operator(operator, case, "torch_scatter", torch.float64)


@pytest.mark.interpreter
@all_operators
@pytest.mark.usefixtures("segment_kernels")
def test_operators_of_kernels_keep_the_rules_of_pytorch(operator):
    check_operator(operator, "unsorted", "triton", torch.float32)


def loss_of_edges(x, index):
    """Uses segments that it makes itself, as a model does."""
    return objective(x, Segments(index, 12))


def test_compiled_reductions_are_those_of_eager_mode():
    segments = make_segments("unsorted")
    x = make_rows(segments, dtype=torch.float32).requires_grad_()
    expected = torch.autograd.grad(loss_of_edges(x, segments.index), x)[0]
    compiled = torch.compile(loss_of_edges, fullgraph=True)
    found = torch.autograd.grad(compiled(x, segments.index), x)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("torch_scatter")
def test_traced_operators_are_those_of_eager_mode():
    segments = make_segments("unsorted")
    x = make_rows(segments).requires_grad_()
    expected = torch.autograd.grad(loss_of_edges(x, segments.index), x)[0]
    traced = torch.compile(loss_of_edges, fullgraph=True, backend="aot_eager", dynamic=True)
    found = torch.autograd.grad(traced(x, segments.index), x)[0]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


class Reductions(torch.nn.Module):
    def forward(self, x, index, nodes):
        segments = Segments(index, nodes.size(0))
        return segment_gather(segment_sum(segment_softmax(x, segments) * x, segments), segments)


@pytest.mark.usefixtures("torch_scatter")
@pytest.mark.parametrize("strict", [False, True], ids=["traced", "strict"])
def test_exported_reductions_take_other_sizes(strict):
    rows, nodes = torch.export.Dim("rows"), torch.export.Dim("nodes")
    example = (torch.randn(30, 2), torch.randint(5, (30,)), torch.zeros(5, 1))
    shapes = ({0: rows}, {0: rows}, {0: nodes})
    exported = torch.export.export(Reductions(), example, dynamic_shapes=shapes, strict=strict)
    other = (torch.randn(9, 2), torch.randint(7, (9,)), torch.zeros(7, 1))
    torch.testing.assert_close(exported.module()(*other), Reductions()(*other))


@pytest.mark.usefixtures("torch_scatter")
class TestTransforms:
    def test_gradient_is_that_of_autograd(self):
        segments = make_segments("unsorted")
        x = make_rows(segments).requires_grad_()
        expected = torch.autograd.grad(objective(x, segments), x)[0]
        found = torch.func.grad(objective)(x.detach(), segments)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)

    @all_reductions
    def test_forward_and_reverse_mode_agree(self, name):
        segments = make_segments("isolated segments")
        x = make_rows(segments, (2,))
        backward = torch.func.jacrev(REDUCTIONS[name])(x, segments)
        forward = torch.func.jacfwd(REDUCTIONS[name])(x, segments)
        torch.testing.assert_close(forward, backward, rtol=1e-12, atol=1e-12)

    @all_reductions
    def test_copies_are_reduced_one_by_one(self, name):
        segments = make_segments("unsorted")
        copies = torch.stack([make_rows(segments), -make_rows(segments)])
        found = torch.func.vmap(lambda x: REDUCTIONS[name](x, segments))(copies)
        expected = torch.stack([REDUCTIONS[name](x, segments) for x in copies])
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
