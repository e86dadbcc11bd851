"""Operations on graphs that decide how fast models are, each with kernels and in plain PyTorch."""

from pyg_remul.ops.attention import ragged_attention
from pyg_remul.ops.ragged_layout import RaggedLayout

__all__ = ["RaggedLayout", "ragged_attention"]
