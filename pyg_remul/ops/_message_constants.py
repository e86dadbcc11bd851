"""What the kernels of messages are compiled for, and what they take."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl

from pyg_remul.ops.backend import INTERPRETED
from pyg_remul.ops.displacement import DisplacementOptions
from pyg_remul.ops.edge_network import EdgeNetwork
from pyg_remul.precision import allows_tf32

__all__ = ["NODES", "constants", "fits_kernels"]

NODES = 16
"""Nodes of a block, as many as the product with their edges takes at least."""

_FORWARD_EDGES, _BACKWARD_EDGES = 32, 16
"""Edges of a tile: the most with which values mostly stay in registers."""

_MOST_CHANNELS, _MOST_ATTRIBUTES, _MOST_AXES = 128, 64, 4
"""That the kernels take, if the shared memory of the device does."""

_TILE_BYTES = 2**14
"""Of shared memory that a tile of edges needs beside the weights."""

_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


def fits_kernels(network: EdgeNetwork) -> bool:
    """Whether the kernels take the operands: not too wide, and one point a node."""
    points, channels = network.points, network.target.size(1)
    if channels > _MOST_CHANNELS or _num_attributes(network) > _MOST_ATTRIBUTES:
        return False
    if points is not None and (points.size(1) != 1 or points.size(2) > _MOST_AXES):
        return False
    if points is not None and points.dtype == torch.float64:
        return False
    return _shared_bytes(network) <= _most_shared_bytes(network.target.device)


def constants(
    network: EdgeNetwork, options: DisplacementOptions, *, backward: bool
) -> dict[str, Any]:
    """What a kernel is compiled for.

    Args:
        network: The operands, which :func:`fits_kernels`.
        options: The variant of the displacements.
        backward: Whether it is the kernel of the gradients.
    """
    dtype = network.target.dtype
    channels, attributes = _padded_widths(network)
    wide = backward and channels * dtype.itemsize > 128
    return {
        "F": network.target.size(1),
        "D": _num_attributes(network),
        "DIM": 1 if network.points is None else network.points.size(2),
        "NORMALIZE": options.normalize,
        "TANH": options.tanh,
        "CLAMP": options.clamp < math.inf,
        "DTYPE": _TYPES[dtype],
        "PRECISION": _precision(dtype),
        "BLOCK_F": channels,
        "BLOCK_D": attributes,
        "BLOCK_N": NODES,
        "BLOCK_E": _BACKWARD_EDGES if backward else _FORWARD_EDGES,
        "num_warps": 8 if wide else 4,
        "num_stages": 1,
        "enable_fp_fusion": True,
    }


def _num_attributes(network: EdgeNetwork) -> int:
    return 0 if network.edge_attr is None else network.edge_attr.size(1)


def _padded_widths(network: EdgeNetwork) -> tuple[int, int]:
    """Numbers of channels and attributes that products of tiles take."""
    widths = (network.target.size(1), _num_attributes(network))
    channels, attributes = (max(16, triton.next_power_of_2(width)) for width in widths)
    return channels, attributes


def _precision(dtype: torch.dtype) -> str:
    """How products are computed: those of floats in three parts, unless TensorFloat-32 will do."""
    if INTERPRETED:
        return "upcast"
    if dtype != torch.float32:
        return "ieee"
    return "tf32" if allows_tf32() else "tf32x3"


def _shared_bytes(network: EdgeNetwork) -> int:
    """Estimates the shared memory of the backward pass.

    It keeps the weights, as they are and transposed, in two parts where products have three.
    """
    dtype = network.target.dtype
    channels, attributes = _padded_widths(network)
    squares = 1 if network.points is None else 2
    copies = 4 if _precision(dtype) == "tf32x3" else 2
    entries = copies * channels * (squares * channels + attributes)
    return entries * dtype.itemsize + _TILE_BYTES


@cache
def _most_shared_bytes(device: torch.device) -> float:
    if device.type != "cuda":
        return math.inf
    properties = triton.runtime.driver.active.utils.get_device_properties(device.index)
    return properties["max_shared_mem"]
