"""The least time that a layer could take."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pyg_remul.benchmarks import roofline
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.report import Report
from pyg_remul.benchmarks.roofline import (
    Ceilings,
    Work,
    measure_ceilings,
    work_of_egnn,
    work_of_gnn,
)
from pyg_remul.benchmarks.usual_layers import UsualEGNNLayer, UsualGNNLayer

NODES, EDGES, CHANNELS, EDGE_DIM = 10, 40, 8, 3


def counted(layer, *inputs):
    """Operations of the matrix products of a forward pass in the usual formulation."""
    with FlopCounterMode(display=False) as counter:
        layer(*inputs)
    return counter.get_total_flops()


def inputs():
    edges = torch.randint(NODES, (2, EDGES))
    return torch.randn(NODES, CHANNELS), edges, torch.randn(EDGES, EDGE_DIM)


def test_operations_of_gnn_are_three_forward_passes_with_the_first_map_on_nodes():
    h, edges, edge_attr = inputs()
    usual = counted(UsualGNNLayer(CHANNELS, EDGE_DIM), h, edges, edge_attr)
    moved = 2 * (EDGES - NODES) * 2 * CHANNELS * CHANNELS
    work = work_of_gnn(NODES, EDGES, CHANNELS, EDGE_DIM, size=4)
    assert work.operations == 3 * (usual - moved)


def test_operations_of_egnn_are_three_forward_passes_with_the_first_map_on_nodes():
    h, edges, edge_attr = inputs()
    pos, vel = torch.randn(2, NODES, 3)
    usual = counted(UsualEGNNLayer(CHANNELS, EDGE_DIM), h, pos, edges, edge_attr, vel)
    moved = 2 * (EDGES - NODES) * 2 * CHANNELS * CHANNELS
    work = work_of_egnn(NODES, EDGES, CHANNELS, EDGE_DIM, size=4)
    assert work.operations == 3 * (usual - moved)


def test_bytes_of_gnn_are_rows_gathered_rows_and_edges():
    work = work_of_gnn(NODES, EDGES, CHANNELS, EDGE_DIM, size=2)
    rows = (5 * NODES + 3 * EDGES) * CHANNELS * 2
    assert work.bytes == rows + 2 * EDGES * (16 + 2 * EDGE_DIM)


def test_egnn_moves_positions_and_velocities_beside():
    gnn = work_of_gnn(NODES, EDGES, CHANNELS, EDGE_DIM, size=2)
    egnn = work_of_egnn(NODES, EDGES, CHANNELS, EDGE_DIM, size=2)
    assert egnn.bytes - gnn.bytes == (7 * NODES + 3 * EDGES) * 3 * 4


@pytest.mark.parametrize(("operations", "expected"), [(100, 5.0), (1000, 10.0)])
def test_floor_is_the_longer_of_computing_and_moving(operations, expected):
    assert Ceilings(operations=100.0, bytes=2.0).floor(Work(operations, 10)) == expected


def test_ceilings_are_rates_of_a_product_and_a_copy(monkeypatch, tmp_path):
    monkeypatch.setitem(roofline.COPY_BYTES, "cpu", 2**16)
    monkeypatch.setitem(roofline.PRODUCT_SIZE, "cpu", 64)
    settings = Settings(rounds=2, warm_up=1, out=tmp_path)
    ceilings = measure_ceilings(Report("messages", settings), torch.float32)
    assert 1e6 < ceilings.bytes < 1e13
    assert 1e6 < ceilings.operations < 1e16
