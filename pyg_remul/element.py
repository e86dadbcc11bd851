"""Elements of isometry groups, in batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_remul.precision import full_precision
from pyg_remul.representations import parse_representation
from pyg_remul.transfer import send

__all__ = ["GroupElement"]


@dataclass(frozen=True, eq=False)
class GroupElement:
    r"""A batch of isometries :math:`x \mapsto R x + t`.

    Args:
        matrix: The orthogonal parts :math:`R`, shape ``[B, d, d]``, determinant :math:`\pm 1`.
        translation: The translations :math:`t`, shape ``[B, d]``, or ``None`` for none.

    Raises:
        ValueError: If the shapes are not these.

    Example:
        >>> import torch
        >>> from pyg_remul import SE3
        >>> element = SE3().sample(4, generator=torch.Generator().manual_seed(0))
        >>> there_and_back = element.inverse().compose(element)
        >>> torch.allclose(there_and_back.matrix, torch.eye(3).expand(4, 3, 3), atol=1e-6)
        True
    """

    matrix: Tensor
    translation: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.matrix.shape
        if len(shape) != 3 or shape[1] != shape[2]:
            raise ValueError(f"`matrix` must have shape [B, d, d], got {list(shape)}.")
        if self.translation is not None and self.translation.shape != shape[:2]:
            raise ValueError(
                f"`translation` must have shape {list(shape[:2])} to go with `matrix`, got "
                f"{list(self.translation.shape)}."
            )

    @classmethod
    def identity(
        cls,
        num: int,
        dim: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> GroupElement:
        """The neutral element, ``num`` times."""
        return cls(torch.eye(dim, dtype=dtype, device=device).expand(num, dim, dim))

    @property
    def dim(self) -> int:
        """Dimensions :math:`d` that the group acts on."""
        return self.matrix.size(-1)

    @property
    def parity(self) -> Tensor:
        """Determinants, exactly 1 for rotations and -1 for reflections, shape ``[B]``."""
        matrix = self.matrix if self.matrix.dtype == torch.float64 else self.matrix.float()
        return _determinant(matrix).sign().to(self.matrix.dtype)

    def __len__(self) -> int:
        return self.matrix.size(0)

    def __getitem__(self, index: slice | Tensor) -> GroupElement:
        translation = None if self.translation is None else self.translation[index]
        return GroupElement(self.matrix[index], translation)

    def to(
        self,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> GroupElement:
        """The same elements with another dtype or on another device."""
        translation = self.translation
        if translation is not None:
            translation = send(translation, device, dtype)
        return GroupElement(send(self.matrix, device, dtype), translation)

    def compose(self, other: GroupElement) -> GroupElement:
        """The elements that act as ``other`` first and ``self`` second.

        Args:
            other: As many elements as here, or one on either side.

        Returns:
            The products ``self * other``.
        """
        with full_precision(self.matrix.device):
            matrix = self.matrix @ other.matrix
        if other.translation is None and self.translation is None:
            return GroupElement(matrix)
        start = (
            matrix.new_zeros(matrix.shape[:2]) if other.translation is None else other.translation
        )
        moved = parse_representation("point").transform(start, self, None)
        return GroupElement(matrix, moved.expand(matrix.shape[:2]))

    def inverse(self) -> GroupElement:
        """The inverse elements."""
        turned_back = GroupElement(self.matrix.mT)
        if self.translation is None:
            return turned_back
        return GroupElement(turned_back.matrix, -turned_back.act(self.translation))

    def act(self, value: Tensor, rep: str = "vector", index: Tensor | None = None) -> Tensor:
        """Transforms a tensor out of place, as :math:`v' = R v`.

        Args:
            value: Shape ``[rows, ...]``, the last axis as ``rep`` requires.
            rep: The kind; see :func:`~pyg_remul.representations.parse_representation`.
            index: The element of each row, shape ``[rows]``. Without it, row ``b`` belongs to
                element ``b``, or every row to the only element.

        Returns:
            A tensor of ``value``'s shape and dtype; ``value`` itself where nothing changes.

        Raises:
            ValueError: If the width or the number of rows does not fit.

        Example:
            >>> quarter = GroupElement(torch.tensor([[[0.0, -1.0], [1.0, 0.0]]]))
            >>> quarter.act(torch.tensor([[1.0, 0.0]])).tolist()
            [[0.0, 1.0]]
        """
        representation = parse_representation(rep)
        representation.check(value, self.dim, "value")
        rows = value.size(0) if index is None else index.numel()
        if (index is None and len(self) not in (1, rows)) or rows != value.size(0):
            raise ValueError(
                f"`value` must have one row for each of {len(self)} elements or an `index` with an "
                f"entry for every row, got {value.size(0)} rows and "
                f"{'no index' if index is None else f'{rows} entries'}."
            )
        return representation.transform(value, self, index)


def _determinant(matrix: Tensor) -> Tensor:
    """By its formula in two and three dimensions, as a factorisation may wait for the device."""
    if matrix.size(-1) == 2:
        return matrix[:, 0, 0] * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0]
    if matrix.size(-1) == 3:
        first, second, third = matrix.unbind(dim=1)
        return (torch.linalg.cross(first, second) * third).sum(dim=-1)
    return torch.linalg.det(matrix)
