"""Convolution kernels whose dependence on the distance is learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyg_remul.models._fibers import Features, Fiber
from pyg_remul.models._kernel_basis import KernelBasis, num_kernels

__all__ = ["RadialNetworks", "SteerableKernels"]


class RadialNetworks(nn.Module):
    r"""Many small networks of the same inputs, evaluated together.

    .. math::
        y = W_3\, \sigma(W_2\, \sigma(W_1 x + b_1) + b_2) + b_3, \qquad
        \sigma(h) = \operatorname{ReLU}(\operatorname{LayerNorm}(h))

    with weights of its own for each network. The weights start Kaiming-uniform, the biases uniform
    in :math:`\pm 1 / \sqrt{\text{fan-in}}`.

    Args:
        in_channels: Number D of inputs.
        outputs: Number of outputs of each network.
        hidden_channels: Width of the hidden layers.

    Example:
        >>> networks = RadialNetworks(2, outputs=[3, 5, 3])
        >>> [tuple(y.shape) for y in networks(torch.ones(7, 2))]
        [(7, 3), (7, 5), (7, 3)]
    """

    filter_axes: ClassVar = {"weights": (0, 2), "biases": (), "gains": (), "shifts": ()}

    def __init__(self, in_channels: int, outputs: Sequence[int], hidden_channels: int = 32) -> None:
        super().__init__()
        num = len(outputs)
        # Networks with equally many outputs stand side by side, so that one product serves them.
        order = sorted(range(num), key=outputs.__getitem__)
        self.places = [order.index(network) for network in range(num)]
        self.groups = dict(sorted(Counter(outputs).items()))
        sizes = [(num, in_channels, hidden_channels), (num, hidden_channels, hidden_channels)]
        sizes += [(count, hidden_channels, size) for size, count in self.groups.items()]
        self.weights = nn.ParameterList(torch.empty(size) for size in sizes)
        self.biases = nn.ParameterList(torch.empty(p, 1, size) for p, _, size in sizes)
        self.gains = nn.ParameterList(torch.empty(num, 1, hidden_channels) for _ in range(2))
        self.shifts = nn.ParameterList(torch.empty(num, 1, hidden_channels) for _ in range(2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        for weight, bias in zip(self.weights, self.biases, strict=True):
            bound = weight.size(1) ** -0.5
            nn.init.uniform_(weight, -bound * 6**0.5, bound * 6**0.5)
            nn.init.uniform_(bias, -bound, bound)
        for gain, shift in zip(self.gains, self.shifts, strict=True):
            nn.init.ones_(gain)
            nn.init.zeros_(shift)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Returns the outputs of each network.

        Args:
            x: Shape [E, D].

        Returns:
            Shape [E, outputs] for each network.
        """
        h = x.expand(len(self.places), -1, -1)
        for layer, (gain, shift) in enumerate(zip(self.gains, self.shifts, strict=True)):
            h = torch.baddbmm(self.biases[layer], h, self.weights[layer])
            h = (functional.layer_norm(h, h.shape[-1:]) * gain).add_(shift).relu_()
        groups = h.split(list(self.groups.values()))
        last = zip(self.biases[2:], groups, self.weights[2:], strict=True)
        outputs = [y for part in last for y in torch.baddbmm(*part).unbind()]
        return [outputs[place] for place in self.places]


class SteerableKernels(nn.Module):
    r"""Equivariant maps from the source of every edge to several fibers.

    .. math::
        y^l_o = \sum_k \sum_{J = |l - k|}^{l + k} \sum_i \varphi^{lk}_{oJi}(s)\, K^{lk}_J(\hat r)\,
        x^k_i

    after `Thomas et al. (2018) <https://arxiv.org/abs/1802.08219>`_, where :math:`x^k_i` is channel
    i of degree k at the source, :math:`s` the invariants of the edge, :math:`K` its
    :class:`~pyg_remul.models._kernel_basis.EquivariantKernels`, and :math:`\varphi` a network for
    each pair of degrees and each fiber.

    The features meet the radial weights first and the basis last, in one product each for all pairs
    and fibers of a degree, so that no kernel [E, (2l + 1) C, (2k + 1) C] is ever built.

    Args:
        fiber_in: Channels of the sources.
        fibers_out: Channels of each result.
        edge_channels: Number D of invariants of an edge.
    """

    def __init__(self, fiber_in: Fiber, fibers_out: Sequence[Fiber], edge_channels: int) -> None:
        super().__init__()
        self.fiber_in = dict(fiber_in)
        self.fibers_out = [dict(fiber) for fiber in fibers_out]
        self.degrees_out = sorted(set().union(*fibers_out))
        # One after the other, since the arrays of all degrees at once would leave the cache.
        self.radial = nn.ModuleList(
            RadialNetworks(edge_channels, self._outputs(k, channels))
            for k, channels in fiber_in.items()
        )

    def _outputs(self, degree_in: int, channels: int) -> list[int]:
        return [
            fiber[degree] * num_kernels(degree, degree_in) * channels
            for degree in self.degrees_out
            for fiber in self.fibers_out
            if degree in fiber
        ]

    def forward(self, features: Features, invariants: Tensor, basis: KernelBasis) -> list[Features]:
        """Returns the results at every edge.

        Args:
            features: Channels of the source of every edge.
            invariants: Shape [E, D].
            basis: Kernels of every edge.

        Returns:
            One set of features per fiber.
        """
        mixed = self._mix_channels(features, invariants)
        parts: dict[int, Sequence[Tensor]] = {}
        for degree in self.degrees_out:
            kernels = basis.between(tuple(self.fiber_in), degree)
            channels = torch.bmm(torch.cat(mixed[degree], dim=-1), kernels.mT).mT
            sizes = [fiber.get(degree, 0) for fiber in self.fibers_out]
            parts[degree] = channels.split(sizes, dim=-1)
        return [
            {degree: parts[degree][number] for degree in fiber}
            for number, fiber in enumerate(self.fibers_out)
        ]

    def _mix_channels(self, features: Features, invariants: Tensor) -> dict[int, list[Tensor]]:
        """For each degree out and each one in, shape [E, C of all fibers, kernels * (2k + 1)]."""
        mixed: dict[int, list[Tensor]] = {degree: [] for degree in self.degrees_out}
        for (k, channels), radial in zip(self.fiber_in.items(), self.radial, strict=True):
            weights = [w.unflatten(-1, (-1, channels)) for w in radial(invariants)]
            products = torch.bmm(torch.cat(weights, dim=1), features[k].mT)
            sizes = [self._width(degree) * num_kernels(degree, k) for degree in self.degrees_out]
            for degree, part in zip(self.degrees_out, products.split(sizes, dim=1), strict=True):
                mixed[degree].append(part.unflatten(1, (self._width(degree), -1)).flatten(2))
        return mixed

    def _width(self, degree: int) -> int:
        return sum(fiber.get(degree, 0) for fiber in self.fibers_out)
