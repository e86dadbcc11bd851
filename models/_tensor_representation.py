"""Direct sums of Cartesian tensors, between which equivariant networks map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

__all__ = ["KINDS", "TensorGroup", "TensorRepresentation", "TensorTerm"]

TensorGroup = Literal["SO3", "O3"]
KINDS = {"scalar": 0, "vector": 1, "point": 1, "pseudovector": 1}
"""Rank of each kind of geometric object."""
MAX_RANK = 5


class TensorTerm(NamedTuple):
    """Several tensors of one rank.

    Attributes:
        rank: Their rank r, each with 3^r components.
        parity: Their sign under the inversion; 1 where only rotations count.
        multiplicity: Their number.
    """

    rank: int
    parity: int
    multiplicity: int

    @property
    def size(self) -> int:
        """Number of components."""
        return self.multiplicity * 3**self.rank


@dataclass(frozen=True)
class TensorRepresentation:
    """Tensors one after the other, their indices flattened.

    Args:
        terms: Tensors of one rank each.

    Example:
        >>> hidden = TensorRepresentation.evenly(532, "SO3")
        >>> {term.rank: term.multiplicity for term in hidden.terms}
        {0: 118, 1: 39, 2: 12, 3: 4, 4: 1}
        >>> hidden.size, hidden.gated().size
        (532, 588)
    """

    terms: tuple[TensorTerm, ...]

    @classmethod
    def of_kinds(
        cls, counts: Mapping[str, int], copies: int, group: TensorGroup
    ) -> TensorRepresentation:
        """Returns the tensors that geometric objects are.

        Args:
            counts: Number of objects of each kind, in the order of the result.
            copies: Number of nodes, by which the counts are multiplied.
            group: The group, which decides whether parities matter.
        """
        return cls(
            tuple(
                TensorTerm(
                    KINDS[kind], _parity(KINDS[kind] + (kind == "pseudovector"), group), n * copies
                )
                for kind, n in counts.items()
            )
        )

    @classmethod
    def evenly(cls, width: int, group: TensorGroup, rank: int = 1) -> TensorRepresentation:
        r"""Returns tensors that share a width evenly among the ranks.

        While a width remains, the largest rank R whose share fits, :math:`(R + 1) 3^R`, takes it
        with :math:`3^{R - r}` tensors of each rank :math:`r \le R`.

        Args:
            width: Number of components.
            group: The group, which decides whether parities matter.
            rank: A rank that must occur.

        Raises:
            ValueError: If the width is too small, or so large that ranks above 5 would occur.
        """
        least, limit = _share(rank), _share(MAX_RANK + 1)
        if not least <= width < limit:
            raise ValueError(
                f"`hidden_channels` must be at least {least}, to hold tensors of rank {rank}, and "
                f"below {limit}, to need none of rank {MAX_RANK + 1}, got {width}."
            )
        counts: dict[int, int] = {}
        while width:
            top = max(rank for rank in range(MAX_RANK + 1) if _share(rank) <= width)
            width -= _share(top)
            for rank in range(top + 1):
                counts[rank] = counts.get(rank, 0) + 3 ** (top - rank)
        return cls(tuple(TensorTerm(r, _parity(r, group), n) for r, n in sorted(counts.items())))

    @property
    def size(self) -> int:
        """Number of components."""
        return sum(term.size for term in self.terms)

    @property
    def num_gates(self) -> int:
        """Number of tensors that are no scalars."""
        return sum(term.multiplicity for term in self.terms if term.rank > 0)

    def gated(self) -> TensorRepresentation:
        """Returns the representation with a further scalar, after the others, for each gate."""
        scalars, *others = self.terms
        return TensorRepresentation(
            (scalars._replace(multiplicity=scalars.multiplicity + self.num_gates), *others)
        )

    def split(self, x: Tensor) -> list[Tensor]:
        """Cuts components [B, size] into the tensors [B, multiplicity, 3^rank] of each term."""
        parts = x.split([term.size for term in self.terms], dim=-1)
        return [
            part.unflatten(-1, (term.multiplicity, 3**term.rank))
            for term, part in zip(self.terms, parts, strict=True)
        ]


def _share(rank: int) -> int:
    return int((rank + 1) * 3**rank)


def _parity(sign: int, group: TensorGroup) -> int:
    return (-1) ** sign if group == "O3" else 1
