"""Multilayer perceptrons whose layers hold Cartesian tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_remul.checks import NonFiniteError, check_choice, check_integers
from pyg_remul.models._base import check_graph_sizes
from pyg_remul.models._geometric import GeometricModel
from pyg_remul.models._tensor_layers import BilinearLayer, GatedNonlinearity
from pyg_remul.models._tensor_representation import KINDS, TensorGroup, TensorRepresentation

__all__ = ["MOTION_REPS", "TensorBlock", "TensorPerceptron"]

MOTION_REPS: Mapping[str, str] = MappingProxyType({"pos": "point", "vel": "vector"})


class LinearFactory(Protocol):
    """Makes a layer [B, source] to [B, target]."""

    def __call__(self, source: TensorRepresentation, target: TensorRepresentation) -> nn.Module: ...


class TensorBlock(nn.Module):
    r"""Hidden layer, :math:`y = \operatorname{gate}(z + 0.1 \, W(z) z)` with :math:`z = W x + b`.

    Args:
        linear: The map to :math:`z`, which holds the tensors of :math:`y` and their gates.
        bilinear: The quadratic map of :math:`z`.
        nonlinearity: The gate.
    """

    def __init__(
        self, linear: nn.Module, bilinear: BilinearLayer, nonlinearity: GatedNonlinearity
    ) -> None:
        super().__init__()
        self.linear = linear
        self.bilinear = bilinear
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, source] to [B, target]."""
        z = self.linear(x)
        out: Tensor = self.nonlinearity(z + 0.1 * self.bilinear(z))
        return out


class TensorPerceptron(GeometricModel):
    """Base of the perceptrons on flattened graphs whose layers hold tensors.

    A subclass names the `linear` layers and the `nonlinearity`.

    Args:
        num_nodes: Number of nodes of every graph, which are flattened; None maps each node alone.
        hidden_channels: Width of the hidden layers.
        num_layers: Number of hidden layers.
        inputs: Names of the node attributes to read.
        reps: Their representations, made of scalars, vectors, points and pseudovectors.
        out_rep: Representation of the output.
        group: ``"SO3"`` or ``"O3"``.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive or `hidden_channels` does not suit, an input is not
            declared, a kind is not understood, or `group` is unknown.
    """

    linear: ClassVar[LinearFactory]
    nonlinearity: ClassVar[type[GatedNonlinearity]] = GatedNonlinearity

    def __init__(
        self,
        num_nodes: int | None,
        hidden_channels: int,
        num_layers: int,
        inputs: Sequence[str],
        reps: Mapping[str, str],
        out_rep: str,
        group: TensorGroup,
    ) -> None:
        super().__init__(hidden_channels, num_layers, inputs, reps, out_rep, tuple(KINDS))
        check_choice("group", group, ("SO3", "O3"))
        if num_nodes is not None:
            check_integers(num_nodes=num_nodes)
        self.num_nodes = num_nodes
        self.group = group
        copies = num_nodes or 1
        source = TensorRepresentation.of_kinds(self.layout.counts, copies, group)
        kinds = {*self.layout.counts, *self.out_layout.counts}
        # Under reflections, vectors alone neither take in nor give out pseudovectors.
        rank = 2 if group == "O3" and "pseudovector" in kinds else 1
        hidden = TensorRepresentation.evenly(hidden_channels, group, rank)
        self.target = TensorRepresentation.of_kinds(self.out_layout.counts, copies, group)
        self.blocks = nn.ModuleList()
        for layer in range(num_layers):
            linear = self.linear(hidden if layer else source, hidden.gated())
            self.blocks.append(
                TensorBlock(linear, BilinearLayer(hidden.gated()), self.nonlinearity(hidden))
            )
        self.head = self.linear(hidden, self.target)

    def core(self, x: Tensor) -> Tensor:
        """Returns the last hidden layer.

        Args:
            x: Inputs of n nodes, shape [B, n, in_channels].

        Returns:
            Shape [B, hidden_channels].
        """
        h = torch.cat([objects.flatten(1) for objects in self.layout.split(x).values()], dim=1)
        for block in self.blocks:
            h = block(h)
        return h

    def features(self, data: Data) -> Tensor:
        """Returns what the head sees of every graph, or node, shape [B, hidden_channels].

        Raises:
            ValueError: If the inputs do not fit, or a graph has not `num_nodes` nodes.
        """
        x = self.node_inputs(data)
        if self.num_nodes is None:
            return self.core(x.unsqueeze(1))
        check_graph_sizes(data, self.inputs[0], x.size(0), self.num_nodes)
        return self.core(x.view(-1, self.num_nodes, self.in_channels))

    def forward(self, data: Data) -> Tensor:
        """Returns the outputs of all nodes.

        Args:
            data: A graph, or a batch of graphs of `num_nodes` nodes each.

        Returns:
            Shape [N, out_channels].

        Raises:
            ValueError: As :meth:`features`, or on the CPU if the square of an output is not
                representable.
        """
        out = self.head(self.features(data))
        self._check_representable(data, out)
        parts = self.target.split(out)
        kinds = self.out_layout.counts.items()
        return self.out_layout.join(
            {
                kind: part.reshape(-1, count, part.size(-1))
                for (kind, count), part in zip(kinds, parts, strict=True)
            }
        )

    def _check_representable(self, data: Data, out: Tensor) -> None:
        """Refuses outputs that the quadratic layers have let grow beyond a squared loss.

        On the CPU only, as on a GPU it would wait for the device; there the loss becomes infinite.
        """
        bound = torch.finfo(out.dtype).max ** 0.5
        size = out.detach().abs()
        if out.device.type != "cpu" or (size < bound).all():
            return
        given = self.node_inputs(data).detach().abs()
        diverging = (given < bound).all()  # else the data are at fault
        raise (NonFiniteError if diverging else ValueError)(
            "`inputs` must be of moderate size, so that squares of the outputs do not overflow "
            f"{out.dtype}, got inputs up to {given.max():.3g} and outputs up to {size.max():.3g}; "
            "centre and scale the data."
        )

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, num_nodes={self.num_nodes}, group={self.group!r})"
