"""Graphs of atoms or joints by the number of bonds between them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["hop_graph"]


def hop_graph(near: Tensor, hops: int = 2) -> tuple[Tensor, Tensor]:
    """Connects neighbours and, with two hops, the neighbours of neighbours.

    Args:
        near: Whether two nodes are neighbours, shape ``[N, N]``, symmetric.
        hops: 1 or 2.

    Returns:
        ``edge_index`` ``[2, E]``, both directions, and the hops of each edge, ``[E, 1]`` in
        float32; edges of one hop come first, and no pair has both.

    Example:
        >>> path = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
        >>> edge_index, length = hop_graph(path)
        >>> edge_index.tolist(), length.flatten().tolist()
        ([[0, 1, 1, 2, 0, 2], [1, 0, 2, 1, 2, 0]], [1.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    """
    one = near & ~torch.eye(len(near), dtype=torch.bool)
    two = ((one.float() @ one.float()) > 0) & ~one & ~torch.eye(len(near), dtype=torch.bool)
    indices = [one.nonzero().T, two.nonzero().T][:hops]
    lengths = [torch.full((index.size(1), 1), float(hop)) for hop, index in enumerate(indices, 1)]
    return torch.cat(indices, dim=1), torch.cat(lengths)
