"""The reference that the benchmark of attention compares with."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.benchmarks.attention import PaddedTransformer, make_batch
from pyg_remul.models import GraphTransformer


@pytest.mark.parametrize("sizes", [[3, 3], [2, 5, 1]], ids=["equal", "ragged"])
def test_padded_transformer_equals_the_model(sizes):
    model, batch = GraphTransformer(hidden_channels=8, num_layers=2, heads=2), make_batch(sizes)
    torch.testing.assert_close(PaddedTransformer(model)(batch), model(batch), rtol=1e-4, atol=1e-5)
