"""Random directions among the weights of a model, on the scale of its filters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

__all__ = ["filter_normalised_direction"]


def filter_normalised_direction(model: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    r"""Draws a direction by the recipe of `Li et al. (2018) <https://arxiv.org/abs/1712.09913>`_.

    .. math::
        d_f \leftarrow \frac{d_f}{\lVert d_f \rVert} \lVert w_f \rVert, \qquad d \sim N(0, 1)

    for every filter f, the weights :math:`w_f` that make one output of a layer. A step along the
    direction then changes each filter in proportion to its own norm, so that models whose weights
    are of different scales can be compared.

    A filter is a slice along the first axis of a parameter of two axes or more: a row of a matrix,
    one of queries, keys or values if these are fused, or a kernel of a convolution. Parameters of
    one axis or none, such as biases and gains, have no direction, nor have those that are not
    trained. Where a module keeps its weights in another layout, its attribute ``filter_axes`` maps
    its parameters to the axes that number their filters, to none for those to be held: a filter of
    :class:`~pyg_remul.models.GATr` is what an output multivector takes from all multivectors by
    all nine maps, and one of the :class:`~pyg_remul.models.SE3Transformer`'s radial networks is a
    column of one network.

    Note:
        :class:`~pyg_remul.models.EMLP` projects its matrices, and with them the direction, of which
        only the equivariant part moves the model; it is thereby shorter than that of a model
        without projections.

    Args:
        model: The model.
        generator: Source of the draw, on the CPU. Equal seeds draw equal numbers on all devices and
            in all precisions.

    Returns:
        A tensor of the shape, type and device of each of the model's parameters, by its name.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> direction = filter_normalised_direction(layer, torch.Generator().manual_seed(0))
        >>> torch.allclose(direction["weight"].norm(dim=1), layer.weight.norm(dim=1))
        True
        >>> direction["bias"]
        tensor([0., 0.])
    """
    axes = _declared_axes(model)
    return {
        name: _draw(parameter.detach(), axes.get(name, _usual_axes(parameter)), generator)
        for name, parameter in model.named_parameters()
    }


def _declared_axes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The axes that modules declare, for parameters of their own and of lists that they hold."""
    declared = {}
    for prefix, module in model.named_modules():
        axes: Mapping[str, tuple[int, ...]] = getattr(module, "filter_axes", {})
        for name, _ in module.named_parameters(prefix) if axes else ():
            attribute = name.removeprefix(f"{prefix}.").partition(".")[0]
            if attribute in axes:
                declared[name] = axes[attribute]
    return declared


def _usual_axes(parameter: nn.Parameter) -> tuple[int, ...]:
    return (0,) if parameter.dim() > 1 and parameter.requires_grad else ()


def _draw(weights: Tensor, axes: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if not axes:
        return torch.zeros_like(weights)
    drawn = torch.randn(weights.shape, generator=generator, dtype=torch.float64)
    inner = [axis for axis in range(weights.dim()) if axis not in axes]
    norms = vector_norm(weights.cpu().double(), dim=inner, keepdim=True)
    return (drawn / vector_norm(drawn, dim=inner, keepdim=True) * norms).to(weights)
