"""Training steps replayed beside training steps as they are."""

from __future__ import annotations

import copy

import pytest
import torch
from recorders import EagerRecorder
from torch_geometric.data import Batch

from pyg_remul.benchmarks.step import make_bodies, make_cases
from pyg_remul.benchmarks.training_step import STEPS, make_replayed
from pyg_remul.models import GraphTransformer


@pytest.mark.parametrize("name", STEPS)
def test_replayed_step_trains_as_the_step_does(name):
    model = GraphTransformer(7, 8, num_layers=1)
    other = copy.deepcopy(model)
    batch = Batch.from_data_list([make_bodies() for _ in range(3)])
    replayed = make_replayed(other, batch, lambda: EagerRecorder(*other.parameters()))
    for step in (make_cases(model, batch)[name], replayed[f"{name}, replayed"]):
        torch.manual_seed(1)
        for _ in range(6):
            step()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
