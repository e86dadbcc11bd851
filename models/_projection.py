"""The projection of linear maps onto the equivariant ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_remul.models._exact_tables import ExactTables
from pyg_remul.models._invariant_tensors import invariant_basis
from pyg_remul.models._tensor_representation import TensorRepresentation, TensorTerm
from pyg_remul.precision import full_precision

__all__ = ["Projection"]


class Projection(ExactTables):
    r"""Orthogonal projection :math:`P` of affine maps onto the equivariant ones.

    .. math::
        P W_{ab} = Q Q^\top W_{ab}, \qquad P b_a = Q Q^\top b_a

    where the block :math:`W_{ab}`, from tensors of rank b to tensors of rank a, is made of tensors
    of rank a + b, the bias :math:`b_a` of tensors of rank a, and :math:`Q` is an orthonormal basis
    of the invariant tensors of that rank. Blocks between tensors of different parity vanish.

    Args:
        source: The tensors on which the maps act.
        target: The tensors that they return.

    Example:
        >>> vectors = TensorRepresentation((TensorTerm(rank=1, parity=1, multiplicity=1),))
        >>> weight, bias = Projection(vectors, vectors)(torch.arange(9.0).view(3, 3), torch.ones(3))
        >>> weight.round(decimals=4).tolist(), bias.tolist()
        ([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]], [0.0, 0.0, 0.0])
    """

    order: Tensor
    inverse: Tensor

    def __init__(self, source: TensorRepresentation, target: TensorRepresentation) -> None:
        super().__init__()
        self.entries = _sort_entries(source, target)
        self.set_tables()

    def tables(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The order of the entries, and the bases of the ranks that occur."""
        bases = {f"basis_{rank}": invariant_basis(rank, dtype) for rank in self.entries.sizes}
        return {"order": self.entries.order, "inverse": self.entries.inverse, **bases}

    def forward(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the equivariant parts of a matrix [target, source] and a bias [target]."""
        bases = [self.get_buffer(f"basis_{rank}") for rank in self.entries.sizes]
        sizes = list(self.entries.sizes.values())
        # A compiler differentiates on its own, and warns of functions that bring their gradient.
        project = _project if torch.compiler.is_compiling() else _Project.apply
        projected: tuple[Tensor, Tensor] = project(
            weight, bias, self.order, self.inverse, sizes, *bases
        )
        return projected


class _Entries(NamedTuple):
    """The entries of a matrix and a bias, sorted into tensors by rank.

    Attributes:
        order: Where the k-th entry of the sorted tensors stands.
        inverse: Where an entry stands among them; behind them if it has to vanish.
        sizes: For each rank, the number of entries.
    """

    order: Tensor
    inverse: Tensor
    sizes: dict[int, int]


@lru_cache(maxsize=32)
def _sort_entries(source: TensorRepresentation, target: TensorRepresentation) -> _Entries:
    with torch.inference_mode(mode=False), torch.device("cpu"):
        scalar = TensorTerm(rank=0, parity=1, multiplicity=1)  # a bias is a map from a scalar
        source = TensorRepresentation((*source.terms, scalar))
        num_weights = target.size * (source.size - 1)
        total = num_weights + target.size
        index = torch.arange(total, dtype=torch.int32)
        matrix = torch.cat(
            [index[:num_weights].view(target.size, -1), index[num_weights:].unsqueeze(1)], dim=1
        )
        blocks = _blocks(source, target, matrix)
        order = torch.cat([index[:0], *(part for rank in sorted(blocks) for part in blocks[rank])])
        inverse = torch.full((total,), order.numel(), dtype=torch.int32)
        inverse[order.long()] = torch.arange(order.numel(), dtype=torch.int32)
        sizes = {rank: sum(map(torch.numel, blocks[rank])) for rank in sorted(blocks)}
        return _Entries(order, inverse, sizes)


def _blocks(
    source: TensorRepresentation, target: TensorRepresentation, matrix: Tensor
) -> dict[int, list[Tensor]]:
    """Cuts a matrix [target, source] into tensors, indices of the target first.

    Returns:
        For each rank with invariant tensors, the flattened blocks of that total rank.
    """
    blocks: dict[int, list[Tensor]] = {}
    for b, columns in zip(source.terms, source.split(matrix), strict=True):
        for a, block in zip(target.terms, target.split(columns.permute(1, 2, 0)), strict=True):
            rank = a.rank + b.rank
            if a.parity == b.parity and invariant_basis(rank).size(1) > 0:
                blocks.setdefault(rank, []).append(block.permute(2, 0, 3, 1).flatten())
    return blocks


class _Project(torch.autograd.Function):
    """Projects a matrix and a bias; being symmetric, it is its own backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        bias: Tensor,
        order: Tensor,
        inverse: Tensor,
        sizes: list[int],
        *bases: Tensor,
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(order, inverse, *bases)
        ctx.sizes = sizes
        return _project(weight, bias, order, inverse, sizes, *bases)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, bias = gradients
        order, inverse, *bases = ctx.saved_tensors
        projected = _project(weight, bias, order, inverse, ctx.sizes, *bases)
        return (*projected, None, None, None, *[None] * len(bases))


def _project(
    weight: Tensor,
    bias: Tensor,
    order: Tensor,
    inverse: Tensor,
    sizes: Sequence[int],
    *bases: Tensor,
) -> tuple[Tensor, Tensor]:
    """Sorts the entries into tensors by rank, projects these, and sorts them back."""
    with full_precision(weight.device):
        entries = torch.cat([weight.flatten(), bias]).index_select(0, order)
        projected = [
            (part.view(-1, basis.size(0)) @ basis @ basis.T).flatten()
            for part, basis in zip(entries.split(sizes), bases, strict=True)
        ]
        entries = torch.cat([*projected, weight.new_zeros(1)]).index_select(0, inverse)
        return entries[: weight.numel()].view(weight.shape), entries[weight.numel() :]
