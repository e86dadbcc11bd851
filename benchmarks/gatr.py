"""GATr against a formulation with dense tables, and against a Transformer of equal size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

import torch
from torch import Tensor
from torch_geometric.data import Batch

from pyg_remul.benchmarks.complexity import make_batch
from pyg_remul.benchmarks.harness import Passes, Settings
from pyg_remul.benchmarks.report import Report, batch_sizes
from pyg_remul.models import GATr, GraphTransformer, _gatr_layers
from pyg_remul.models._equivariant_linear import EquiLinear
from pyg_remul.models._projective_algebra import GRADES, product_terms

NUM_GRAPHS, NUM_BLOCKS = 128, 12


def dense_product(table: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A product of multivectors by its whole table [16, 16, 16]."""
    return torch.einsum("ijk,i...c,j...c->k...c", table, x, y)


def dense_linear(maps: Tensor, layer: EquiLinear, x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """A linear map of multivectors by the nine basis maps [9, 16, 16]."""
    weight = torch.einsum("koi,kab->oaib", layer.weight, maps)
    grade_zero, t = (s @ layer.from_scalars.mT + layer.bias).tensor_split([layer.out_channels], -1)
    y = torch.einsum("oaib,b...i->a...o", weight, x)
    if layer.to_scalars is not None:
        t = t + x[0] @ layer.to_scalars.mT
    return torch.cat([y[:1] + grade_zero, y[1:]]), t


def tables(device: str) -> tuple[dict[str, Tensor], Tensor]:
    """The tables of both products, and the basis maps."""
    products = {name: torch.zeros(16, 16, 16, device=device) for name in ("geometric", "join")}
    for name, table in products.items():
        for term in product_terms(name):
            table[term.left, term.right, term.out] = term.sign
    maps = torch.zeros(9, 16, 16, device=device)
    for blade, grade in enumerate(GRADES):
        maps[grade, blade, blade] = 1
    for blade, grade in enumerate(GRADES[:8]):
        maps[5 + grade, 8 + blade, blade] = 1
    return products, maps / maps.norm(dim=(1, 2), keepdim=True)


@contextmanager
def dense_tables(device: str) -> Iterator[None]:
    """Lets models compute with the dense tables, with the weights that they have."""
    products, maps = tables(device)
    with (
        mock.patch.object(EquiLinear, "forward", lambda *inputs: dense_linear(maps, *inputs)),
        mock.patch.object(
            _gatr_layers, "geometric_product", partial(dense_product, products["geometric"])
        ),
        mock.patch.object(_gatr_layers, "join", partial(dense_product, products["join"])),
    ):
        yield


def main(settings: Settings) -> None:
    """Times the passes of training, and inference."""
    batch = make_batch(NUM_GRAPHS).to(settings.device)
    gatr = GATr(num_layers=NUM_BLOCKS).to(settings.device)
    transformer = GraphTransformer(hidden_channels=168, num_layers=NUM_BLOCKS).to(settings.device)

    def dense(batch: Batch) -> Tensor:
        with dense_tables(settings.device):
            return gatr(batch)

    torch.testing.assert_close(dense(batch), gatr(batch), rtol=1e-3, atol=1e-4)
    cases = {
        "GATr": Passes(gatr, lambda: gatr(batch).square().mean()),
        "GATr, dense tables": Passes(gatr, lambda: dense(batch).square().mean()),
        "GraphTransformer": Passes(transformer, lambda: transformer(batch).square().mean()),
    }
    report = Report("gatr", settings)
    report.compare(f"{NUM_BLOCKS} blocks", cases, "GATr", sizes=batch_sizes(batch))
