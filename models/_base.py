"""What the models share: reading a graph's attributes, initialisation and description."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn.inits import reset

from pyg_remul.checks import check_integers
from pyg_remul.ops import RaggedLayout

Symmetry = Literal["exact", "soft", "none"]


class NodeModel(nn.Module, ABC):
    """Base of the models, which map node attributes to one row of outputs per node.

    A subclass reads its inputs with :meth:`node_inputs`, so that they are concatenated after a
    group element has acted on each attribute. Every leaf module initialises itself once when it is
    built, in the order in which :meth:`reset_parameters` visits it; a seed therefore gives the same
    weights by either way.

    Attributes:
        symmetry: ``"exact"`` if the architecture is equivariant for every value of its weights,
            ``"soft"`` if something in it prefers equivariance, ``"none"`` otherwise. The class
            says under which group.

    Args:
        in_channels: Total number of columns of the inputs.
        hidden_channels: Width of the hidden layers.
        out_channels: Number of outputs per node.
        num_layers: Number of layers.
        inputs: Names of the node attributes to concatenate; a one-dimensional attribute counts as
            one column.

    Raises:
        TypeError: If `inputs` is a single string.
        ValueError: If a size is not positive.
    """

    symmetry: ClassVar[Symmetry] = "none"

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        out_channels: int,
        num_layers: int,
        inputs: Sequence[str],
    ) -> None:
        super().__init__()
        check_integers(
            in_channels=in_channels,
            hidden_channels=hidden_channels,
            out_channels=out_channels,
            num_layers=num_layers,
        )
        self.in_channels = in_channels
        self.hidden_channels = hidden_channels
        self.out_channels = out_channels
        self.num_layers = num_layers
        self.inputs = check_names("inputs", inputs)

    core: Callable[..., Any]
    """Maps tensors to tensors, without a graph around them."""

    @abstractmethod
    def forward(self, data: Data) -> Tensor:
        """Returns the outputs [N, out_channels] of the nodes of a graph or a batch."""

    def reset_parameters(self) -> None:
        """Draws all weights anew, from torch's global generator."""
        for child in self.children():
            reset(child)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compiles :attr:`core` in place by :func:`torch.compile`, with its arguments.

        What reads the graph stays as it is, for a compiler would look at the number of graphs and
        start anew for another. Neither copies nor the state of the model know of it. PyTorch's
        compiler has no second derivatives: leave a model uncompiled whose forces are trained.
        """
        self.__dict__["core"] = torch.compile(self.core, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the compiled core, which belongs to this very model."""
        return {key: value for key, value in self.__dict__.items() if key != "core"}

    def node_inputs(self, data: Data) -> Tensor:
        """Concatenates the input attributes of the nodes, [N, in_channels], integers as floats.

        Raises:
            TypeError: If an attribute is no tensor.
            ValueError: If an attribute is missing or has an unfit shape, or if the total width
                differs from `in_channels`.
        """
        columns = self._columns(data)
        width = sum(column.size(1) for column in columns.values())
        if width != self.in_channels:
            found = ", ".join(f"{name}: {column.size(1)}" for name, column in columns.items())
            raise ValueError(
                f"`in_channels` must equal the total width of the inputs, {width} ({found}), "
                f"got {self.in_channels}."
            )
        rows = {name: column.size(0) for name, column in columns.items()}
        num_nodes, *others = rows.values()
        if any(other != num_nodes for other in others):
            raise ValueError(f"`inputs` must have one row per node each, got {rows}.")
        return self.as_floats(torch.cat(list(columns.values()), dim=-1))

    def as_floats(self, value: Tensor) -> Tensor:
        """Returns integers, such as atomic numbers, in the dtype of the weights; floats as such."""
        return value if value.is_floating_point() else value.to(next(self.parameters()).dtype)

    def _columns(self, data: Data) -> dict[str, Tensor]:
        return {name: attribute(data, name) for name in self.inputs}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.in_channels}, {self.hidden_channels}, "
            f"{self.out_channels}, num_layers={self.num_layers})"
        )


def check_names(parameter: str, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names as a tuple, refusing a lone string, whose letters would pass for names."""
    if isinstance(names, str):
        raise TypeError(f"`{parameter}` must be a sequence of names, got the string {names!r}.")
    return tuple(names)


def present(data: Data, name: str) -> Tensor:
    """Returns an attribute that a model cannot do without.

    Raises:
        TypeError: If it is no tensor, or if the graph has several types of nodes.
        ValueError: If it is missing.
    """
    if isinstance(data, HeteroData):
        raise TypeError("`data` must have nodes of one type, got HeteroData; pass it type by type.")
    value = getattr(data, name, None)
    if value is None:
        raise ValueError(f"`data.{name}` must be present, got only {sorted(data.keys())}.")
    if not isinstance(value, Tensor):
        raise TypeError(f"`data.{name}` must be a tensor, got {type(value).__name__}.")
    return value


def attribute(data: Data, name: str) -> Tensor:
    """Returns an attribute as a matrix with one row per node or edge.

    Raises:
        TypeError: If it is no tensor.
        ValueError: If it is missing or has more than two axes.
    """
    value = present(data, name)
    if value.dim() not in (1, 2):
        raise ValueError(f"`data.{name}` must have one or two axes, got shape {list(value.shape)}.")
    return value.unsqueeze(1) if value.dim() == 1 else value


def edge_inputs(data: Data, name: str, edge_dim: int) -> tuple[Tensor, Tensor | None]:
    """Returns the edges [2, E] and their attributes [E, edge_dim], None for a width of zero.

    Raises:
        TypeError: If either is no tensor.
        ValueError: If either is missing, if the edges are no [2, E], if the width is not
            `edge_dim`, or if there is not one row per edge.
    """
    edge_index = present(data, "edge_index")
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(f"`data.edge_index` must have shape [2, E], got {list(edge_index.shape)}.")
    if edge_dim == 0:
        return edge_index, None
    edge_attr = attribute(data, name)
    if edge_attr.size(1) != edge_dim:
        raise ValueError(
            f"`edge_dim` must equal the width of `data.{name}`, {edge_attr.size(1)}, "
            f"got {edge_dim}."
        )
    if edge_attr.size(0) != edge_index.size(1):
        raise ValueError(
            f"`data.{name}` must have one row per edge, {edge_index.size(1)}, got "
            f"{edge_attr.size(0)}."
        )
    return edge_index, edge_attr


def graph_sizes(data: Data, name: str, num_nodes: int) -> list[int]:
    """Returns the number of nodes of every graph; a lone graph is a batch of one.

    A batch made by PyG keeps the boundaries of each collated attribute on the host. They are read
    first, because `ptr` on an accelerator costs a synchronisation.

    Args:
        data: A graph or a batch.
        name: The node attribute whose boundaries are read.
        num_nodes: The number of nodes of all graphs together.

    Raises:
        ValueError: If there is a `batch` vector without boundaries, or if the boundaries do not
            cover the nodes.
    """
    slices: dict[str, Tensor] = getattr(data, "_slice_dict", None) or {}
    ptr: Tensor | None = slices.get(name, getattr(data, "ptr", None))
    if ptr is None:
        if getattr(data, "batch", None) is not None:
            raise ValueError("`data.ptr` must be present beside `data.batch`, got None.")
        return [num_nodes]
    sizes: list[int] = ptr.diff().tolist()
    if sum(sizes) != num_nodes:
        raise ValueError(
            f"`data.ptr` must cover the {num_nodes} nodes of `data.{name}`, got {sum(sizes)}."
        )
    return sizes


@torch.compiler.disable
def node_layout(data: Data, name: str, x: Tensor) -> RaggedLayout | None:
    """Returns how the nodes belong to graphs, None if there is one graph.

    Its sizes are plain numbers, for each of which a compiler would compile anew; it goes around.

    Args:
        data: A graph or a batch.
        name: The node attribute whose boundaries are read.
        x: The inputs of the nodes, shape [N, in_channels].

    Raises:
        ValueError: As :func:`graph_sizes`.
    """
    sizes = graph_sizes(data, name, x.size(0))
    return None if len(sizes) == 1 else RaggedLayout(sizes, x.device)


def check_graph_sizes(data: Data, name: str, num_rows: int, num_nodes: int) -> None:
    """Refuses graphs that have not `num_nodes` nodes each.

    Args:
        data: A graph or a batch.
        name: The node attribute whose boundaries are read.
        num_rows: The number of nodes of all graphs together.
        num_nodes: The number of nodes that every graph must have.
    """
    for graph, size in enumerate(graph_sizes(data, name, num_rows)):
        if size != num_nodes:
            raise ValueError(
                f"`num_nodes` must be the number of nodes of every graph, {num_nodes}, "
                f"got {size} in graph {graph}."
            )
