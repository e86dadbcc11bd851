"""Operations on graphs that decide how fast models are, each with kernels and in plain PyTorch."""

from pyg_remul.ops.attention import ragged_attention
from pyg_remul.ops.backend import use_backend
from pyg_remul.ops.displacement import DisplacementOptions
from pyg_remul.ops.edge_network import EdgeNetwork, plain_messages
from pyg_remul.ops.linear_maps import Linear, linear
from pyg_remul.ops.messages import edge_messages
from pyg_remul.ops.ragged_layout import RaggedLayout
from pyg_remul.ops.segment_reductions import (
    segment_gather,
    segment_mean,
    segment_softmax,
    segment_sum,
)
from pyg_remul.ops.segments import Segments, Topology

__all__ = [
    "DisplacementOptions",
    "EdgeNetwork",
    "Linear",
    "RaggedLayout",
    "Segments",
    "Topology",
    "edge_messages",
    "linear",
    "plain_messages",
    "ragged_attention",
    "segment_gather",
    "segment_mean",
    "segment_softmax",
    "segment_sum",
    "use_backend",
]
