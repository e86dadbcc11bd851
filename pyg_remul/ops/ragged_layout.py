"""Graphs of different sizes in blocks of one length."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from pyg_remul.checks import check_integers
from pyg_remul.transfer import send

__all__ = ["RaggedLayout"]

_MAX_PACKED = 512  # nodes, beyond which the masks of blocks become large
_ALIGNMENT = 8  # lengths that vector units and attention kernels like


class RaggedLayout:
    """Where the rows of graphs lie: flat behind each other, and in blocks of n slots.

    Graphs of one size are the blocks themselves, and the blocks a view of the rows. Others are
    packed, the largest with the smallest, into blocks as long as the largest graph: of any two that
    follow each other more than half is filled, so that attention within blocks costs no more than
    twice N times n, however many graphs there are. A mask, made once for all layers, keeps graphs
    apart; only values that are not finite spoil the graphs of the same block. If a graph has more
    than 512 nodes, where such masks become large, each graph has a block of its own.

    Graphs without nodes have no rows and are left out. All sizes are on the host, so that nothing
    waits for an accelerator.

    Args:
        sizes: Number of nodes of every graph, such as ``ptr.diff().tolist()``.
        device: Where the rows are.

    Attributes:
        num_graphs: Number of graphs, those without nodes included.
        num_rows: Number N of rows.
        longest: The largest number of nodes.
        shape: Number b of blocks, and their length n.
        offsets: Where the graphs begin and end among the rows, 32-bit integers of shape [B + 1];
            None if the graphs have one size.
        mask: True where a slot may see another, shape [b, n, n], or [b, 1, n] if every block holds
            one graph; None if the graphs have one size.
        bias: The same to be added to logits, zero or minus infinity in float32.

    Example:
        >>> layout = RaggedLayout([2, 0, 7, 1])
        >>> layout.shape, layout.mask.shape
        ((2, 8), torch.Size([2, 8, 8]))
        >>> rows = torch.arange(10.0)
        >>> torch.equal(layout.to_rows(layout.to_blocks(rows)), rows)
        True
    """

    def __init__(self, sizes: Sequence[int], device: torch.device | str = "cpu") -> None:
        check_integers("not negative", **{f"sizes[{i}]": size for i, size in enumerate(sizes)})
        self.num_graphs = len(sizes)
        sizes = [size for size in sizes if size > 0]
        self.num_rows = sum(sizes)
        self.longest = max(sizes, default=0)
        self.shape = (len(sizes), self.longest)
        self.offsets: Tensor | None = None
        self.mask: Tensor | None = None
        self.bias: Tensor | None = None
        self._slots: Tensor | None = None
        if any(size < self.longest for size in sizes):
            self._separate(sizes, torch.device(device))

    def _separate(self, sizes: list[int], device: torch.device) -> None:
        """Finds slots for the rows of graphs of different sizes."""
        packed = self.longest <= _MAX_PACKED
        if packed:
            length = -(-self.longest // _ALIGNMENT) * _ALIGNMENT
            starts, num_blocks = _pack(sizes, length)
            self.shape = (num_blocks, length)
        else:
            starts = [graph * self.longest for graph in range(len(sizes))]
        ends = list(accumulate(sizes, initial=0))
        counts = torch.tensor(sizes)
        shifts = (torch.tensor(starts) - torch.tensor(ends[:-1])).repeat_interleave(counts)
        slots = torch.arange(self.num_rows) + shifts
        owners = torch.full(self.shape, -1)
        owners.view(-1)[slots] = torch.arange(len(sizes)).repeat_interleave(counts)
        owners = send(owners, device).unsqueeze(1)
        # What stands in empty slots sees itself, for a softmax over nothing would be NaN.
        self.mask = owners.mT == owners if packed else owners >= 0
        self.bias = torch.zeros(self.mask.shape, device=device).masked_fill(~self.mask, -torch.inf)
        self.offsets = send(torch.tensor(ends, dtype=torch.int32), device)
        self._slots = send(slots, device)

    def to_blocks(self, x: Tensor) -> Tensor:
        """Returns the rows [N, ...] in their slots [b, n, ...], with zeros in empty ones."""
        if self._slots is not None:
            blank = x.new_zeros(self.shape[0] * self.shape[1], *x.shape[1:])
            x = blank.index_copy(0, self._slots, x)
        return x.unflatten(0, self.shape)

    def to_rows(self, x: Tensor) -> Tensor:
        """Returns what stands in the slots [b, n, ...] as rows [N, ...]; undoes `to_blocks`."""
        flat = x.flatten(0, 1)
        return flat if self._slots is None else flat.index_select(0, self._slots)

    def mean(self, x: Tensor) -> Tensor:
        """Returns at every row [N, C] the mean over the rows of its graph, for a few columns.

        It is a sum in a fixed order, and not a matrix product, which might be rounded to bfloat16.
        """
        blocks = self.to_blocks(x)
        if self.mask is None:
            mean = blocks.mean(dim=1, keepdim=True)
        else:
            total = torch.where(self.mask.unsqueeze(-1), blocks.unsqueeze(1), 0).sum(dim=2)
            mean = total / self.mask.sum(dim=-1, keepdim=True)
        return self.to_rows(mean.expand(blocks.shape))


def _pack(sizes: Sequence[int], length: int) -> tuple[list[int], int]:
    """The first slot of every graph in blocks of one length, and the number of blocks.

    The largest graph that is left opens a block, and the smallest ones fill it up.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    starts = [0] * len(sizes)
    smallest, largest, num_blocks = 0, len(order) - 1, 0
    while smallest <= largest:
        starts[order[largest]] = num_blocks * length
        used = sizes[order[largest]]
        largest -= 1
        while smallest <= largest and used + sizes[order[smallest]] <= length:
            starts[order[smallest]] = num_blocks * length + used
            used += sizes[order[smallest]]
            smallest += 1
        num_blocks += 1
    return starts, num_blocks
