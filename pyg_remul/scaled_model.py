"""Models that see lengths in a unit of their own."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from torch import Tensor, nn
from torch_geometric.data import Data

from pyg_remul.checks import check_numbers

__all__ = ["ScaledModel"]


class ScaledModel(nn.Module):
    r"""A model whose inputs and predictions are measured in another length.

    .. math::
        f_s(x) = s\, f(x / s)

    It is as equivariant as the model within. Networks with products of features, such as those of
    :class:`~pyg_remul.models.EMLP`, train badly on inputs far from order one.

    Args:
        model: The model within, which predicts a length.
        scale: The length s, in the unit of the data.
        lengths: Names of the node attributes that are divided by it.

    Raises:
        ValueError: If the scale is not positive.

    Example:
        >>> import torch
        >>> model = ScaledModel(lambda data: data.pos.square(), scale=10.0, lengths=["pos"])
        >>> model(Data(pos=torch.full((1, 3), 20.0)))
        tensor([[40., 40., 40.]])
    """

    def __init__(self, model: nn.Module, scale: float, lengths: Iterable[str]) -> None:
        super().__init__()
        check_numbers(scale=scale)
        self.model, self.scale, self.lengths = model, scale, tuple(lengths)

    def forward(self, data: Data) -> Tensor:
        """Returns the prediction in the unit of the data."""
        scaled = copy.copy(data)
        for name in self.lengths:
            scaled[name] = data[name] / self.scale
        return self.scale * self.model(scaled)

    def regularisation(self) -> Tensor | float:
        """The penalty of the model within, 0 if it has none."""
        penalty = getattr(self.model, "regularisation", None)
        return 0.0 if penalty is None else penalty()

    def compile(self, *args: object, **kwargs: object) -> None:
        """Compiles the model within."""
        self.model.compile(*args, **kwargs)
