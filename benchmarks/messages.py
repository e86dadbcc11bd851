"""Message passing of GNN and EGNN against the field's usual formulation with the same weights.

First whole models on a batch of small fully connected graphs; then single layers on a large random
graph with 16 edges a node, beside what the machine could do at best, see
:mod:`pyg_remul.benchmarks.roofline`. On a CPU that graph is small.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch_geometric.data import Batch, Data

from pyg_remul.benchmarks.harness import Passes, Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.benchmarks.roofline import Work, measure_ceilings, work_of_egnn, work_of_gnn
from pyg_remul.benchmarks.usual_layers import (
    REDUCTIONS,
    UsualEGNN,
    UsualEGNNLayer,
    UsualGNN,
    UsualGNNLayer,
)
from pyg_remul.models import EGNN, GNN
from pyg_remul.models.egnn import EGNNLayer
from pyg_remul.models.gnn import GNNLayer

OURS = "pyg_remul"
USUAL: dict[type[nn.Module], Callable[..., nn.Module]] = {GNN: UsualGNN, EGNN: UsualEGNN}
NUM_GRAPHS, NUM_NODES, NUM_LAYERS, EDGE_DIM = 200, 13, 4, 4
WIDTHS = (64, 32, 128)
CHANNELS, DEGREE = 64, 16
NUM_EDGES = {"cpu": (20_000,), "cuda": (1_000_000, 10_000_000)}
DTYPES = {"cpu": (torch.float32,), "cuda": (torch.float32, torch.bfloat16)}


class OneLayer(nn.Module):
    """A layer between others: the gradients of its inputs are asked for, too.

    Args:
        layer: The layer.
        edges: The edges [2, E].
        edge_attr: Their attributes [E, D].
        nodes: What the nodes have, in the order of the layer's arguments.
        vectors: What the layer takes beside these.
    """

    def __init__(
        self, layer: nn.Module, edges: Any, edge_attr: Tensor, nodes: list[Tensor], *vectors: Tensor
    ) -> None:
        super().__init__()
        self.layer = layer
        self.edges, self.edge_attr, self.vectors = edges, edge_attr, vectors
        self.nodes = nn.ParameterList(nn.Parameter(x.clone()) for x in nodes)

    def forward(self) -> tuple[Tensor, ...]:
        """Returns what the layer makes of the nodes."""
        out = self.layer(*self.nodes, self.edges, self.edge_attr, *self.vectors)
        return out if isinstance(out, tuple) else (out,)

    def loss(self) -> Tensor:
        """Returns the mean square of all."""
        return torch.stack([x.square().mean() for x in self()]).sum()


def main(settings: Settings) -> None:
    """Times the models, then the layers."""
    torch.manual_seed(0)
    report = Report("messages", settings)
    compare_models(report, settings)
    compare_layers(report, settings)


def make_batch() -> Batch:
    """Fully connected graphs."""
    edge_index = (~torch.eye(NUM_NODES, dtype=torch.bool)).nonzero().T.contiguous()
    return Batch.from_data_list([make_graph(edge_index) for _ in range(NUM_GRAPHS)])


def make_graph(edge_index: Tensor) -> Data:
    """Gaussian positions, velocities and targets, with charges and edge attributes."""
    vectors = {name: torch.randn(NUM_NODES, 3) for name in ("pos", "vel", "y")}
    charge, edge_attr = torch.rand(NUM_NODES), torch.rand(edge_index.size(1), EDGE_DIM)
    return Data(charge=charge, edge_index=edge_index, edge_attr=edge_attr, **vectors)


def compare_models(report: Report, settings: Settings) -> None:
    """Whole models of three widths."""
    batch = make_batch().to(settings.device)
    for width in WIDTHS:
        sizes: dict[str, Any] = {"hidden_channels": width, "num_layers": NUM_LAYERS}
        for build in (GNN, EGNN):
            ours = build(edge_dim=EDGE_DIM, **sizes).to(settings.device)
            models: dict[str, nn.Module] = {OURS: ours}
            models |= {_usual(name): USUAL[build](ours, by) for name, by in REDUCTIONS.items()}
            for model in models.values():
                torch.testing.assert_close(model(batch), ours(batch), rtol=1e-4, atol=1e-4)
            if settings.compile:
                models |= {f"{name}, compiled": compiled(m) for name, m in models.items()}
            cases = {name: model_case(model, batch) for name, model in models.items()}
            title = f"{build.__name__}, {NUM_LAYERS} x {width}"
            report.compare(title, cases, OURS, sizes=batch_sizes(batch))


def compiled(model: nn.Module) -> nn.Module:
    """A compiled model with the same weights."""
    other = copy.deepcopy(model)
    other.compile()
    return other


def model_case(model: nn.Module, batch: Batch) -> Passes:
    """The passes of a model."""
    return Passes(model, lambda: mse_loss(model(batch), batch.y))


def compare_layers(report: Report, settings: Settings) -> None:
    """Single layers, in single precision and on a GPU in half precision."""
    kind = settings.device.partition(":")[0]
    for dtype in DTYPES[kind]:
        ceilings = measure_ceilings(report, settings, dtype)
        for num_edges in NUM_EDGES[kind]:
            num_nodes = num_edges // DEGREE
            sizes = {"nodes": num_nodes, "edges": num_edges}
            count = (num_nodes, num_edges, CHANNELS, EDGE_DIM, dtype.itemsize)
            layers: dict[str, tuple[Callable[..., dict[str, OneLayer]], Work]] = {
                "GNN": (gnn_layers, work_of_gnn(*count)),
                "EGNN": (egnn_layers, work_of_egnn(*count)),
            }
            for name, (make, work) in layers.items():
                cases = layer_cases(make(num_nodes, num_edges, dtype, settings.device), dtype)
                title = f"{name} layer, {CHANNELS} channels, {str(dtype).removeprefix('torch.')}"
                floor = ceilings.floor(work)
                report.compare(title, cases, OURS, sizes=sizes, work=work.rates(), floor=floor)


def gnn_layers(
    num_nodes: int, num_edges: int, dtype: torch.dtype, device: str
) -> dict[str, OneLayer]:
    """The GNN layer in every formulation, on the same nodes and edges."""
    edges, edge_attr, h = _random_graph(num_nodes, num_edges, device)
    ours = GNNLayer(CHANNELS, EDGE_DIM)
    layers: dict[str, nn.Module] = {OURS: ours}
    for name, reduce in REDUCTIONS.items():
        layers[_usual(name)] = UsualGNNLayer(CHANNELS, EDGE_DIM, reduce)
        layers[_usual(name)].load_state_dict(ours.state_dict())
    inputs = (edges, edge_attr.to(dtype), [h.to(dtype)])
    return {name: OneLayer(layer.to(device), *inputs) for name, layer in layers.items()}


def egnn_layers(
    num_nodes: int, num_edges: int, dtype: torch.dtype, device: str
) -> dict[str, OneLayer]:
    """The EGNN layer in every formulation, on the same nodes and edges; positions stay exact."""
    edges, edge_attr, h = _random_graph(num_nodes, num_edges, device)
    pos, vel = torch.randn(2, num_nodes, 3, device=device)
    ours = EGNNLayer(CHANNELS, EDGE_DIM, num_vectors=1)
    attributes = edge_attr.to(dtype)
    points = [h.to(dtype), pos.unsqueeze(1)]
    layers = {OURS: OneLayer(ours.to(device), edges, attributes, points, vel.unsqueeze(1))}
    for name, reduce in REDUCTIONS.items():
        usual = UsualEGNNLayer(CHANNELS, EDGE_DIM, reduce=reduce).to(device)
        usual.load_state_dict(ours.state_dict())
        layers[_usual(name)] = OneLayer(usual, edges, attributes, [h.to(dtype), pos], vel)
    return layers


def layer_cases(layers: Mapping[str, OneLayer], dtype: torch.dtype) -> dict[str, Passes]:
    """The passes of layers that have been seen to agree; half precision is autocast's."""
    half = dtype != torch.float32

    def case(layer: OneLayer) -> Passes:
        def loss() -> Tensor:
            with torch.autocast(layer.edge_attr.device.type, dtype, enabled=half):
                return layer.loss()

        return Passes(layer, loss)

    cases = {name: case(layer) for name, layer in layers.items()}
    expected = cases[OURS].loss()
    for passes in cases.values():
        torch.testing.assert_close(passes.loss(), expected, rtol=0.02 if half else 1e-4, atol=0.0)
    return cases


def _usual(library: str) -> str:
    return f"usual, sums by {library}"


def _random_graph(num_nodes: int, num_edges: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    edges = torch.randint(num_nodes, (2, num_edges), device=device)
    attributes = torch.rand(num_edges, EDGE_DIM, device=device)
    return edges, attributes, torch.randn(num_nodes, CHANNELS, device=device)
