"""Where autocast reaches, and where it must not."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

__all__ = ["full_precision"]


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Keeps autocast away from what must not be rounded; ``meta``, without values, has none.

    Args:
        device: Where the computation is.
    """
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
