"""Processes that train one model together."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mean_over_ranks", "process_ranks"]


def process_ranks() -> tuple[int, int]:
    """Returns the number of processes and the rank of this one; 1 and 0 for a lone one."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 1, 0
    return torch.distributed.get_world_size(), torch.distributed.get_rank()


def mean_over_ranks(value: Tensor) -> Tensor:
    """Returns the mean over processes of a tensor that each of them holds."""
    ranks, _ = process_ranks()
    if ranks == 1:
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / ranks
