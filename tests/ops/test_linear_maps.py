"""Linear maps by way of oneDNN."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from pyg_remul.ops import Linear, linear
from pyg_remul.ops._dense import ONEDNN, product, weight_gradient

pytestmark = pytest.mark.skipif(not ONEDNN, reason="needs a PyTorch with oneDNN")


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch):
    monkeypatch.setattr("pyg_remul.ops.linear_maps._SMALLEST", 0)


@pytest.fixture
def operands():
    return [torch.randn(*shape, requires_grad=True) for shape in ((5, 7, 6), (4, 6), (4,))]


def in_double(function, operands):
    """The result of a function of the operands, computed in float64."""
    doubles = [x.detach().double().requires_grad_() for x in operands]
    return function(*doubles)


def gradients(function):
    """All gradients of a scalar of the output that is not linear in it."""

    def run(*operands):
        out = function(*operands).tanh().sum()
        return torch.autograd.grad(out, operands, create_graph=True)

    return run


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


def test_goes_through_onednn(operands):
    assert "_Linear" in type(linear(*operands).grad_fn.next_functions[0][0]).__name__


@pytest.mark.parametrize("bias", [True, False])
def test_equals_pytorch(operands, bias):
    operands = operands if bias else operands[:2]
    close([linear(*operands)], [in_double(functional.linear, operands)])


def test_gradients_equal_pytorch(operands):
    expected = in_double(gradients(functional.linear), operands)
    close(gradients(linear)(*operands), expected)


def test_second_derivatives_equal_pytorch(operands):
    def twice(function):
        def run(*operands):
            squares = [g.square().sum() for g in gradients(function)(*operands)]
            return torch.autograd.grad(sum(squares), operands)

        return run

    close(twice(linear)(*operands), in_double(twice(functional.linear), operands))


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_any_number_of_rows(rows):
    operands = torch.randn(rows, 6), torch.randn(4, 6), torch.randn(4)
    close([linear(*operands)], [in_double(functional.linear, operands)])


def test_part_of_a_matrix_is_a_weight(operands):
    x, weight, bias = operands
    wide = torch.cat([weight, weight], dim=1).detach()
    close([linear(x, wide[:, 6:], bias)], [in_double(functional.linear, operands)])


def test_weight_gradient_is_a_product():
    grad, x = torch.randn(9, 4), torch.randn(9, 6)
    torch.testing.assert_close(weight_gradient(grad, x), grad.T @ x)


def test_product_of_doubles_stays_double():
    assert product(torch.ones(2, 3).double(), torch.ones(4, 3).double()).dtype == torch.float64


def test_autocast_rounds(operands):
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(*operands).dtype == torch.bfloat16


def test_batched_gradients(operands):
    x, weight, _ = (value.detach() for value in operands)
    rows = torch.func.vmap(lambda row: linear(row, weight))(x)
    torch.testing.assert_close(rows, functional.linear(x, weight))


def test_module_has_the_weights_of_the_usual_one():
    torch.manual_seed(0)
    ours = Linear(6, 4)
    torch.manual_seed(0)
    usual = torch.nn.Linear(6, 4)
    ours.load_state_dict(usual.state_dict())
    x = torch.randn(3, 6)
    torch.testing.assert_close(ours(x), usual(x))
    assert torch.equal(ours.weight, usual.weight)
