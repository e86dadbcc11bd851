"""How the attributes of a graph answer to a group element."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from pyg_remul.irreps import wigner_matrices

if TYPE_CHECKING:
    from pyg_remul.element import GroupElement

__all__ = ["Representation", "parse_representation", "representation_terms"]


class Representation(ABC):
    """How the columns of an attribute transform; made by :func:`parse_representation`."""

    event_dims: ClassVar[int] = 1  # trailing axes that one geometric object takes

    @abstractmethod
    def width(self, dim: int) -> int | None:
        """Columns on the last axis under a group acting on ``dim`` dimensions, ``None`` for any."""

    @abstractmethod
    def transform(self, value: Tensor, element: GroupElement, index: Tensor | None) -> Tensor:
        """Turns ``value``: row ``i`` by element ``index[i]``, or by element ``i`` without index."""

    def columns(self, dim: int) -> int:
        """Columns that the object takes inside a concatenation."""
        return self.width(dim) or 1

    def check(self, value: Tensor, dim: int, name: str) -> None:
        """Refuses a value that cannot be of this kind.

        Args:
            value: The attribute.
            dim: Dimensions the group acts on.
            name: The attribute's name, for the message.

        Raises:
            ValueError: If the last axis (for a tensor, the last two) has another width.
        """
        width = self.width(dim)
        if width is None:
            return
        if value.dim() < 1 + self.event_dims:
            axes = ", ".join([str(width)] * self.event_dims)
            raise ValueError(
                f"`{name}` must have shape [rows, ..., {axes}] to be of kind '{self}', got "
                f"{list(value.shape)}; an attribute of the whole graph has one row, [1, {axes}]."
            )
        if any(size != width for size in value.shape[value.dim() - self.event_dims :]):
            raise ValueError(
                f"`{name}` must have width {width} to be of kind '{self}' under a group acting on "
                f"{dim} dimensions, got width {value.shape[-1]} (shape {list(value.shape)})."
            )


def _gather(per_element: Tensor, index: Tensor | None, like: Tensor) -> Tensor:
    """Selects each row's element, in the value's dtype, broadcast over the value's inner axes."""
    rows = per_element if index is None else per_element.index_select(0, index)
    rows = rows.to(like.dtype)
    inner = like.dim() - rows.dim()
    return rows.reshape(rows.size(0), *(1,) * inner, *rows.shape[1:])


def _turn(value: Tensor, matrix: Tensor, index: Tensor | None) -> Tensor:
    """Applies ``matrix`` ``[B, k, k]`` to the last axis of ``value`` ``[rows, ..., k]``.

    Column by column, since autocast and TF32 would round a matrix product, and with it positions.
    """
    rows = _gather(matrix, index, value.unsqueeze(-2))
    turned = value[..., :1] * rows[..., 0]
    for column in range(1, value.size(-1)):
        turned = turned + value[..., column : column + 1] * rows[..., column]
    return turned


@dataclass(frozen=True)
class _Scalar(Representation):
    def __str__(self) -> str:
        return "scalar"

    def width(self, dim: int) -> int | None:  # noqa: ARG002
        return None

    def transform(self, value: Tensor, element: GroupElement, index: Tensor | None) -> Tensor:  # noqa: ARG002
        return value


@dataclass(frozen=True)
class _Vector(Representation):
    def __str__(self) -> str:
        return "vector"

    def width(self, dim: int) -> int | None:
        return dim

    def transform(self, value: Tensor, element: GroupElement, index: Tensor | None) -> Tensor:
        return _turn(value, element.matrix, index)


@dataclass(frozen=True)
class _Pseudovector(Representation):
    def __str__(self) -> str:
        return "pseudovector"

    def width(self, dim: int) -> int | None:
        _require_space(self, dim)
        return dim

    def transform(self, value: Tensor, element: GroupElement, index: Tensor | None) -> Tensor:
        return _turn(value, element.matrix * element.parity[:, None, None], index)


@dataclass(frozen=True)
class _Point(Representation):
    def __str__(self) -> str:
        return "point"

    def width(self, dim: int) -> int | None:
        return dim

    def transform(self, value: Tensor, element: GroupElement, index: Tensor | None) -> Tensor:
        turned = _turn(value, element.matrix, index)
        if element.translation is None:
            return turned
        return turned + _gather(element.translation, index, value)


@dataclass(frozen=True)
class _Tensor(Representation):
    event_dims: ClassVar[int] = 2

    def __str__(self) -> str:
        return "tensor"

    def width(self, dim: int) -> int | None:
        return dim

    def columns(self, dim: int) -> int:
        return dim * dim

    def transform(self, value: Tensor, element: GroupElement, index: Tensor | None) -> Tensor:
        return _turn(_turn(value, element.matrix, index).mT, element.matrix, index).mT


@dataclass(frozen=True)
class _Irrep(Representation):
    degree: int
    parity: int

    def __str__(self) -> str:
        return f"{self.degree}{'e' if self.parity == 1 else 'o'}"

    def width(self, dim: int) -> int | None:
        _require_space(self, dim)
        return 2 * self.degree + 1

    def transform(self, value: Tensor, element: GroupElement, index: Tensor | None) -> Tensor:
        sign = element.parity[:, None, None]
        matrix = wigner_matrices(element.matrix * sign, self.degree)[-1]
        return _turn(value, matrix * sign if self.parity == -1 else matrix, index)


@dataclass(frozen=True)
class _Sum(Representation):
    """Concatenated columns, term by term, each term with its multiplicity."""

    terms: tuple[tuple[int, Representation], ...]

    def __str__(self) -> str:
        return " + ".join(f"{mul}x{base}" if mul > 1 else str(base) for mul, base in self.terms)

    def width(self, dim: int) -> int | None:
        return sum(mul * base.columns(dim) for mul, base in self.terms)

    def transform(self, value: Tensor, element: GroupElement, index: Tensor | None) -> Tensor:
        dim = element.dim
        sizes = [mul * base.columns(dim) for mul, base in self.terms]
        parts = zip(self.terms, value.split(sizes, dim=-1), strict=True)
        return torch.cat(
            [
                base.transform(part.unflatten(-1, _event(mul, base, dim)), element, index).flatten(
                    -1 - base.event_dims
                )
                for (mul, base), part in parts
            ],
            dim=-1,
        )


def _event(mul: int, base: Representation, dim: int) -> tuple[int, ...]:
    """The axes of ``mul`` objects that lie side by side in the columns of a sum."""
    return (mul, dim, dim) if base.event_dims == 2 else (mul, base.columns(dim))


def _require_space(representation: Representation, dim: int) -> None:
    if dim != 3:
        raise ValueError(
            f"kind '{representation}' needs a group acting on 3 dimensions, got one on {dim}."
        )


_KINDS: dict[str, Representation] = {
    str(kind): kind for kind in (_Scalar(), _Vector(), _Pseudovector(), _Point(), _Tensor())
}
_TERM = re.compile(
    r"(?:(?P<mul>\d+)\s*x\s*)?(?:(?P<kind>[a-z]{2,})|(?P<degree>\d+)(?P<parity>[eo]))"
)


def _parse_term(term: str, whole: str, parameter: str) -> tuple[int, Representation]:
    match = _TERM.fullmatch(term.strip())
    if match is None or not (match["kind"] is None or match["kind"] in _KINDS):
        raise ValueError(
            f"`{parameter}` must hold one of {', '.join(map(repr, _KINDS))}, an irrep such as "
            f"'1o', or a sum such as '2xscalar + point + vector', got '{whole}'."
        )
    mul = int(match["mul"] or 1)
    if mul < 1:
        raise ValueError(f"`{parameter}` must have multiplicities of at least 1, got '{whole}'.")
    if match["kind"]:
        return mul, _KINDS[match["kind"]]
    return mul, _Irrep(int(match["degree"]), 1 if match["parity"] == "e" else -1)


@lru_cache(maxsize=256)
def parse_representation(text: str, parameter: str = "reps") -> Representation:
    r"""Reads a representation.

    ============== ================ ==============================================================
    kind           shape            under :math:`(R, t)`
    ============== ================ ==============================================================
    scalar         any              unchanged
    vector         ``[..., d]``     :math:`R v`
    pseudovector   ``[..., 3]``     :math:`\det(R) R v`
    point          ``[..., d]``     :math:`R x + t`
    tensor         ``[..., d, d]``  :math:`R T R^\top`
    ``2e``, ``1o`` ``[..., 2l+1]``  :math:`D_l` in the basis of e3nn, ``o`` odd under inversion
    ============== ================ ==============================================================

    Terms joined by ``+``, each with an optional multiplicity (``8x1o``, ``2xscalar``), describe
    columns that lie side by side on the last axis, in which a scalar takes one column and a tensor
    :math:`d^2`. Every irreps string of e3nn is therefore read as e3nn reads it.

    Args:
        text: The description, such as ``"vector"`` or ``"scalar + point + vector"``.
        parameter: Name of the parameter that gave it, for the error messages.

    Returns:
        The representation. ``str`` of it gives its normal form.

    Raises:
        TypeError: If ``text`` is no string.
        ValueError: If a term is none of the above.

    Example:
        >>> parse_representation("scalar + point + vector").width(3)
        7
        >>> parse_representation("8x1o + 2x2e").width(3)
        34
    """
    if not isinstance(text, str):
        raise TypeError(f"`{parameter}` must hold strings, got {text!r}.")
    terms = tuple(_parse_term(term, text, parameter) for term in text.split("+"))
    if len(terms) == 1 and terms[0][0] == 1:
        return terms[0][1]
    return _Sum(terms)


def representation_terms(text: str, parameter: str = "reps") -> tuple[tuple[int, str], ...]:
    """Returns the multiplicity and the kind of every term of a representation.

    Args:
        text: The description, as for :func:`parse_representation`.
        parameter: As there.

    Example:
        >>> representation_terms("2xscalar + point")
        ((2, 'scalar'), (1, 'point'))
    """
    representation = parse_representation(text, parameter)
    if isinstance(representation, _Sum):
        return tuple((mul, str(base)) for mul, base in representation.terms)
    return ((1, str(representation)),)
