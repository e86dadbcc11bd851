"""Layers of the SE(3)-Transformer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from pyg_remul.models._fibers import (
    Features,
    Fiber,
    FiberLinear,
    concatenate,
    join_heads,
    split_heads,
)
from pyg_remul.models._kernel_basis import KernelBasis
from pyg_remul.models._radial_kernels import SteerableKernels
from pyg_remul.ops import Topology, segment_gather, segment_softmax, segment_sum

__all__ = ["AttentiveMixing", "Edges", "NormNonlinearity", "SE3AttentionLayer"]


class Edges(NamedTuple):
    """What the layers read of the edges.

    Attributes:
        topology: Node j where every edge begins, and node i where it ends.
        difference: :math:`x_i - x_j`, shape [E, 3].
        invariants: Shape [E, D].
        basis: The kernels of the directions.
    """

    topology: Topology
    difference: Tensor
    invariants: Tensor
    basis: KernelBasis


class SE3AttentionLayer(nn.Module):
    r"""Attention layer of `Fuchs et al. (2020) <https://arxiv.org/abs/2006.10503>`_.

    .. math::
        q_i = W_q h_i, \qquad (k_{ij}, v_{ij}) = W(s_{ij}, \hat r_{ij})\, h_j, \qquad
        \alpha_{ij} = \operatorname{softmax}_{j \to i} \frac{\langle q_i, k_{ij} \rangle}{\sqrt D},
        \qquad
        h_i' = \operatorname{mix}\Bigl(\sum_{j \to i} \alpha_{ij} v_{ij} \,\Vert\, h_i\Bigr)

    where :math:`h_i` holds the features of node i, W are
    :class:`~pyg_remul.models._radial_kernels.SteerableKernels`, the inner product runs over
    degrees, channels and components, of which the keys have D together in all heads, and ``mix``
    maps the channels of each degree to those of the output. Keys have the degrees of the input
    only. Where the input has several channels of degree 1, :math:`x_i - x_j` is added to the first
    of those of :math:`h_j`. A node without incoming edges attends to nothing, which counts as zero.

    Args:
        fiber_in: Channels of the input.
        fiber_out: Channels of the output.
        edge_channels: Number of invariants of an edge.
        div: Divides the channels of the output to give those of keys and values.
        heads: Number of attention heads.
        attentive: Mix by :class:`AttentiveMixing` instead of linearly.
    """

    def __init__(
        self,
        fiber_in: Fiber,
        fiber_out: Fiber,
        edge_channels: int,
        *,
        div: int = 1,
        heads: int = 1,
        attentive: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.values = {degree: channels // div for degree, channels in fiber_out.items()}
        keys = {degree: c for degree, c in self.values.items() if degree in fiber_in}
        self.scale = sum((2 * degree + 1) * c for degree, c in keys.items()) ** -0.5
        self.add_difference = fiber_in.get(1, 0) > 1
        self.query = FiberLinear(fiber_in, keys)
        self.kernels = SteerableKernels(fiber_in, (self.values, keys), edge_channels)
        joined = {degree: c + fiber_in.get(degree, 0) for degree, c in self.values.items()}
        self.mix = (AttentiveMixing if attentive else FiberLinear)(joined, fiber_out)

    def forward(self, features: Features, edges: Edges) -> Features:
        """Returns the updated features of the nodes."""
        by_source = edges.topology.by_source
        sources = {degree: segment_gather(x, by_source) for degree, x in features.items()}
        if self.add_difference:
            first, rest = sources[1][..., :1], sources[1][..., 1:]
            sources[1] = torch.cat([first + edges.difference.unsqueeze(-1), rest], dim=-1)
        values, keys = self.kernels(sources, edges.invariants, edges.basis)
        out: Features = self.mix(concatenate(self._attend(features, keys, values, edges), features))
        return out

    def _attend(
        self, features: Features, keys: Features, values: Features, edges: Edges
    ) -> Features:
        query = split_heads(self.query(features), self.heads)
        key, value = split_heads(keys, self.heads), split_heads(values, self.heads)
        by_target = edges.topology.by_target
        scores = self.scale * (segment_gather(query, by_target) * key).sum(dim=-1)
        weights = segment_softmax(scores, by_target)
        attended = segment_sum(weights.unsqueeze(-1) * value, by_target)
        return join_heads(attended, self.values)


class NormNonlinearity(nn.Module):
    r"""Nonlinearity on the length of every channel.

    .. math::
        v \mapsto \operatorname{ReLU}(\lVert v \rVert + b)\, \frac{v}{\lVert v \rVert}

    with a bias b per channel, initially normal. For degree 0 the fraction is the sign. A channel
    counts as zero, and stays so with gradient zero, if it is shorter than the longest channel of
    its node, of any degree, by the factor :math:`\epsilon^{3/4}`, with :math:`\epsilon` the
    rounding of the type: 2e-12 in double and 6e-6 in single precision. Where vectors cancel, as
    about the centre of a cube, rounding is all that is left, and b would blow up its direction.

    Args:
        fiber: Channels of the features.
    """

    def __init__(self, fiber: Fiber) -> None:
        super().__init__()
        self.bias = nn.ParameterDict({str(d): torch.empty(c) for d, c in fiber.items()})
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all biases anew, from torch's global generator."""
        for bias in self.bias.values():
            nn.init.normal_(bias)

    def forward(self, features: Features) -> Features:
        """Returns the scaled features."""
        squares = {degree: x.square().sum(dim=1, keepdim=True) for degree, x in features.items()}
        longest = torch.cat(list(squares.values()), dim=-1).amax(dim=-1, keepdim=True)
        # In half precision rounding is too near to the features themselves to tell it apart.
        floor = longest * min(torch.finfo(longest.dtype).eps ** 1.5, 1e-10)
        return {
            degree: x * self._factor(squares[degree], floor, self.bias[str(degree)])
            for degree, x in features.items()
        }

    @staticmethod
    def _factor(squared: Tensor, floor: Tensor, bias: Tensor) -> Tensor:
        positive = squared > floor
        norm = squared.where(positive, 1).sqrt()
        return ((norm + bias).relu() / norm).where(positive, 0)


class AttentiveMixing(nn.Module):
    r"""Mixes the channels of each degree by weights that depend on their inner products.

    .. math::
        y_o = \sum_i \operatorname{softmax}_i\bigl(W\, \sigma(\operatorname{LayerNorm}(G)) + b
        \bigr)_{oi}\, x_i, \qquad G_{ij} = \langle x_i, x_j \rangle

    with :math:`\sigma` a LeakyReLU of slope 0.01, after the released code of
    `Fuchs et al. (2020) <https://arxiv.org/abs/2006.10503>`_.

    Args:
        fiber_in: Channels of the inputs.
        fiber_out: Channels of the outputs, of the same degrees.
    """

    def __init__(self, fiber_in: Fiber, fiber_out: Fiber) -> None:
        super().__init__()
        self.logits = nn.ModuleDict(
            {
                str(degree): nn.Sequential(
                    nn.LayerNorm(fiber_in[degree] ** 2),
                    nn.LeakyReLU(),
                    _KaimingLinear(fiber_in[degree] ** 2, channels * fiber_in[degree]),
                )
                for degree, channels in fiber_out.items()
            }
        )

    def forward(self, features: Features) -> Features:
        """Returns the mixed features."""
        return {degree: self._mix(x, self.logits[str(degree)]) for degree, x in features.items()}

    @staticmethod
    def _mix(x: Tensor, logits: nn.Module) -> Tensor:
        gram = torch.bmm(x.mT, x).flatten(1)
        weights = logits(gram).unflatten(-1, (-1, x.size(-1))).softmax(dim=-1)
        return torch.bmm(x, weights.mT)


class _KaimingLinear(nn.Linear):
    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.kaiming_uniform_(self.weight)
