"""The loss of a model on a plane through its weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pyg_remul.checks import check_integers, check_numbers

__all__ = ["Direction", "ModelLoss", "grid_axis", "loss_surface"]

Direction: TypeAlias = Mapping[str, Tensor]
"""A tensor for each parameter of a model, by its name."""

ModelLoss: TypeAlias = Callable[[nn.Module], Tensor]
"""A function of a model that returns its loss, 0-dimensional."""


def grid_axis(num_points: int = 51, extent: float = 1.0) -> Tensor:
    """The coordinates of a grid along one direction, the middle one being 0.

    Args:
        num_points: Their number, odd and at least 3.
        extent: The largest of them.

    Returns:
        Shape ``[num_points]``, float64.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> grid_axis(5)
        tensor([-1.0000, -0.5000,  0.0000,  0.5000,  1.0000], dtype=torch.float64)
    """
    check_integers(num_points=num_points)
    check_numbers(extent=extent)
    if num_points < 3 or num_points % 2 == 0:
        raise ValueError(f"`num_points` must be odd and at least 3, got {num_points}.")
    half = num_points // 2
    return torch.arange(-half, half + 1, dtype=torch.float64) / half * extent


def loss_surface(
    model: nn.Module,
    loss: ModelLoss,
    directions: tuple[Direction, Direction],
    *,
    num_points: int = 51,
    extent: float = 1.0,
    dtype: torch.dtype = torch.float64,
    begun: Tensor | None = None,
    report: Callable[[Tensor], object] | None = None,
) -> Tensor:
    r"""Evaluates a loss around a model, after `Li et al. (2018) <https://arxiv.org/abs/1712.09913>`_.

    .. math::
        S_{ij} = L(\theta + a_i \, d_1 + a_j \, d_2)

    with the weights :math:`\theta` of the model, two directions such as those of
    :func:`~pyg_remul.filter_directions.filter_normalised_direction`, and the coordinates a of
    :func:`grid_axis`. It is evaluated in evaluation mode on a copy; the model does not change.

    Args:
        model: The model.
        loss: Its loss, on data in the precision of `dtype`.
        directions: The directions :math:`d_1, d_2`.
        num_points: Points along each direction, odd and at least 3.
        extent: Largest coordinate along each.
        dtype: The precision.
        begun: What `report` was given before an interruption; its rows that are complete are not
            evaluated again.
        report: Called after each row with the surface so far, in which what is missing is NaN,
            instead of a progress bar.

    Returns:
        Shape ``[num_points, num_points]``, float64, on the CPU. A loss that overflows is infinite.

    Raises:
        ValueError: If an argument is out of range, or the names of a direction, or the shape of
            `begun`, do not fit.

    Example:
        >>> model = nn.PReLU(init=0.0)
        >>> first, second = {"weight": torch.tensor([1.0])}, {"weight": torch.tensor([2.0])}
        >>> loss_surface(
        ...     model,
        ...     lambda model: model.weight.square().sum(),
        ...     (first, second),
        ...     num_points=3,
        ...     report=lambda surface: None,
        ... )
        tensor([[9., 1., 1.],
                [4., 0., 4.],
                [1., 1., 9.]], dtype=torch.float64)
    """
    axis = grid_axis(num_points, extent)
    for direction in directions:
        _check_names(model, direction)
    surface = _open(begun, num_points)
    moved = copy.deepcopy(model).to(dtype).eval()
    origin = {name: value.detach().clone() for name, value in moved.named_parameters()}
    steps = [{name: value.to(origin[name]) for name, value in d.items()} for d in directions]
    missing = surface.isnan().any(dim=1).nonzero().flatten().tolist()
    with tqdm(missing, desc="loss surface", unit="row", disable=report is not None) as rows:
        for row in rows:
            start = {n: value + axis[row].item() * steps[0][n] for n, value in origin.items()}
            surface[row] = _row_of_losses(moved, loss, start, steps[1], axis)
            if report is not None:
                report(surface.clone())
    return surface


@torch.no_grad()
def _row_of_losses(
    model: nn.Module, loss: ModelLoss, start: Direction, step: Direction, axis: Tensor
) -> Tensor:
    losses = []
    for coordinate in axis.tolist():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.add(start[name], step[name], alpha=coordinate))
        losses.append(loss(model).double())
    return torch.stack(losses).cpu().nan_to_num(nan=torch.inf, posinf=torch.inf)


def _open(begun: Tensor | None, num_points: int) -> Tensor:
    shape = (num_points, num_points)
    if begun is None:
        return torch.full(shape, torch.nan, dtype=torch.float64)
    if begun.shape != shape:
        raise ValueError(f"`begun` must have shape {list(shape)}, got {list(begun.shape)}.")
    return begun.to("cpu", torch.float64, copy=True)


def _check_names(model: nn.Module, direction: Direction) -> None:
    shapes = {name: list(value.shape) for name, value in model.named_parameters()}
    given = {name: list(value.shape) for name, value in direction.items()}
    if wrong := [name for name in shapes | given if shapes.get(name) != given.get(name)]:
        raise ValueError(
            "`directions` must have a tensor for each parameter; the first that differs, "
            f"'{wrong[0]}', must have shape {shapes.get(wrong[0], 'none')}, got "
            f"{given.get(wrong[0], 'none')}."
        )
