"""How scalars, vectors and points enter and leave a geometric algebra Transformer."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from pyg_remul.models._multivectors import (
    embed_point,
    embed_scalar,
    embed_translation,
    extract_point,
    extract_translation,
)
from pyg_remul.models._projective_algebra import POSITIONS
from pyg_remul.ops import RaggedLayout

__all__ = [
    "centroid",
    "embed_objects",
    "embedding_sizes",
    "excess",
    "read_objects",
    "readout_sizes",
]


def embedding_sizes(counts: Mapping[str, int]) -> tuple[int, int]:
    """Returns how many multivectors and scalars :func:`embed_objects` makes of some objects.

    Args:
        counts: Number of objects of each kind that occurs.

    Example:
        >>> embedding_sizes({"scalar": 1, "point": 1, "vector": 1})
        (1, 1)
        >>> embedding_sizes({"scalar": 5, "point": 2})
        (2, 3)
    """
    channels = _num_multivectors(counts)
    return channels, max(counts.get("scalar", 0) - channels, 1)


def embed_objects(objects: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    r"""Puts the objects of a node into multivectors and scalars.

    The k-th multivector is the sum of the k-th scalar, the k-th vector as a translation and the
    k-th point. There are as many as there are points, or vectors if they are more, but one at
    least; where vectors run out the translation is the identity, 1. Scalars beyond them become
    scalars; if there are none, zero is one.

    Args:
        objects: For each kind that occurs, shape [..., count, 1 or 3].

    Returns:
        Multivectors [16, ..., C] and scalars [..., S], in the numbers of
        :func:`embedding_sizes`.
    """
    channels, num_scalars = embedding_sizes({k: v.size(-2) for k, v in objects.items()})
    none = next(iter(objects.values()))[..., :0, :1]
    scalar = _resize(objects.get("scalar", none).squeeze(-1), channels + num_scalars)
    vector = _resize(objects.get("vector", none.expand(*none.shape[:-1], 3)).mT, channels).mT
    x = embed_translation(vector) + embed_scalar(scalar[..., :channels])
    if "point" in objects:
        x = x + _resize(embed_point(objects["point"]), channels)
    return x, scalar[..., channels:]


def readout_sizes(counts: Mapping[str, int]) -> tuple[int, int]:
    """Returns how many multivectors and scalars :func:`read_objects` needs.

    Args:
        counts: Number of objects of each kind that occurs.

    Example:
        >>> readout_sizes({"point": 1}), readout_sizes({"vector": 2, "scalar": 3})
        ((1, 1), (2, 3))
    """
    return _num_multivectors(counts), max(counts.get("scalar", 0), 1)


def read_objects(x: Tensor, s: Tensor, counts: Mapping[str, int]) -> dict[str, Tensor]:
    """Reads objects from multivectors and scalars.

    The k-th point and the k-th vector come from the k-th multivector.

    Args:
        x: Multivectors, shape [16, ..., C].
        s: Scalars, shape [..., S].
        counts: Number of objects of each kind that occurs.

    Returns:
        For each kind that occurs, shape [..., count, 1 or 3].
    """
    readers = {
        "scalar": lambda count: s[..., :count].unsqueeze(-1),
        "vector": lambda count: extract_translation(x[..., :count]),
        "point": lambda count: extract_point(x[..., :count]),
    }
    return {kind: readers[kind](count) for kind, count in counts.items()}


def excess(x: Tensor, s: Tensor, counts: Mapping[str, int]) -> Tensor:
    r"""Returns how far the multivectors of a node are from plain points.

    .. math::
        \sum_k (|w_k| - 1)^2 + s^2

    with :math:`w_k` the coefficient of :math:`e_{123}` of the k-th point, and s the scalar that is
    left over where none is read.

    Args:
        x: Multivectors, shape [16, ..., C].
        s: Scalars, shape [..., S].
        counts: Number of objects of each kind that are read.

    Returns:
        Shape [...].
    """
    weights = x[POSITIONS[1, 2, 3], ..., : counts.get("point", 0)]
    spare = s[..., counts.get("scalar", 0) :]
    return (weights.abs() - 1).square().sum(dim=-1) + spare.square().sum(dim=-1)


def centroid(points: Tensor, graphs: RaggedLayout) -> Tensor:
    """Returns at every node the mean of the points of its graph.

    Args:
        points: Shape [N, P, 3].
        graphs: How the nodes belong to graphs.

    Returns:
        Shape [N, 1, 3].
    """
    return graphs.mean(points.mean(dim=1)).unsqueeze(1)


def _resize(x: Tensor, size: int) -> Tensor:
    """Appends zeros to the last axis."""
    return functional.pad(x, (0, size - x.size(-1)))


def _num_multivectors(counts: Mapping[str, int]) -> int:
    return max(counts.get("point", 0), counts.get("vector", 0), 1)
