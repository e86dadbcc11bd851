"""Constants that are exact in every precision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["ExactTables"]

_Self = TypeVar("_Self", bound="ExactTables")


class ExactTables(nn.Module, ABC):
    """Base of modules that hold constants, as buffers without a place in the state.

    The constants follow the module to other types and devices, always from their exact values: a
    plain buffer that went through float32 would keep its rounding, and after ``to_empty`` it would
    hold anything. They are cast and copied when the module moves, and not in its passes.

    A subclass calls :meth:`set_tables` once, when it can tell what :meth:`tables` are.
    """

    @abstractmethod
    def tables(self, dtype: torch.dtype) -> Mapping[str, Tensor]:
        """Returns the constants by name, on the CPU, shared and not to be written to.

        Args:
            dtype: That of the floating ones, correctly rounded.
        """

    def set_tables(self, like: Tensor | None = None) -> None:
        """Brings the constants anew.

        Args:
            like: Its type and device, torch's defaults without it.
        """
        like = torch.empty(0) if like is None else like
        # Real tensors whatever the modes are in which a model is built or moved.
        with torch.inference_mode(mode=False), torch.device("cpu"):
            for name, table in self.tables(like.dtype).items():
                self.register_buffer(name, table.to(like.device), persistent=False)

    def _apply(self: _Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> _Self:
        super()._apply(fn, recurse)
        tensors = [*self.parameters(recurse=False), *self.buffers(recurse=False)]
        floating = [tensor for tensor in tensors if tensor.is_floating_point()]
        self.set_tables((floating or tensors)[0])
        return self
