"""Models of any signature as functions from a batch to named predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from torch import Tensor
from torch_geometric.data import Batch

from pyg_remul.rows import Key, split_key, store_of

__all__ = ["Forward", "Model", "call_model", "check_shape", "named_predictions"]

Model: TypeAlias = Callable[..., Any]
"""An ``nn.Module`` or any other callable."""

Forward: TypeAlias = Callable[[Any, Batch], Any]
"""Adapter ``(model, batch) -> prediction`` for models that do not take a batch."""


def call_model(model: Model, batch: Batch, forward: Forward | None) -> Any:
    """Evaluates a model on a batch, through its adapter if there is one."""
    return model(batch) if forward is None else forward(model, batch)


def named_predictions(output: Any, targets: Iterable[Key]) -> dict[Key, Tensor]:
    """Names what a model returned.

    Args:
        output: One tensor, for one target, or a mapping of target names to tensors.
        targets: The names that are asked for.

    Returns:
        A tensor for each target.

    Raises:
        TypeError: If the output is neither, or one tensor for several targets.
        ValueError: If a target is missing from the mapping.

    Example:
        >>> import torch
        >>> list(named_predictions(torch.zeros(4, 3), ["y"]))
        ['y']
    """
    names = list(targets)
    if isinstance(output, Tensor) and len(names) == 1:
        return {names[0]: output}
    if not isinstance(output, Mapping):
        wanted = "a tensor" if len(names) == 1 else "a mapping of target names to tensors"
        raise TypeError(
            f"`model` must return {wanted} for {names}, got {type(output).__name__}; adapt it with "
            "`forward=`."
        )
    for name in names:
        if not isinstance(output.get(name), Tensor):
            raise ValueError(
                f"`model` must return a tensor for target '{name}', got {sorted(map(str, output))}."
            )
    return {name: output[name] for name in names}


def check_shape(name: Key, prediction: Tensor, batch: Batch) -> None:
    """Refuses a prediction that would be broadcast against its target.

    Args:
        name: The target; nothing is checked where the batch lacks it.
        prediction: What the model predicted for ``batch``.
        batch: The graphs.

    Raises:
        ValueError: If the shapes differ.
    """
    store = store_of(batch, name)
    label = None if store is None else store[split_key(name)[1]]
    if label is not None and prediction.shape != label.shape:
        raise ValueError(
            f"`model` must predict '{name}' in the target's shape {list(label.shape)}, got "
            f"{list(prediction.shape)}."
        )
