"""Many graphs in one, as PyTorch Geometric's in-memory datasets store them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.data.collate import collate

__all__ = ["Graphs", "collate_graphs", "separate_graphs", "stack_graphs"]

# All graphs concatenated, and for each attribute the slices that take them apart.
Graphs: TypeAlias = tuple[Data, dict[str, Tensor]]


def stack_graphs(fields: Mapping[str, Tensor]) -> Graphs:
    """Collates graphs of equal size that are stacked along a first axis, without a Python loop.

    Args:
        fields: Attribute name to values of all graphs, such as ``pos`` of shape ``[B, N, 3]`` or
            ``edge_index`` of shape ``[B, 2, E]``.

    Returns:
        The storage of an in-memory dataset of ``B`` graphs.
    """
    data, slices = Data(), {}
    for key, value in fields.items():
        dim = data.__cat_dim__(key, value[0]) % (value.dim() - 1)
        data[key] = value.movedim(0, dim).flatten(dim, dim + 1)
        slices[key] = torch.arange(value.size(0) + 1) * value.size(dim + 1)
    return data, slices


def separate_graphs(data: Data, slices: dict[str, Tensor]) -> list[Data]:
    """Undoes :func:`stack_graphs` and :func:`collate_graphs`."""
    whole = InMemoryDataset()
    whole._data, whole.slices = data, slices
    return [whole.get(index) for index in range(whole.len())]


def collate_graphs(graphs: Sequence[Data]) -> Graphs:
    """Collates graphs of any size; unlike PyG's datasets do, it slices a lone graph too."""
    data, slices, _ = collate(Data, list(graphs), increment=False, add_batch=False)
    return data, slices
