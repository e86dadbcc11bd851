"""Losses by name, for one target or several, with masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch_geometric.data import Batch

from pyg_remul.action import check_finite
from pyg_remul.checks import check_choice
from pyg_remul.rows import Key, split_key, store_of

__all__ = ["Criteria", "Criterion", "Target", "label_of", "target_weights"]

Criterion: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A function of prediction and reference that returns a 0-dimensional mean."""

Target: TypeAlias = str | Iterable[Key] | Mapping[Any, float]
"""One attribute, several, or a mapping of attributes to weights."""

Choice: TypeAlias = str | Criterion | Mapping[Any, str | Criterion]

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
        weights: Mapping[Any, float],
        mask: str | Mapping[Any, str] | None = None,
    ) -> None:
        given = choice if isinstance(choice, Mapping) else dict.fromkeys(weights, choice)
        self.masks = dict.fromkeys(weights, mask) if isinstance(mask, str) else dict(mask or {})
        for name, keys in ((option, given), ("mask", self.masks)):
            if unknown := set(keys) - set(weights):
                raise ValueError(f"`{name}` must be for targets {list(weights)}, got {unknown}.")
        self.option, self.weights = option, dict(weights)
        self.losses = {name: _criterion(option, name, given) for name in weights}

    def __call__(
        self, predictions: Mapping[Any, Tensor], references: Mapping[Any, Tensor], batch: Batch
    ) -> Tensor:
        """Returns the weighted sum, 0-dimensional."""
        terms = []
        for name, weight in self.weights.items():
            prediction, reference = predictions[name], references[name]
            if name in self.masks:
                chosen = _mask(batch, self.masks[name], prediction)
                term = self._masked_loss(name, prediction, reference, chosen)
            else:
                term = self._loss(name, prediction, reference)
            terms.append(weight * term)
        return torch.stack(terms).sum()

    def _masked_loss(
        self, name: Key, prediction: Tensor, reference: Tensor, chosen: Tensor
    ) -> Tensor:
        """The mean over the chosen rows; only a function needs them cut out, which waits."""
        if self.losses[name] not in _CRITERIA.values():
            reference = reference[chosen]
            check_finite(reference, str(name))
            return self._loss(name, prediction[chosen], reference)
        rows = chosen.reshape(-1, *[1] * (prediction.dim() - 1))
        reference = reference.where(rows, 0)
        check_finite(reference, str(name))
        # The others count as 0 without an error, in a mean over all rows.
        mean = self._loss(name, prediction.where(rows, 0), reference)
        return mean * len(chosen) / chosen.sum().clamp(min=1)

    def _loss(self, name: Key, prediction: Tensor, reference: Tensor) -> Tensor:
        if not len(prediction):  # whose mean would be NaN
            return prediction.sum()
        loss = self.losses[name](prediction, reference)
        if loss.dim() != 0:
            raise ValueError(
                f"`{self.option}` must return a mean, 0-dimensional, got shape {list(loss.shape)}."
            )
        return loss


def target_weights(target: Target) -> dict[Key, float]:
    """Reads targets, with weight 1 where none is given.

    Raises:
        ValueError: If there is no target, or a weight is negative or not finite.
    """
    if isinstance(target, Mapping):
        weights = {name: float(weight) for name, weight in target.items()}
    else:
        names: Iterable[Key] = [target] if isinstance(target, str) else target
        weights = dict.fromkeys(names, 1.0)
    if not weights:
        raise ValueError(f"`target` must name at least one attribute, got {target!r}.")
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(
                f"`target` must have finite, not negative weights, got {weight} for '{name}'."
            )
    return weights


def label_of(batch: Batch, name: Key, option: str = "target") -> Tensor:
    """Returns a target, or what another option names.

    Raises:
        ValueError: If the batch lacks it.
    """
    store = store_of(batch, name)
    if store is None:
        raise ValueError(f"`{option}` names '{name}', which the batch lacks.")
    return store[split_key(name)[1]]


def _criterion(option: str, name: Key, given: Mapping[Any, str | Criterion]) -> Criterion:
    if name not in given:
        raise ValueError(f"`{option}` must give a loss for target '{name}', got {dict(given)}.")
    loss = given[name]
    if not isinstance(loss, str):
        return loss
    check_choice(option, loss, _CRITERIA)
    return _CRITERIA[loss]


def _mask(batch: Batch, name: Key, prediction: Tensor) -> Tensor:
    mask = label_of(batch, name, "mask")
    if mask.dtype != torch.bool or len(mask) != len(prediction):
        raise ValueError(
            f"`mask` must name a boolean attribute with {len(prediction)} rows, got '{name}', "
            f"{mask.dtype} of shape {list(mask.shape)}."
        )
    return mask
