from __future__ import annotations

import torch
from torch_geometric.data import Data, InMemoryDataset

from pyg_remul.datasets._collation import collate_graphs, separate_graphs, stack_graphs


def fields(num: int) -> dict[str, torch.Tensor]:
    return {
        "pos": torch.rand(num, 3, 3),
        "edge_index": torch.randint(3, (num, 2, 5)),
        "trial": torch.arange(num)[:, None],
    }


def graph(stacked: dict[str, torch.Tensor], index: int) -> Data:
    return Data(**{key: value[index] for key, value in stacked.items()})


def assert_same(first: Data, second: Data) -> None:
    assert set(first.keys()) == set(second.keys())
    for key in first.keys():  # noqa: SIM118
        torch.testing.assert_close(first[key], second[key], rtol=0, atol=0)


def test_stacking_equals_the_collation_of_pyg() -> None:
    stacked = fields(4)
    data, slices = stack_graphs(stacked)
    expected, expected_slices = InMemoryDataset.collate([graph(stacked, i) for i in range(4)])
    assert_same(data, expected)
    for key, bounds in slices.items():
        assert bounds.tolist() == expected_slices[key].tolist()


def test_separation_undoes_stacking() -> None:
    stacked = fields(4)
    for index, separate in enumerate(separate_graphs(*stack_graphs(stacked))):
        assert_same(separate, graph(stacked, index))


def test_a_lone_graph_has_slices() -> None:
    _, slices = collate_graphs([graph(fields(1), 0)])
    assert slices["pos"].tolist() == [0, 3]


def test_graphs_of_different_sizes_survive_collation() -> None:
    graphs = [Data(pos=torch.rand(size, 3)) for size in (2, 5, 1)]
    for separate, original in zip(separate_graphs(*collate_graphs(graphs)), graphs, strict=True):
        assert_same(separate, original)
