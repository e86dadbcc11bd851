"""Message passing of graph networks as one operator."""

from __future__ import annotations

from torch import Tensor

from pyg_remul.ops._message_checks import check_network
from pyg_remul.ops._message_operator import messages_operator
from pyg_remul.ops.backend import is_transformed, select_backend
from pyg_remul.ops.displacement import DisplacementOptions
from pyg_remul.ops.edge_network import EdgeNetwork, plain_messages
from pyg_remul.ops.segments import Topology
from pyg_remul.precision import full_precision

__all__ = ["edge_messages"]

_DEFAULT = DisplacementOptions()


def edge_messages(
    topology: Topology, network: EdgeNetwork, options: DisplacementOptions = _DEFAULT
) -> tuple[Tensor, Tensor]:
    """Sums the messages that arrive at every node, and averages the displacements.

    The equations are those of :class:`~pyg_remul.ops.EdgeNetwork`. Nothing of the size of the edges
    is stored for the backward pass, which computes the messages anew. On a GPU a kernel without
    atomics does all of it, and two the backward pass; on a CPU, for several points a node and for
    operands too wide for the kernels, it goes block by block. The order of all sums is fixed on a
    CPU and in the kernels: equal inputs give equal bits. A node or edge that is not finite may
    spoil nodes of other graphs beside it. Second derivatives are those of
    :func:`~pyg_remul.ops.plain_messages`, at its cost in memory; so is everything where PyTorch
    exports or transforms a function.

    Args:
        topology: The edges.
        network: The operands. All but `points` are cast to the dtype of `target`.
        options: The variant of the displacements.

    Returns:
        The sums of the messages, shape [N, F], and the means of the displacements, shape
        [N, C, d]; the latter is empty without `points`.

    Raises:
        TypeError: If `topology` is no topology, or an operand is of integers.
        ValueError: If the operands do not fit each other or the edges, or the chosen backend cannot
            take them.

    Example:
        >>> import torch
        >>> edges = Topology(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> h, eye = torch.ones(2, 4), torch.eye(4)
        >>> edge_messages(edges, EdgeNetwork(h, h, weight=eye, bias=torch.zeros(4)))[0].shape
        torch.Size([2, 4])
    """
    check_network(topology, network, options)
    network = _cast(network)
    if is_transformed():
        return plain_messages(topology, network, options)
    backend = select_backend(network.target)
    with full_precision(network.target.device):
        edges = (topology.edge_index, *topology.groupings(backend))
        return messages_operator(*network, *options, *edges, backend)


def _cast(network: EdgeNetwork) -> EdgeNetwork:
    """Follows the node products, which autocast has rounded; points must not be."""
    dtype, points = network.target.dtype, network.points
    rounded = network._replace(points=None).map(lambda x: x.to(dtype).contiguous())
    return rounded if points is None else rounded._replace(points=points.contiguous())
