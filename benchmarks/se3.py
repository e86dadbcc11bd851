"""The SE(3)-Transformer against an evaluation of its convolutions pair by pair of degrees."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from e3nn import o3
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear
from torch_geometric.data import Batch, Data

from pyg_remul.benchmarks.harness import Passes, Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.models import SE3Transformer
from pyg_remul.models._fibers import Features
from pyg_remul.models._radial_kernels import RadialNetworks, SteerableKernels

SIZES = ((64, 4), (8, 20))
Apply = Callable[[Tensor, Tensor, Tensor], Tensor]


class Harmonics(nn.Module):
    """The spherical harmonics of every edge, by degree."""

    def forward(self, direction: Tensor) -> list[Tensor]:
        """Returns shape [E, 2J + 1] for each J."""
        degrees = list(range(7))
        harmonics = o3.spherical_harmonics(
            degrees, direction, normalize=False, normalization="integral"
        )
        return list(harmonics.split([2 * degree + 1 for degree in degrees], dim=-1))


def build_kernel(weights: Tensor, kernel: Tensor, x: Tensor) -> Tensor:
    """Builds the kernel of all channels, and applies it."""
    kernels = torch.einsum("eoi,eab->eoaib", weights, kernel)
    return torch.einsum("eoaib,ebi->eao", kernels, x)


def contract(weights: Tensor, kernel: Tensor, x: Tensor) -> Tensor:
    """Contracts in the order that takes the fewest operations, by ``opt_einsum``."""
    return torch.einsum("eoi,eab,ebi->eao", weights, kernel, x)


class PairByPair(nn.Module):
    """The same map with the same weights, one pair of degrees after the other."""

    def __init__(self, kernels: SteerableKernels, apply: Apply) -> None:
        super().__init__()
        self.fiber_in, self.fibers_out = kernels.fiber_in, kernels.fibers_out
        self.radial, self.apply_kernel = kernels.radial, apply

    def forward(
        self, features: Features, invariants: Tensor, harmonics: list[Tensor]
    ) -> list[Features]:
        """Returns the results at every edge, as ``SteerableKernels`` does."""
        results: list[Features] = [{} for _ in self.fibers_out]
        for (k, channels), radial in zip(self.fiber_in.items(), self.radial, strict=True):
            owners = [
                (degree, number)
                for degree in range(4)
                for number, fiber in enumerate(self.fibers_out)
                if degree in fiber
            ]
            for network, (degree, number) in enumerate(owners):
                weights = network_alone(cast(RadialNetworks, radial), network, invariants)
                weights = weights.unflatten(-1, (self.fibers_out[number][degree], -1, channels))
                for place, j in enumerate(range(abs(degree - k), degree + k + 1)):
                    symbol = o3.wigner_3j(degree, j, k).to(weights)
                    kernel = torch.einsum("ajb,ej->eab", symbol, harmonics[j])
                    message = self.apply_kernel(weights[:, :, place], kernel, features[k])
                    total = results[number].get(degree)
                    results[number][degree] = message if total is None else total + message
        return results


def network_alone(radial: RadialNetworks, network: int, x: Tensor) -> Tensor:
    """The outputs of one network."""
    place = radial.places[network]
    for layer in range(2):
        x = linear(x, radial.weights[layer][place].mT, radial.biases[layer][place, 0])
        gain, shift = radial.gains[layer][place, 0], radial.shifts[layer][place, 0]
        x = layer_norm(x, x.shape[-1:], gain, shift).relu()
    weights = [weight.mT for group in radial.weights[2:] for weight in group]
    biases = [bias[0] for group in radial.biases[2:] for bias in group]
    return linear(x, weights[place], biases[place])


def pair_by_pair(model: SE3Transformer, apply: Apply) -> SE3Transformer:
    """The same network, evaluated pair by pair."""
    plain = copy.deepcopy(model)
    plain.add_module("kernels", Harmonics())
    for layer in [*plain.layers, plain.last]:
        layer.kernels = PairByPair(layer.kernels, apply)
    return plain


def make_graph(num_nodes: int) -> Data:
    """A fully connected graph."""
    return Data(
        mass=torch.rand(num_nodes, 1),
        pos=torch.randn(num_nodes, 3),
        vel=torch.randn(num_nodes, 3),
        edge_index=(1 - torch.eye(num_nodes)).nonzero().T.contiguous(),
    )


def make_case(network: nn.Module, batch: Batch) -> Passes:
    """The passes of a network."""
    return Passes(network, lambda: network(batch).square().mean())


def main(settings: Settings) -> None:
    """Times all ways on small and on larger graphs."""
    report = Report("se3", settings)
    model = SE3Transformer().to(settings.device)
    networks: dict[str, nn.Module] = {
        "SE3Transformer": model,
        "pair by pair, kernels built": pair_by_pair(model, build_kernel),
        "pair by pair, best order of contraction": pair_by_pair(model, contract),
    }
    for num_graphs, num_nodes in SIZES:
        batch = Batch.from_data_list([make_graph(num_nodes) for _ in range(num_graphs)])
        batch = batch.to(settings.device)
        for network in networks.values():
            torch.testing.assert_close(network(batch), model(batch), rtol=1e-4, atol=1e-4)
        cases = {name: make_case(network, batch) for name, network in networks.items()}
        title = f"graphs of {num_nodes} nodes"
        report.compare(title, cases, "SE3Transformer", sizes=batch_sizes(batch))
