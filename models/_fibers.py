"""Features of several degrees side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Features", "Fiber", "FiberLinear", "concatenate", "join_heads", "split_heads"]

Fiber: TypeAlias = Mapping[int, int]
"""Number of channels C of each degree l, in ascending order of degrees."""

Features: TypeAlias = dict[int, Tensor]
"""For each degree l, shape [N, 2l + 1, C], components in the order of e3nn (x, y, z for l = 1)."""


class FiberLinear(nn.Module):
    r"""Equivariant linear map, which mixes the channels of each degree.

    .. math::
        y^l_m = W^l x^l_m, \qquad W^l_{oi} \sim \mathcal N(0, 1 / C^l_{in})

    There is no bias, which only degree 0 could have.

    Args:
        fiber_in: Channels of the inputs.
        fiber_out: Channels of the outputs, of some of the same degrees.

    Example:
        >>> layer = FiberLinear({0: 4, 1: 2}, {1: 5})
        >>> layer({0: torch.ones(3, 1, 4), 1: torch.ones(3, 3, 2)})[1].shape
        torch.Size([3, 3, 5])
    """

    def __init__(self, fiber_in: Fiber, fiber_out: Fiber) -> None:
        super().__init__()
        self.weight = nn.ParameterDict(
            {str(degree): torch.empty(c, fiber_in[degree]) for degree, c in fiber_out.items()}
        )
        self.degrees = tuple(fiber_out)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        for weight in self.weight.values():
            nn.init.normal_(weight, std=weight.size(1) ** -0.5)

    def forward(self, features: Features) -> Features:
        """Returns the mixed features."""
        return {
            degree: nn.functional.linear(features[degree], self.weight[str(degree)])
            for degree in self.degrees
        }


def concatenate(first: Features, second: Features) -> Features:
    """Puts the channels of `second` behind those of `first`, for the degrees of `first`."""
    return {
        degree: torch.cat([x, second[degree]], dim=-1) if degree in second else x
        for degree, x in first.items()
    }


def split_heads(features: Features, heads: int) -> Tensor:
    """Deals the channels of every degree out to heads, shape [N, heads, D]."""
    parts = [x.unflatten(-1, (heads, -1)).transpose(1, 2).flatten(2) for x in features.values()]
    return torch.cat(parts, dim=-1)


def join_heads(x: Tensor, fiber: Fiber) -> Features:
    """Gathers the channels of every degree again; the inverse of :func:`split_heads`."""
    sizes = [(2 * degree + 1) * channels // x.size(1) for degree, channels in fiber.items()]
    parts: Sequence[Tensor] = x.split(sizes, dim=-1)
    return {
        degree: part.unflatten(-1, (2 * degree + 1, -1)).transpose(1, 2).flatten(2)
        for degree, part in zip(fiber, parts, strict=True)
    }
