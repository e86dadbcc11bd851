"""Graphs of different sizes in one rectangle."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_remul.transfer import send

__all__ = ["Padding"]


class Padding:
    """Lays the nodes of graphs out as [B, n], and back.

    Graphs without nodes have no rows, and attention over padding alone would give NaN; they are
    left out. The sizes are on the host, so that nothing waits for an accelerator.

    Args:
        sizes: Number of nodes of every graph.
        device: Where the nodes are.

    Attributes:
        shape: Number B of graphs with nodes, and the largest number n of nodes.
        mask: True for nodes, False for padding, shape [B, n]; None if there is no padding.

    Example:
        >>> padding = Padding([2, 0, 1], torch.device("cpu"))
        >>> padding.pad(torch.tensor([[5.0], [6.0], [7.0]])).squeeze(-1).tolist()
        [[5.0, 6.0], [7.0, 0.0]]
        >>> padding.unpad(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])).flatten().tolist()
        [1.0, 2.0, 3.0]
    """

    def __init__(self, sizes: Sequence[int], device: torch.device) -> None:
        sizes = [size for size in sizes if size > 0]
        longest = max([0, *sizes])
        self.shape = (len(sizes), longest)
        self.mask: Tensor | None = None
        self._rows: Tensor | None = None
        if any(size < longest for size in sizes):
            mask = torch.arange(longest) < torch.tensor(sizes).unsqueeze(1)
            self._rows = send(mask.flatten().nonzero().squeeze(1), device)
            self.mask = send(mask, device)

    def pad(self, x: Tensor) -> Tensor:
        """Returns the rows [N, ...] of all nodes as [B, n, ...], with zeros for padding."""
        if self._rows is not None:
            blank = x.new_zeros(self.shape[0] * self.shape[1], *x.shape[1:])
            x = blank.index_copy(0, self._rows, x)
        return x.view(*self.shape, *x.shape[1:])

    def unpad(self, x: Tensor) -> Tensor:
        """Returns the rows [N, ...] of the nodes from [B, n, ...]; the inverse of :meth:`pad`."""
        flat = x.flatten(0, 1)
        return flat if self._rows is None else flat.index_select(0, self._rows)
