"""Radial networks and the convolution kernels that they weight."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import layer_norm

from pyg_remul import SO3
from pyg_remul.irreps import wigner_matrices
from pyg_remul.lengths import direction_and_length
from pyg_remul.models._kernel_basis import EquivariantKernels, num_kernels
from pyg_remul.models._radial_kernels import RadialNetworks, SteerableKernels

FIBER_IN = {0: 3, 1: 2, 2: 1}
FIBERS_OUT = ({0: 2, 1: 1, 2: 3}, {1: 2, 2: 1})


@pytest.fixture
def kernels():
    return SteerableKernels(FIBER_IN, FIBERS_OUT, 2).double()


@pytest.fixture
def sources():
    return {k: torch.randn(6, 2 * k + 1, c).double() for k, c in FIBER_IN.items()}


@pytest.fixture
def invariants():
    return torch.rand(6, 2).double()


@pytest.fixture
def direction():
    return direction_and_length(torch.randn(6, 3).double())[0]


def perturb(networks):
    """Moves the weights of the norms away from one and zero."""
    for parameter in (*networks.gains, *networks.shifts):
        parameter.data.add_(torch.randn_like(parameter))
    return networks


def evaluate_alone(networks, number, x):
    """The outputs of one network, by the formula."""
    place = networks.places[number]
    for layer in range(2):
        x = x @ networks.weights[layer][place] + networks.biases[layer][place, 0]
        x = layer_norm(x, x.shape[-1:], networks.gains[layer][place, 0])
        x = (x + networks.shifts[layer][place, 0]).relu()
    weights = [weight for group in networks.weights[2:] for weight in group]
    biases = [bias for group in networks.biases[2:] for bias in group]
    return x @ weights[place] + biases[place][0]


def test_networks_follow_the_formula_one_by_one():
    networks = perturb(RadialNetworks(2, [3, 5, 3, 1])).double()
    x = torch.rand(4, 2).double()
    for number, out in enumerate(networks(x)):
        expected = evaluate_alone(networks, number, x)
        torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)


def test_outputs_come_in_the_order_asked_for():
    sizes = [3, 5, 3, 1]
    assert [out.size(1) for out in RadialNetworks(2, sizes)(torch.rand(4, 2))] == sizes


@pytest.mark.parametrize("outputs", [1, 48])
def test_network_of_two_invariants_has_1280_parameters_and_33_per_output(outputs):
    count = sum(parameter.numel() for parameter in RadialNetworks(2, [outputs]).parameters())
    assert count == 1280 + 33 * outputs


def test_weights_start_kaiming_uniform():
    networks = RadialNetworks(2, [100] * 10)
    for weight, fan_in in zip(networks.weights, (2, 32, 32), strict=True):
        bound = (6 / fan_in) ** 0.5
        assert 0.98 * bound < float(weight.detach().abs().max()) <= bound


def test_biases_start_uniform():
    networks = RadialNetworks(2, [100] * 10)
    for bias, fan_in in zip(networks.biases, (2, 32, 32), strict=True):
        assert 0.95 * fan_in**-0.5 < float(bias.detach().abs().max()) <= fan_in**-0.5


def sum_over_pairs(kernels, sources, invariants, direction):
    """The convolution, pair of degrees by pair and kernel by kernel."""
    basis = EquivariantKernels(3).double()(direction)
    results = [{}, {}]
    for (k, channels), radial in zip(FIBER_IN.items(), kernels.radial, strict=True):
        weights = iter(radial(invariants))
        for degree in range(3):
            basis_of_pair = basis.between([k], degree).unflatten(-1, (-1, 2 * k + 1))
            for result, fiber in zip(results, FIBERS_OUT, strict=True):
                if degree in fiber:
                    weight = next(weights).unflatten(-1, (fiber[degree], -1, channels))
                    assert weight.size(2) == num_kernels(degree, k)
                    result[degree] = result.get(degree, 0) + torch.einsum(
                        "eoji,eajb,ebi->eao", weight, basis_of_pair, sources[k]
                    )
    return results


def test_map_is_the_sum_over_pairs_of_degrees(kernels, sources, invariants, direction):
    actual = kernels(sources, invariants, EquivariantKernels(3).double()(direction))
    expected = sum_over_pairs(kernels, sources, invariants, direction)
    for result, wanted in zip(actual, expected, strict=True):
        assert list(result) == list(wanted)
        for degree, value in wanted.items():
            torch.testing.assert_close(result[degree], value, rtol=1e-12, atol=1e-12)


def test_map_commutes_with_rotations(kernels, sources, invariants, direction):
    rotation = SO3().sample(1, dtype=torch.float64).matrix
    matrices, basis = wigner_matrices(rotation, 2), EquivariantKernels(3).double()
    turned = {k: matrices[k] @ x for k, x in sources.items()}
    actual = kernels(turned, invariants, basis(direction @ rotation[0].T))
    for result, plain in zip(actual, kernels(sources, invariants, basis(direction)), strict=True):
        for degree, x in plain.items():
            torch.testing.assert_close(result[degree], matrices[degree] @ x, rtol=0, atol=1e-12)
