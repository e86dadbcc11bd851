"""Copies to a device that nothing waits for."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["send"]


def send(
    value: Tensor, device: torch.device | str | None, dtype: torch.dtype | None = None
) -> Tensor:
    """Moves a tensor; from the CPU to a device without waiting for what the device has to do.

    Back to the CPU it waits, for otherwise the values would not be there yet.

    Args:
        value: The tensor, itself returned where nothing changes.
        device: Where to, its own by default.
        dtype: Of the result, its own by default.

    Example:
        >>> send(torch.ones(2), "cpu", torch.float64).dtype
        torch.float64
    """
    return value.to(device, dtype, non_blocking=value.device.type == "cpu")
