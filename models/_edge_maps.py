"""The first map of the networks on edges, taken apart."""

from __future__ import annotations

from torch import Tensor, nn

from pyg_remul.ops import linear

__all__ = ["check_edge_attr", "split_first_map"]


def split_first_map(first: nn.Linear, h: Tensor, num_points: int = 0) -> tuple[Tensor, ...]:
    """Applies what acts on the channels of nodes, which is linear, once a node.

    Args:
        first: The map, of the channels of the node where an edge ends, of the one where it begins,
            of squared distances and of attributes, side by side.
        h: Channels of the nodes, shape [N, F].
        num_points: Number C of squared distances.

    Returns:
        The terms of both nodes, shapes [N, F], that of the former with the bias; and the weights of
        distances, shape [F, C], and of attributes, shape [F, D].
    """
    weight, bias = first.weight, first.bias
    widths = [h.size(1), h.size(1), num_points]
    parts = weight.split([*widths, weight.size(1) - sum(widths)], dim=1)
    return linear(h, parts[0], bias), linear(h, parts[1]), parts[2], parts[3]


def check_edge_attr(edge_attr: Tensor | None, edge_dim: int) -> None:
    """Refuses attributes of another width than a layer reads.

    Raises:
        ValueError: If the width is another, or if there are none and the layer reads some.
    """
    width = 0 if edge_attr is None else edge_attr.size(1)
    if width != edge_dim:
        raise ValueError(f"`edge_attr` must have {edge_dim} columns, got {width}.")
