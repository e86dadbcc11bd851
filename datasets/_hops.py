"""Edges between all nodes, or between atoms or joints by the number of bonds."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["all_pairs", "hop_graph"]


def all_pairs(num_nodes: int) -> Tensor:
    """Connects every node with every other one.

    Args:
        num_nodes: The number ``N`` of nodes, not negative.

    Returns:
        ``edge_index`` ``[2, N (N - 1)]``, both directions, in the order of its first row.

    Example:
        >>> all_pairs(3).tolist()
        [[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]
    """
    return (~torch.eye(num_nodes, dtype=torch.bool)).nonzero().T.contiguous()


def hop_graph(near: Tensor, hops: int = 2) -> tuple[Tensor, Tensor]:
    """Connects nodes that are at most so many bonds apart.

    Args:
        near: Whether two nodes are neighbours, shape ``[N, N]``, symmetric.
        hops: The largest number of bonds on the shortest path, positive; from ``N - 1`` on, all
            pairs with a path between them.

    Returns:
        ``edge_index`` ``[2, E]``, both directions, and the number of bonds of each edge, ``[E, 1]``
        in float32; in its ascending order, and no pair has two edges.

    Example:
        >>> path = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
        >>> edge_index, length = hop_graph(path)
        >>> edge_index.tolist(), length.flatten().tolist()
        ([[0, 1, 1, 2, 0, 2], [1, 0, 2, 1, 2, 0]], [1.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    """
    reached = torch.eye(len(near), dtype=torch.bool)
    frontier, indices, lengths = reached, [], []
    for hop in range(1, min(hops, len(near)) + 1):
        frontier = (frontier.float() @ near.float() > 0) & ~reached
        reached = reached | frontier
        index = frontier.nonzero().T
        indices.append(index)
        lengths.append(torch.full((index.size(1), 1), float(hop)))
    return torch.cat(indices, dim=1), torch.cat(lengths)
