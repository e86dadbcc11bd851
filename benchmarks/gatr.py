"""GATr against a formulation with dense tables, and against a Transformer of equal size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

import torch
from torch import Tensor, nn

from pyg_remul.benchmarks.harness import Case, Settings, measure, print_setting, print_table
from pyg_remul.models import GATr, GraphTransformer, _gatr_layers
from pyg_remul.models._equivariant_linear import EquiLinear
from pyg_remul.models._projective_algebra import GRADES, product_terms
from pyg_remul.ops import RaggedLayout

NUM_GRAPHS, NUM_NODES, NUM_BLOCKS = 128, 20, 12


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
    """Times inference, and forward with backward passes."""
    device = settings.device
    x = torch.randn(NUM_GRAPHS * NUM_NODES, 7, device=device)
    graphs = RaggedLayout([NUM_NODES] * NUM_GRAPHS, device)
    gatr = GATr(num_layers=NUM_BLOCKS).to(device)
    transformer = GraphTransformer(hidden_channels=168, num_layers=NUM_BLOCKS).to(device)

    def gatr_pass() -> Tensor:
        return gatr.core(x, graphs)[0]

    def dense_pass() -> Tensor:
        with dense_tables(device):
            return gatr.core(x, graphs)[0]

    def transformer_pass() -> Tensor:
        return transformer.head(transformer.core(x, graphs))

    torch.testing.assert_close(dense_pass(), gatr_pass(), rtol=1e-3, atol=1e-4)
    passes = {
        "GATr": (gatr, gatr_pass),
        "GATr, dense tables": (gatr, dense_pass),
        "GraphTransformer": (transformer, transformer_pass),
    }
    print_setting(settings)
    title = f"{NUM_GRAPHS} graphs of {NUM_NODES} nodes, {NUM_BLOCKS} blocks"
    for name, wrap in {"inference": inference, "forward and backward": step}.items():
        cases = {case: wrap(*model_and_pass) for case, model_and_pass in passes.items()}
        print_table(f"{title}: {name}", measure(cases, settings), "GATr")


def inference(_: nn.Module, run: Callable[[], Tensor]) -> Case:
    """A pass without gradients."""
    return torch.no_grad()(run)


def step(model: nn.Module, run: Callable[[], Tensor]) -> Case:
    """A pass, and the gradients of its mean square."""

    def forward_and_backward() -> None:
        model.zero_grad()
        run().square().mean().backward()

    return forward_and_backward
