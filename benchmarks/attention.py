"""Transformers on flat rows with attention within graphs, against padding to the largest graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_dense_batch

from pyg_remul.benchmarks.harness import Passes, Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.models import GATr, GraphTransformer
from pyg_remul.models.graph_transformer import TransformerBlock

NUM_GRAPHS = 64
SIZES = {
    "5 to 31": torch.randint(5, 32, (NUM_GRAPHS,), generator=torch.Generator().manual_seed(0)),
    "18": torch.full((NUM_GRAPHS,), 18),
}
MODELS = {"4 x 64": (64, 4), "10 x 384": (384, 10)}


class PaddedTransformer(nn.Module):
    """A Transformer that pads the nodes of all graphs to the largest, before its first layer.

    Args:
        model: The Transformer whose weights it takes.
    """

    def __init__(self, model: GraphTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Returns the outputs of all nodes, as the model itself."""
        sizes = batch.ptr.diff().tolist()
        x, mask = to_dense_batch(
            self.model.node_inputs(batch), batch.batch, 0, max(sizes), len(sizes)
        )
        keys = None if len(set(sizes)) == 1 else mask[:, None, None]
        h = self.model.embedding(x)
        for block in cast(Iterable[TransformerBlock], self.model.blocks):
            h = h + padded_attention(block, functional.layer_norm(h, h.shape[-1:]), keys)
            h = h + block.mlp(functional.layer_norm(h, h.shape[-1:]))
        out: Tensor = self.model.head(h).flatten(0, 1)
        return out if keys is None else out[mask.flatten()]


def padded_attention(block: TransformerBlock, x: Tensor, keys: Tensor | None) -> Tensor:
    """The attention of a block on nodes [B, n, C], where `keys` tells them from padding."""
    query, key, value = block.qkv(x).unflatten(-1, (3, block.heads, -1)).permute(2, 0, 3, 1, 4)
    attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=keys)
    out: Tensor = block.out(attended.transpose(1, 2).flatten(-2))
    return out


def make_batch(sizes: Sequence[int]) -> Batch:
    """Graphs of Gaussian masses, positions and velocities."""
    widths = {"mass": 1, "pos": 3, "vel": 3}
    return Batch.from_data_list(
        [
            Data(**{name: torch.randn(size, width) for name, width in widths.items()})
            for size in sizes
        ]
    )


def main(settings: Settings) -> None:
    """Times the passes of training on ragged batches and on one of equal sizes."""
    report = Report("attention", settings)
    for kind, sizes in SIZES.items():
        batch = make_batch(sizes.tolist()).to(settings.device)
        for name, (channels, layers) in MODELS.items():
            model = GraphTransformer(hidden_channels=channels, num_layers=layers)
            model = model.to(settings.device)
            padded = PaddedTransformer(model)
            torch.testing.assert_close(padded(batch), model(batch), rtol=1e-3, atol=1e-4)
            cases = {"flat rows": passes(model, batch), "all padded": passes(padded, batch)}
            title = f"GraphTransformer, {name}, {kind} nodes a graph"
            report.compare(title, cases, "all padded", sizes=batch_sizes(batch))
    compare_gatr(report, settings.device)


def compare_gatr(report: Report, device: str) -> None:
    """The same for GATr, where graphs that all have the largest size stand for padded ones."""
    gatr, sizes = GATr().to(device), SIZES["5 to 31"].tolist()
    ragged, padded = (make_batch(sizes).to(device) for sizes in (sizes, [max(sizes)] * NUM_GRAPHS))
    cases = {"flat rows": passes(gatr, ragged), "all padded": passes(gatr, padded)}
    title = "GATr, 10 blocks, 5 to 31 nodes a graph"
    report.compare(title, cases, "all padded", sizes=batch_sizes(ragged))


def passes(model: nn.Module, batch: Batch) -> Passes:
    """The passes of training to the mean square of the outputs."""
    return Passes(model, lambda: model(batch).square().mean())
