"""Models that know which of their inputs are scalars, vectors or points."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_remul.checks import check_integers
from pyg_remul.models._base import NodeModel, check_names
from pyg_remul.representations import parse_representation, representation_terms

__all__ = ["KINDS", "NBODY_REPS", "GeometricModel", "Layout"]

KINDS = ("scalar", "vector", "point")
"""The kinds of objects that rotations and translations set apart."""

NBODY_REPS: Mapping[str, str] = MappingProxyType(
    {"mass": "scalar", "pos": "point", "vel": "vector"}
)


class _Term(NamedTuple):
    kind: str
    start: int
    multiplicity: int
    width: int


class Layout:
    """Where the geometric objects lie in concatenated columns.

    Args:
        parameter: Name of the parameter that gave the representations, for the error messages.
        reps: Representations of the blocks of columns, side by side.
        kinds: The kinds that are understood, such as ``"scalar"`` and ``"vector"``.
        dim: Number of dimensions.

    Attributes:
        width: Number of columns.
        counts: Number of objects of each kind that occurs.

    Raises:
        TypeError: If a representation is no string.
        ValueError: If a term is of another kind or none.

    Example:
        >>> layout = Layout("reps", ["scalar", "vector + 2xscalar"], ("scalar", "vector"))
        >>> layout.width, layout.counts
        (6, {'scalar': 3, 'vector': 1})
        >>> layout.split(torch.arange(6.0).view(1, 6))["scalar"].flatten().tolist()
        [0.0, 4.0, 5.0]
    """

    def __init__(
        self, parameter: str, reps: Sequence[str], kinds: Collection[str], dim: int = 3
    ) -> None:
        self.terms: list[_Term] = []
        self.width = 0
        self.counts: dict[str, int] = {}
        terms = (term for rep in reps for term in representation_terms(rep, parameter))
        for multiplicity, kind in terms:
            if kind not in kinds:
                raise ValueError(
                    f"`{parameter}` must be made of {', '.join(map(repr, kinds))}, got {kind!r}."
                )
            width = parse_representation(kind).columns(dim)
            self.terms.append(_Term(kind, self.width, multiplicity, width))
            self.width += multiplicity * width
            self.counts[kind] = self.counts.get(kind, 0) + multiplicity

    def split(self, x: Tensor) -> dict[str, Tensor]:
        """Cuts columns into objects.

        Args:
            x: Shape [N, width].

        Returns:
            For each kind that occurs, shape [N, count, columns of the kind].
        """
        parts: dict[str, list[Tensor]] = {}
        for kind, start, multiplicity, width in self.terms:
            columns = x.narrow(-1, start, multiplicity * width)
            parts.setdefault(kind, []).append(columns.unflatten(-1, (multiplicity, width)))
        return {kind: torch.cat(pieces, dim=-2) for kind, pieces in parts.items()}

    def join(self, objects: Mapping[str, Tensor]) -> Tensor:
        """Puts objects back in the order of the columns; the inverse of :meth:`split`.

        Args:
            objects: For each kind that occurs, shape [N, count, columns of the kind].

        Returns:
            Shape [N, width].
        """
        used = dict.fromkeys(self.counts, 0)
        columns: list[Tensor] = []
        for kind, _, multiplicity, _ in self.terms:
            piece = objects[kind].narrow(-2, used[kind], multiplicity)
            columns.append(piece.flatten(-2))
            used[kind] += multiplicity
        return torch.cat(columns, dim=-1)


class GeometricModel(NodeModel):
    """Base of the models whose inputs and outputs are geometric objects.

    Args:
        hidden_channels: Width of the hidden layers.
        num_layers: Number of layers.
        inputs: Names of the node attributes to read.
        reps: Their representations, in the language of
            :func:`~pyg_remul.representations.parse_representation`; a ``"scalar"`` is one column.
            Further attributes are ignored, so that ``reps`` of a dataset will do.
        out_rep: Representation of the output.
        kinds: The kinds of objects that the model understands.
        dim: Number of dimensions.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive, `inputs` is empty, an input is not declared, or a
            kind is not understood.
    """

    def __init__(
        self,
        hidden_channels: int,
        num_layers: int,
        inputs: Sequence[str],
        reps: Mapping[str, str],
        out_rep: str,
        kinds: Collection[str],
        dim: int = 3,
    ) -> None:
        check_integers(dim=dim)
        names = check_names("inputs", inputs)
        if not names:
            raise ValueError("`inputs` must name at least one attribute, got ().")
        undeclared = [name for name in names if name not in reps]
        if undeclared:
            raise ValueError(f"`reps` must declare every input, got none for {undeclared}.")
        layout = Layout("reps", [reps[name] for name in names], kinds, dim)
        out_layout = Layout("out_rep", [out_rep], kinds, dim)
        super().__init__(layout.width, hidden_channels, out_layout.width, num_layers, names)
        self.layout = layout
        self.out_layout = out_layout
        self.reps = {name: reps[name] for name in names}
        self.out_rep = out_rep
        self._widths = {name: Layout("reps", [reps[name]], kinds, dim).width for name in names}

    def _counts_beside_position(self) -> dict[str, int]:
        """Number of objects of each kind in the inputs without the first point, the position."""
        counts = dict(self.layout.counts)
        if "point" not in counts:
            raise ValueError(f"`inputs` must hold a point, the position, got {self.reps}.")
        counts["point"] -= 1
        return counts

    def _columns(self, data: Data) -> dict[str, Tensor]:
        columns = super()._columns(data)
        for name, value in columns.items():
            if value.size(1) != self._widths[name]:
                raise ValueError(
                    f"`data.{name}` must have width {self._widths[name]} to be of kind "
                    f"'{self.reps[name]}', got {value.size(1)}."
                )
        return columns
