"""Losses by name, for one target or several, with masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch_geometric.data import Batch

from pyg_remul.rows import store_of

__all__ = ["Criteria", "Criterion", "check_choice", "label_of", "target_weights"]

Criterion: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A function of prediction and reference that returns a 0-dimensional mean."""

Choice: TypeAlias = str | Criterion | Mapping[str, str | Criterion]

_CRITERIA: dict[str, Criterion] = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "huber": functional.huber_loss,
}


class Criteria:
    """The weighted sum of a loss for each target.

    Args:
        option: The name of the option that ``choice`` comes from, for messages.
        choice: ``"mse"``, ``"l1"``, ``"huber"``, a function, or a mapping of targets to these.
        weights: The weight of each target.
        mask: The boolean attribute that selects the rows of every target, or a mapping of targets.

    Raises:
        ValueError: If the name is unknown or a target has no loss.

    Example:
        >>> criteria = Criteria("objective", "l1", {"y": 2.0})
        >>> criteria({"y": torch.ones(4, 3)}, {"y": torch.zeros(4, 3)}, Batch()).item()
        2.0
    """

    def __init__(
        self,
        option: str,
        choice: Choice,
        weights: Mapping[str, float],
        mask: str | Mapping[str, str] | None = None,
    ) -> None:
        given = choice if isinstance(choice, Mapping) else dict.fromkeys(weights, choice)
        self.weights = dict(weights)
        self.losses = {name: _criterion(option, name, given) for name in weights}
        self.masks = dict.fromkeys(weights, mask) if isinstance(mask, str) else dict(mask or {})

    def __call__(
        self, predictions: Mapping[str, Tensor], references: Mapping[str, Tensor], batch: Batch
    ) -> Tensor:
        """Returns the weighted sum, 0-dimensional."""
        terms = []
        for name, weight in self.weights.items():
            prediction, reference = predictions[name], references[name]
            if name in self.masks:
                chosen = _mask(batch, self.masks[name], prediction)
                prediction, reference = prediction[chosen], reference[chosen]
            loss = self.losses[name](prediction, reference) if len(prediction) else prediction.sum()
            terms.append(weight * loss)  # no row chosen: a sum over nothing, 0 with its gradient
        return torch.stack(terms).sum()


def target_weights(target: str | Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    """Reads targets, with weight 1 where none is given.

    Raises:
        ValueError: If there is no target.
    """
    if isinstance(target, Mapping):
        weights = {name: float(weight) for name, weight in target.items()}
    else:
        weights = dict.fromkeys([target] if isinstance(target, str) else target, 1.0)
    if not weights:
        raise ValueError(f"`target` must name at least one attribute, got {target!r}.")
    return weights


def label_of(batch: Batch, name: str) -> Tensor:
    """Returns a target.

    Raises:
        ValueError: If the batch lacks it.
    """
    store = store_of(batch, name)
    if store is None:
        raise ValueError(f"`target` names '{name}', which the batch lacks.")
    return store[name]


def check_choice(option: str, value: str, choices: Iterable[str]) -> None:
    """Refuses a value that is none of the choices."""
    if value not in choices:
        raise ValueError(
            f"`{option}` must be one of {', '.join(map(repr, choices))}, got {value!r}."
        )


def _criterion(option: str, name: str, given: Mapping[str, str | Criterion]) -> Criterion:
    if name not in given:
        raise ValueError(f"`{option}` must give a loss for target '{name}', got {dict(given)}.")
    loss = given[name]
    if not isinstance(loss, str):
        return loss
    check_choice(option, loss, _CRITERIA)
    return _CRITERIA[loss]


def _mask(batch: Batch, name: str, prediction: Tensor) -> Tensor:
    mask = label_of(batch, name)
    if mask.dtype != torch.bool or len(mask) != len(prediction):
        raise ValueError(
            f"`mask` must name a boolean attribute with {len(prediction)} rows, got '{name}', "
            f"{mask.dtype} of shape {list(mask.shape)}."
        )
    return mask
