"""Layers on Cartesian tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyg_remul.models._tensor_representation import TensorRepresentation

__all__ = ["BilinearLayer", "GatedNonlinearity", "LeakyGate", "reset_affine"]


def reset_affine(weight: Tensor, bias: Tensor) -> None:
    r"""Draws an orthogonal matrix [n, m], and biases uniform on :math:`[0, 1 / \sqrt n)`."""
    nn.init.orthogonal_(weight)
    nn.init.uniform_(bias, 0, bias.numel() ** -0.5)


class BilinearLayer(nn.Module):
    r"""Equivariant map that is quadratic in its input, without bias.

    .. math::
        y_a = \sum_b W_{ab}(x) \, x_b, \qquad W_{ab}(x) = \sum_k c_{abk} \, x^{(k)}

    for every two tensors :math:`a, b` of the input, where :math:`x^{(k)}` runs over
    :math:`K_r = \min(n_r, 3^r)` of the :math:`n_r` tensors of rank r, the sum of both ranks, read
    as matrices from b to a. Which these are is drawn with the coefficients :math:`c \sim N(0, 1)`,
    with replacement, and is part of the state. Pairs whose r does not occur or is 0 have no term.

    Args:
        representation: The tensors of input and output, one term a rank, scalars first.
    """

    def __init__(self, representation: TensorRepresentation) -> None:
        super().__init__()
        self.representation = representation
        self.counts = {term.rank: term.multiplicity for term in representation.terms}
        self.drawn = {rank: min(n, 3**rank) for rank, n in self.counts.items() if rank > 0}
        for rank, number in self.drawn.items():
            self.register_buffer(f"drawn_{rank}", torch.empty(number, dtype=torch.long))
        self.contracting = {
            a: partners
            for a in self.counts
            if (partners := [b for b in self.counts if a <= b and a + b in self.drawn])
        }
        self.expanding = {
            b: partners
            for b in self.counts
            if (partners := [a for a in self.counts if a > b and a + b in self.drawn])
        }
        self.contractions = nn.ParameterList(
            torch.empty(self.counts[a], sum(self.drawn[a + b] * self.counts[b] for b in partners))
            for a, partners in self.contracting.items()
        )
        self.expansions = nn.ParameterList(
            torch.empty(sum(self.counts[a] * self.drawn[a + b] for a in partners), self.counts[b])
            for b, partners in self.expanding.items()
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the tensors to multiply with, and normal coefficients."""
        for rank in self.drawn:
            self.get_buffer(f"drawn_{rank}").random_(self.counts[rank])
        for coefficients in self.parameters():
            nn.init.normal_(coefficients)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, size] to [B, size]."""
        tensors = dict(zip(self.counts, self.representation.split(x), strict=True))
        factors = {
            rank: tensors[rank].index_select(1, self.get_buffer(f"drawn_{rank}"))
            for rank in self.drawn
        }
        terms: dict[int, list[Tensor]] = {rank: [] for rank in self.counts}
        for (a, partners), weight in zip(self.contracting.items(), self.contractions, strict=True):
            products = [_contract(factors[a + b], tensors[b], a) for b in partners]
            terms[a].append((torch.cat(products, dim=2) @ weight.T).mT)
        for (b, partners), weight in zip(self.expanding.items(), self.expansions, strict=True):
            sizes = [self.counts[a] * self.drawn[a + b] for a in partners]
            mixed = (weight @ tensors[b]).split(sizes, dim=1)
            for a, part in zip(partners, mixed, strict=True):
                terms[a].append(_expand(factors[a + b], part))
        return torch.cat([sum(parts[1:], parts[0]).flatten(1) for parts in terms.values()], dim=1)


def _contract(factors: Tensor, x: Tensor, rank: int) -> Tensor:
    """Multiplies every factor [B, K, 3^(a + b)] with every [B, m, 3^b], to [B, 3^a, K m]."""
    matrices = factors.unflatten(2, (3**rank, x.size(2))).transpose(1, 2)
    products = matrices.flatten(1, 2) @ x.mT
    return products.unflatten(1, (3**rank, -1)).flatten(2)


def _expand(factors: Tensor, x: Tensor) -> Tensor:
    """Multiplies each of the factors [B, K, 3^(a + b)] with its [B, n K, 3^b], to [B, n, 3^a]."""
    matrices = factors.unflatten(2, (-1, x.size(2))).mT
    return x.unflatten(1, (-1, factors.size(1))).flatten(2) @ matrices.flatten(1, 2)


class GatedNonlinearity(nn.Module):
    r"""Nonlinearity of `Finzi et al. (2021) <https://arxiv.org/abs/2104.09459>`_.

    .. math::
        y_0 = x_0 \, \sigma(x_0), \qquad y_r = \sigma(g) \, x_r

    for every scalar :math:`x_0` and every other tensor :math:`x_r` with its gate :math:`g`.

    Args:
        representation: The tensors of the output; the input has their gates behind its scalars.
    """

    def __init__(self, representation: TensorRepresentation) -> None:
        super().__init__()
        self.representation = representation

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, size + gates] to [B, size]."""
        tensors, gates = self._separate(x)
        parts = [torch.sigmoid(g) * t for t, g in zip(tensors, gates, strict=True)]
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def _separate(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Returns the tensors [B, count, 3^rank] of each rank, and their gates [B, count, 1]."""
        scalars, *others = self.representation.gated().split(x)
        gates = scalars.split([term.multiplicity for term in self.representation.terms], dim=1)
        return [gates[0], *others], list(gates)


class LeakyGate(GatedNonlinearity):
    r"""Nonlinearity of `Finzi et al. (2021) <https://arxiv.org/abs/2112.01388>`_.

    .. math::
        y = \operatorname{gate}(x) + w_g \, x \, \sigma(x)

    where the second part acts on each component, gates left out, with a weight of its own, and is
    not equivariant.

    Args:
        representation: The tensors of the output; the input has their gates behind its scalars.

    Attributes:
        weight: The weights :math:`w_g`, shape [size], initially 1e-3.
    """

    def __init__(self, representation: TensorRepresentation) -> None:
        super().__init__(representation)
        self.weight = nn.Parameter(torch.empty(representation.size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weights to 1e-3."""
        nn.init.constant_(self.weight, 1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, size + gates] to [B, size]."""
        tensors, _ = self._separate(x)
        components = torch.cat([part.flatten(1) for part in tensors], dim=1)
        return super().forward(x) + self.weight * functional.silu(components)
