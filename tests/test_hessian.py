"""Hessians and their extreme eigenvalues."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import make_batch, seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn.functional import mse_loss

from pyg_remul.hessian import ConvergenceError, Hessian, extreme_eigenvalues, hessian_trace
from pyg_remul.models import EGNN, GNN, GATr, GraphTransformer, SE3Transformer


def quadratic(spectrum, seed=1):
    """A matrix of a spectrum, with the Hessian of its quadratic form."""
    size = len(spectrum)
    basis, _ = torch.linalg.qr(torch.randn(size, size, generator=seeded(seed)).double())
    matrix = basis @ torch.as_tensor(spectrum, dtype=torch.float64).diag() @ basis.mT
    layer = nn.Linear(size, 1, bias=False)
    return matrix, Hessian(layer, lambda model: (model.weight @ matrix @ model.weight.mT).sum() / 2)


def dense(hessian):
    return torch.stack([hessian @ column for column in torch.eye(len(hessian))], dim=1)


@pytest.fixture
def perceptron():
    """A network with its loss."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x, y = torch.randn(2, 10, 3, dtype=torch.float64)
    return model, lambda model: mse_loss(model(x), y[:, :2])


def reference(model, loss):
    """The matrix of second derivatives, by torch's own double backward."""
    model = model.double()
    names = [name for name, _ in model.named_parameters()]
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()

    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self):
            return loss(self.model)

    def value(flat):
        sizes = [parameter.numel() for parameter in model.parameters()]
        parts = zip(names, flat.split(sizes), model.parameters(), strict=True)
        return functional_call(Loss(), {f"model.{n}": p.view_as(w) for n, p, w in parts}, ())

    return torch.autograd.functional.hessian(value, flat)


class TestHessian:
    def test_products_are_those_of_the_matrix(self):
        matrix, hessian = quadratic([1.0, -2.0, 3.0])
        torch.testing.assert_close(dense(hessian), matrix, atol=1e-12, rtol=0)

    def test_products_with_that_of_a_network_are_those_of_the_dense_matrix(self, perceptron):
        expected = reference(*perceptron)
        torch.testing.assert_close(dense(Hessian(*perceptron)), expected, atol=1e-12, rtol=0)

    def test_loss_and_gradient_are_those_at_the_model(self, perceptron):
        model, loss = perceptron
        hessian = Hessian(model, loss)
        value = loss(model.double())
        value.backward()
        gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
        assert hessian.loss == pytest.approx(value.item(), rel=1e-14)
        torch.testing.assert_close(hessian.gradient, gradient, atol=1e-14, rtol=0)

    def test_model_does_not_change(self, perceptron):
        model, loss = perceptron
        assert dense(Hessian(model, loss)).dtype == torch.float64
        assert model.training
        assert model[0].weight.dtype == torch.float32
        assert model[0].weight.grad is None

    def test_parameters_that_are_not_trained_have_no_rows(self, perceptron):
        model, loss = perceptron
        model[0].requires_grad_(False)
        assert len(Hessian(model, loss)) == 4 * 2 + 2

    def test_parameters_without_influence_have_rows_of_zeros(self, perceptron):
        model, loss = perceptron
        model.append(nn.Identity())
        model[3].register_parameter("idle", nn.Parameter(torch.ones(5)))
        assert not dense(Hessian(model, loss))[-5:].any()

    @pytest.mark.parametrize("value", [torch.nan, torch.inf], ids=str)
    def test_loss_that_is_not_finite_is_refused(self, value):
        with pytest.raises(ValueError, match="`loss` must be finite, with a finite gradient, got"):
            Hessian(nn.Linear(2, 1), lambda model: (model.weight * value).sum())


MODELS = {
    "transformer": lambda: GraphTransformer(6, 8, num_layers=1, heads=2, inputs=("pos", "vel")),
    "gatr": lambda: GATr(2, num_layers=1, hidden_scalars=4, heads=2, inputs=("pos", "vel")),
    "gnn": lambda: GNN(6, 6, num_layers=1, edge_dim=0, inputs=("pos", "vel")),
    "egnn": lambda: EGNN(1, 6, num_layers=1, edge_dim=0, inputs=()),
    "se3": lambda: SE3Transformer(4, num_layers=1, num_degrees=2, mass=None),
}


@pytest.mark.parametrize("name", MODELS)
def test_products_of_each_model_agree_with_differences_of_gradients(name):
    batch, model = make_batch(edges=12), MODELS[name]().double()

    def loss(model):
        return mse_loss(model(batch), batch.y)

    hessian = Hessian(model, loss)
    vector = torch.randn(len(hessian), dtype=torch.float64)
    step = 1e-5 * vector / vector.norm()
    weights = nn.utils.parameters_to_vector(model.parameters()).detach()
    gradients = []
    for moved in (weights + step, weights - step):
        nn.utils.vector_to_parameters(moved, model.parameters())
        gradients.append(Hessian(model, loss).gradient)
    expected = (gradients[0] - gradients[1]) / 2 / step.norm() * vector.norm()
    error = (hessian @ vector - expected).norm() / expected.norm()
    assert error < 1e-5


class TestExtremeEigenvalues:
    @given(st.lists(st.floats(-10, 10), min_size=2, max_size=12), st.integers(0, 9))
    def test_they_are_the_ends_of_the_spectrum(self, spectrum, seed):
        spectrum[:2] = [-11.0, 12.0]
        _, hessian = quadratic(spectrum, seed)
        low, high = extreme_eigenvalues(hessian, seeded(seed))
        assert low.value == pytest.approx(-11, abs=1e-8)
        assert high.value == pytest.approx(12, abs=1e-8)

    @pytest.mark.parametrize(
        ("first", "last"), [(1.0, 9.0), (-9.0, -1.0), (-9.0, 1.0)], ids=["+", "-", "both"]
    )
    def test_signs_of_the_spectrum_do_not_matter(self, first, last):
        _, hessian = quadratic(torch.linspace(first, last, 9))
        low, high = extreme_eigenvalues(hessian, seeded())
        assert [low.value, high.value] == pytest.approx([first, last], abs=1e-8)

    def test_those_of_a_network_are_those_of_the_dense_matrix(self, perceptron):
        expected = torch.linalg.eigvalsh(reference(*perceptron))[[0, -1]].tolist()
        found = extreme_eigenvalues(Hessian(*perceptron), seeded())
        assert [each.value for each in found] == pytest.approx(expected, abs=1e-9)

    def test_small_one_is_found_beside_a_large_one(self):
        spectrum = torch.cat([torch.linspace(0, 1e-3, 197), torch.tensor([-0.05, 3.0, 100.0])])
        _, hessian = quadratic(spectrum)
        low, _ = extreme_eigenvalues(hessian, seeded(), tolerance=1e-6)
        assert low.value == pytest.approx(-0.05, rel=1e-3)

    def test_residuals_bound_the_errors(self):
        spectrum = torch.linspace(-1, 1, 300, dtype=torch.float64)
        _, hessian = quadratic(spectrum)
        found = extreme_eigenvalues(hessian, seeded(), tolerance=1e-2, subspace=10)
        for each in found:
            assert 0 < (spectrum - each.value).abs().min() <= each.residual < 2e-2

    def test_products_are_counted(self, monkeypatch):
        _, hessian = quadratic(torch.linspace(-1, 1, 50))
        calls, multiply = [], Hessian.__matmul__
        monkeypatch.setattr(
            Hessian, "__matmul__", lambda self, v: calls.append(1) or multiply(self, v)
        )
        found = extreme_eigenvalues(hessian, seeded())
        assert sum(each.products for each in found) == len(calls)

    def test_equal_seeds_give_equal_results(self):
        _, hessian = quadratic(torch.linspace(-1, 1, 50))
        assert extreme_eigenvalues(hessian, seeded()) == extreme_eigenvalues(hessian, seeded())

    def test_multiple_of_the_identity_has_one_eigenvalue(self):
        _, hessian = quadratic([2.0, 2.0, 2.0])
        low, high = extreme_eigenvalues(hessian, seeded())
        assert [low.value, high.value] == pytest.approx([2, 2], abs=1e-9)

    def test_iteration_that_does_not_converge_is_an_error(self):
        _, hessian = quadratic(torch.linspace(-1, 1, 300))
        with pytest.raises(ConvergenceError, match=r"has not converged after \d+ products; allow"):
            extreme_eigenvalues(hessian, seeded(), tolerance=1e-9, subspace=4, max_restarts=2)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"tolerance": 0.0}, "`tolerance` must be positive, got 0.0"),
            ({"subspace": 1}, "`subspace` must be at least 2, got 1"),
            ({"max_restarts": 0}, "`max_restarts` must be positive, got 0"),
        ],
        ids=["tolerance", "subspace", "restarts"],
    )
    def test_options_out_of_range_are_refused(self, options, message):
        _, hessian = quadratic([1.0, 2.0])
        with pytest.raises(ValueError, match=message):
            extreme_eigenvalues(hessian, seeded(), **options)

    def test_single_weight_is_refused(self):
        _, hessian = quadratic([1.0])
        with pytest.raises(ValueError, match="`hessian` must be of at least 2 weights, got 1"):
            extreme_eigenvalues(hessian, seeded())


class TestTrace:
    def test_it_is_the_sum_of_the_spectrum(self):
        spectrum = torch.linspace(-1, 2, 40)
        _, hessian = quadratic(spectrum)
        trace, error = hessian_trace(hessian, seeded(), num_samples=400)
        assert abs(trace - spectrum.sum().item()) < 3 * error < 1.5

    def test_error_falls_with_the_root_of_the_samples(self):
        _, hessian = quadratic(torch.linspace(-1, 2, 40))
        errors = [hessian_trace(hessian, seeded(), num)[1] for num in (100, 400)]
        assert errors[0] / errors[1] == pytest.approx(2, rel=0.2)

    def test_trace_of_a_diagonal_is_exact(self):
        layer = nn.Linear(5, 1, bias=False)
        hessian = Hessian(layer, lambda model: model.weight.pow(4).sum())
        expected = 12 * layer.weight.double().square().sum().item()
        trace, error = hessian_trace(hessian, seeded(), 2)
        assert trace == pytest.approx(expected, rel=1e-12)
        assert math.isclose(error, 0, abs_tol=1e-12)

    def test_one_sample_is_refused(self):
        _, hessian = quadratic([1.0, 2.0])
        with pytest.raises(ValueError, match="`num_samples` must be at least 2, got 1"):
            hessian_trace(hessian, seeded(), 1)
