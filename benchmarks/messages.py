"""Message passing of GNN and EGNN against the field's usual formulation with the same weights.

First whole models on a batch of small fully connected graphs; then single layers on a large random
graph with 16 edges a node, beside what the machine could do at best, see
:mod:`pyg_remul.benchmarks.roofline`. On a CPU that graph is small. The layers of a model share the
sorted order of the edges, so that sorting them is part of a single layer's time only where said.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch_geometric.data import Batch, Data

from pyg_remul.benchmarks.harness import Passes, Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.benchmarks.roofline import measure_ceilings, work_of_egnn, work_of_gnn
from pyg_remul.benchmarks.single_layers import (
    EDGE_DIM,
    OURS,
    RandomGraph,
    egnn_layers,
    gnn_layers,
    layer_cases,
)
from pyg_remul.benchmarks.usual_layers import REDUCTIONS, UsualEGNN, UsualGNN, usual_name
from pyg_remul.datasets._hops import all_pairs
from pyg_remul.models import EGNN, GNN

NUM_GRAPHS, NUM_NODES, NUM_LAYERS = 200, 13, 4
WIDTHS = (64, 32, 128)
CHANNELS, DEGREE = 64, 16
NUM_EDGES = {"cpu": (20_000,), "cuda": (1_000_000, 10_000_000)}
DTYPES = {"cpu": (torch.float32,), "cuda": (torch.float32, torch.bfloat16)}
USUAL: dict[type[nn.Module], Callable[..., nn.Module]] = {GNN: UsualGNN, EGNN: UsualEGNN}
LAYERS = {"GNN": (gnn_layers, work_of_gnn), "EGNN": (egnn_layers, work_of_egnn)}


def main(settings: Settings) -> None:
    """Times the models, then the layers."""
    torch.manual_seed(0)
    report = Report("messages", settings)
    batch = make_batch().to(settings.device)
    for width in WIDTHS:
        compare_models(report, batch, width)
    kind = settings.device.partition(":")[0]
    for dtype in DTYPES[kind]:
        compare_layers(report, NUM_EDGES[kind], dtype)


def make_batch() -> Batch:
    """Fully connected graphs."""
    edge_index = all_pairs(NUM_NODES)
    return Batch.from_data_list([make_graph(edge_index) for _ in range(NUM_GRAPHS)])


def make_graph(edge_index: Tensor) -> Data:
    """Gaussian positions, velocities and targets, with charges and edge attributes."""
    vectors = {name: torch.randn(NUM_NODES, 3) for name in ("pos", "vel", "y")}
    charge, edge_attr = torch.rand(NUM_NODES), torch.rand(edge_index.size(1), EDGE_DIM)
    return Data(charge=charge, edge_index=edge_index, edge_attr=edge_attr, **vectors)


def compare_models(report: Report, batch: Batch, width: int) -> None:
    """Whole models of a width."""
    settings = report.settings
    sizes: dict[str, Any] = {"hidden_channels": width, "num_layers": NUM_LAYERS}
    for build in (GNN, EGNN):
        ours = build(edge_dim=EDGE_DIM, **sizes).to(settings.device)
        models: dict[str, nn.Module] = {OURS: ours}
        models |= {usual_name(name): USUAL[build](ours, by) for name, by in REDUCTIONS.items()}
        if settings.compile:
            models |= {f"{name}, compiled": compiled(model) for name, model in models.items()}
        for model in models.values():
            torch.testing.assert_close(model(batch), ours(batch), rtol=1e-4, atol=1e-4)
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


def compare_layers(report: Report, numbers_of_edges: tuple[int, ...], dtype: torch.dtype) -> None:
    """Single layers in one precision, beside what the machine achieves at best."""
    ceilings = measure_ceilings(report, dtype)
    for num_edges in numbers_of_edges:
        num_nodes = num_edges // DEGREE
        graph = RandomGraph.draw(num_nodes, num_edges, CHANNELS, dtype, report.settings.device)
        for name, (make_layers, count) in LAYERS.items():
            work = count(num_nodes, num_edges, CHANNELS, EDGE_DIM, dtype.itemsize)
            report.compare(
                f"{name} layer, {CHANNELS} channels, {str(dtype).removeprefix('torch.')}",
                layer_cases(make_layers(graph), dtype),
                OURS,
                sizes={"nodes": num_nodes, "edges": num_edges},
                work=work.rates(),
                floor=ceilings.floor(work),
            )
