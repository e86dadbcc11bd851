"""Training steps of every model, which never wait for the device."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, over
from waiting import devices, train

from pyg_remul.presets import preset
from pyg_remul.training import RemulModule

REPS = {"pos": "point", "vel": "vector", "force": "vector", "edge_attr": "scalar", "y": "point"}
SIZES = {"equal": (5, 5, 5, 5), "ragged": (5, 3, 1, 4)}


@devices
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@over([case for case in CASES if case.out_rep == "point"])
def test_step_waits_for_nothing(case, make_graph, sizes, device):
    if case.fixed_size and len(set(sizes)) > 1:
        pytest.skip("takes graphs of one size")
    graphs = [make_graph(size, seed=n, dtype=torch.float32) for n, size in enumerate(sizes)]
    for graph in graphs:
        graph.y = graph.pos + graph.vel
    module = RemulModule(preset("nbody", "gnn"), case.build(), REPS)
    assert train(module, graphs, device) >= len(graphs) // 2
    assert all(parameter.device == device for parameter in module.model.parameters())
