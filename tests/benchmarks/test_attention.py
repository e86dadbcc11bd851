"""The reference that the benchmark of attention compares with."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.benchmarks import attention
from pyg_remul.benchmarks.attention import PaddedTransformer, make_batch
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.models import GATr, GraphTransformer


@pytest.mark.parametrize("sizes", [[3, 3], [2, 5, 1]], ids=["equal", "ragged"])
def test_padded_transformer_equals_the_model(sizes):
    model, batch = GraphTransformer(hidden_channels=8, num_layers=2, heads=2), make_batch(sizes)
    torch.testing.assert_close(PaddedTransformer(model)(batch), model(batch), rtol=1e-4, atol=1e-5)


def test_every_model_is_measured_beside_padding(monkeypatch, capsys):
    monkeypatch.setattr(attention, "MODELS", {"1 x 8": (8, 1)})
    monkeypatch.setattr(attention, "GATr", lambda: GATr(4, 1, hidden_scalars=8, heads=2))
    attention.main(Settings(rounds=1, warm_up=1))
    assert capsys.readouterr().out.count("all padded") == 3
