"""What the operands of messages must be like; kernels would read beyond them in silence."""

from __future__ import annotations

from torch import Tensor

from pyg_remul.ops.displacement import DisplacementOptions
from pyg_remul.ops.edge_network import EdgeNetwork
from pyg_remul.ops.segments import Topology

__all__ = ["check_network"]

_TOGETHER = (
    ("edge_attr", "edge_weight"),
    ("gate_weight", "gate_bias"),
    ("points", "distance_weight", "position_weight", "position_bias", "position_out"),
)


def check_network(topology: Topology, network: EdgeNetwork, options: DisplacementOptions) -> None:
    """Refuses operands that do not fit each other, by what the host knows of them.

    Args:
        topology: The edges.
        network: The operands.
        options: The variant of the displacements.

    Raises:
        TypeError: If `topology` is none, or an operand is of integers.
        ValueError: If an operand is missing, or of another shape or on another device.
    """
    if not isinstance(topology, Topology):
        raise TypeError(f"`topology` must be a Topology, got {type(topology).__name__}.")
    if not options.clamp > 0:
        raise ValueError(f"`clamp` must be positive, got {options.clamp}.")
    given = {name: x for name, x in network._asdict().items() if x is not None}
    for names in _TOGETHER:
        missing = [name for name in names if name not in given]
        if missing and len(missing) < len(names):
            raise ValueError(f"`{missing[0]}` must be given with the rest of {names}, got None.")
    _check_axes(given)
    num_nodes = given["target"].size(0)
    if topology.num_nodes != num_nodes:
        raise ValueError(
            f"`topology` must have as many nodes as `target` has rows, {num_nodes}, got "
            f"{topology.num_nodes}."
        )
    for name, shape in _shapes(topology.num_edges, given).items():
        if list(given[name].shape) != shape:
            raise ValueError(f"`{name}` must have shape {shape}, got {list(given[name].shape)}.")
    device = topology.edge_index.device
    for name, x in given.items():
        if x.device != device:
            raise ValueError(f"`{name}` must be where the edges are, {device}, got {x.device}.")


def _check_axes(given: dict[str, Tensor]) -> None:
    """Checks those operands that the shapes of the others follow from."""
    for name, axes in {"target": 2, "edge_attr": 2, "points": 3}.items():
        if name in given and given[name].dim() != axes:
            shape = list(given[name].shape)
            raise ValueError(f"`{name}` must have {axes} axes, got shape {shape}.")
    for name in {"target", "points"} & set(given):
        if not given[name].is_floating_point():
            raise TypeError(f"`{name}` must be of floating point, got {given[name].dtype}.")


def _shapes(num_edges: int, given: dict[str, Tensor]) -> dict[str, list[int]]:
    """The shapes of all operands, from those of `target`, `edge_attr` and `points`."""
    num_nodes, width = given["target"].shape
    square = [width, width]
    shapes = {"source": [num_nodes, width], "weight": square, "bias": [width]}
    if "edge_attr" in given:
        edge_dim = given["edge_attr"].size(1)
        shapes |= {"edge_attr": [num_edges, edge_dim], "edge_weight": [width, edge_dim]}
    if "gate_weight" in given:
        shapes |= {"gate_weight": [1, width], "gate_bias": [1]}
    if "points" in given:
        _, num_points, dim = given["points"].shape
        shapes |= {
            "points": [num_nodes, num_points, dim],
            "distance_weight": [width, num_points],
            "position_weight": square,
            "position_bias": [width],
            "position_out": [num_points**2, width],
        }
    return shapes
