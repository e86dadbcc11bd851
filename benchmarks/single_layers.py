"""Single GNN and EGNN layers on a random graph, in every formulation with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyg_remul.benchmarks.harness import Passes
from pyg_remul.benchmarks.usual_layers import (
    REDUCTIONS,
    UsualEGNNLayer,
    UsualGNNLayer,
    usual_name,
)
from pyg_remul.models.egnn import EGNNLayer
from pyg_remul.models.gnn import GNNLayer
from pyg_remul.ops import Topology

__all__ = ["EDGE_DIM", "OURS", "RandomGraph", "egnn_layers", "gnn_layers", "layer_cases"]

OURS, OURS_UNSORTED = "pyg_remul", "pyg_remul, edges sorted each time"
EDGE_DIM = 4


@dataclass(frozen=True)
class RandomGraph:
    """What layers read: edges drawn uniformly, with Gaussian nodes.

    Attributes:
        edges: Shape [2, E].
        edge_attr: Shape [E, D].
        h: Channels, shape [N, F].
        pos: Positions in single precision, shape [N, 3].
        vel: Velocities in single precision, shape [N, 3].
    """

    edges: Tensor
    edge_attr: Tensor
    h: Tensor
    pos: Tensor
    vel: Tensor

    @classmethod
    def draw(
        cls, num_nodes: int, num_edges: int, channels: int, dtype: torch.dtype, device: str
    ) -> RandomGraph:
        """A graph on a device; `dtype` is that of channels and edge attributes."""
        return cls(
            torch.randint(num_nodes, (2, num_edges), device=device),
            torch.rand(num_edges, EDGE_DIM, device=device).to(dtype),
            torch.randn(num_nodes, channels, device=device).to(dtype),
            *torch.randn(2, num_nodes, 3, device=device),
        )


class LayerLoss(nn.Module):
    """The mean square of what a layer gives; its inputs have gradients, as between other layers.

    Args:
        layer: The layer.
        nodes: What the nodes have, which comes first among the layer's arguments.
        rest: Its other arguments.
    """

    def __init__(self, layer: nn.Module, nodes: list[Tensor], *rest: Tensor | Topology) -> None:
        super().__init__()
        self.layer = layer
        self.rest = rest
        self.nodes = nn.ParameterList(nn.Parameter(x.clone()) for x in nodes)

    def forward(self) -> Tensor:
        """Returns the mean squares of the channels, and of positions, together."""
        out = self.layer(*self.nodes, *self.rest)
        outputs = out if isinstance(out, tuple) else (out,)
        return torch.stack([x.float().square().mean() for x in outputs]).sum()


def gnn_layers(graph: RandomGraph) -> dict[str, LayerLoss]:
    """The GNN layer in every formulation."""
    channels = graph.h.size(1)
    ours = GNNLayer(channels, EDGE_DIM).to(graph.h.device)
    nodes, rest = [graph.h], (graph.edges, graph.edge_attr)
    layers = {
        OURS: LayerLoss(ours, nodes, Topology(graph.edges, graph.h.size(0)), graph.edge_attr),
    }
    if graph.edges.is_cuda:  # elsewhere nothing is sorted
        layers[OURS_UNSORTED] = LayerLoss(ours, nodes, *rest)
    for name, reduce in REDUCTIONS.items():
        usual = UsualGNNLayer(channels, EDGE_DIM, reduce).to(graph.h.device)
        usual.load_state_dict(ours.state_dict())
        layers[usual_name(name)] = LayerLoss(usual, nodes, *rest)
    return layers


def egnn_layers(graph: RandomGraph) -> dict[str, LayerLoss]:
    """The EGNN layer, with a position and a velocity, in every formulation."""
    channels = graph.h.size(1)
    ours = EGNNLayer(channels, EDGE_DIM, num_vectors=1).to(graph.h.device)
    nodes, vectors = [graph.h, graph.pos.unsqueeze(1)], graph.vel.unsqueeze(1)
    topology = Topology(graph.edges, graph.h.size(0))
    layers = {OURS: LayerLoss(ours, nodes, topology, graph.edge_attr, vectors)}
    if graph.edges.is_cuda:
        layers[OURS_UNSORTED] = LayerLoss(ours, nodes, graph.edges, graph.edge_attr, vectors)
    for name, reduce in REDUCTIONS.items():
        usual = UsualEGNNLayer(channels, EDGE_DIM, reduce=reduce).to(graph.h.device)
        usual.load_state_dict(ours.state_dict())
        rest = (graph.edges, graph.edge_attr, graph.vel)
        layers[usual_name(name)] = LayerLoss(usual, [graph.h, graph.pos], *rest)
    return layers


def layer_cases(layers: Mapping[str, LayerLoss], dtype: torch.dtype) -> dict[str, Passes]:
    """The passes of layers, which have been seen to agree.

    Args:
        layers: The same layer in several formulations.
        dtype: Single precision, or a half precision, which is autocast's.
    """
    cases = {name: Passes(layer, _loss(layer, dtype)) for name, layer in layers.items()}
    tolerance = 1e-4 if dtype == torch.float32 else 0.02
    expected = _node_gradients(layers[OURS], cases[OURS])
    for name, case in cases.items():
        for found, known in zip(_node_gradients(layers[name], case), expected, strict=True):
            bound = tolerance * float(known.abs().max())
            torch.testing.assert_close(found.view_as(known), known, rtol=0.0, atol=bound)
    return cases


def _node_gradients(layer: LayerLoss, case: Passes) -> tuple[Tensor, ...]:
    return torch.autograd.grad(case.loss(), list(layer.nodes))


def _loss(layer: LayerLoss, dtype: torch.dtype) -> Callable[[], Tensor]:
    def loss() -> Tensor:
        device = layer.nodes[0].device.type
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            return layer()

    return loss
