"""Gradients of several losses with respect to a model's last layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pyg_remul.precision import full_precision

__all__ = ["LastLayer"]


class LastLayer:
    """Measures what each loss alone would do to the last layer's weight.

    Args:
        head: A final ``nn.Linear`` whose output is the prediction, up to its shape.
        weight: Otherwise any weight that the prediction depends on.

    Raises:
        ValueError: If neither or both are given.
        TypeError: If ``head`` is no ``nn.Linear``.
    """

    def __init__(self, head: nn.Linear | None, weight: Tensor | None) -> None:
        if (head is None) == (weight is None):
            raise ValueError(
                "`head` or `last_layer` must be given, and not both, got "
                f"{'neither' if head is None else 'both'}."
            )
        if head is not None and not isinstance(head, nn.Linear):
            raise TypeError(
                f"`head` must be an nn.Linear, got {type(head).__name__}; give its weight as "
                "`last_layer` instead."
            )
        if weight is not None and not isinstance(weight, Tensor):
            raise TypeError(
                "`last_layer` must be a weight such as model.out.weight, got "
                f"{type(weight).__name__}."
            )
        self._head = head
        self._weight = weight
        self._calls: list[tuple[Tensor, Tensor]] = []
        self._recording = False
        self._trusted = False
        if head is not None:  # for good: torch.compile does not see hooks come and go
            head.register_forward_hook(self._record)

    def _record(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if self._recording:
            self._calls.append((args[0].detach(), output.detach()))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keeps what enters and leaves the head in the passes of one step."""
        self._calls, self._recording = [], True
        try:
            yield
        finally:
            self._recording = False

    def gradients(self, losses: Tensor, predictions: Sequence[Any]) -> Tensor:
        """Returns the gradient of each loss with respect to the weight.

        Args:
            losses: Shape ``[K]``, with their graph.
            predictions: What the model returned, pass by pass.

        Returns:
            Shape ``[K, *weight.shape]``, in float32, without gradient.

        Raises:
            ValueError: If the predictions are not the head's outputs, or a loss does not depend on
                the weight.
        """
        if self._weight is not None:
            rows = [self._direct(loss, self._weight) for loss in losses]
            return torch.stack(rows).float()
        calls, self._calls = self._calls, []
        self._check([output for _, output in calls], predictions)
        with full_precision(losses.device):
            inputs = [value for value, _ in calls]
            return torch.stack([self._outer(loss, inputs, predictions) for loss in losses])

    @staticmethod
    def _direct(loss: Tensor, weight: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(loss, [weight], retain_graph=True, allow_unused=True)
        if gradient is None:
            raise ValueError("`last_layer` must be a weight that both losses depend on.")
        return gradient

    def _outer(self, loss: Tensor, inputs: list[Tensor], predictions: Sequence[Tensor]) -> Tensor:
        """The outer product of the loss's gradient at the head's output with the head's input."""
        outputs = torch.autograd.grad(loss, predictions, retain_graph=True, allow_unused=True)
        total = torch.zeros(self._shape, dtype=torch.float32, device=loss.device)
        for output, value in zip(outputs, inputs, strict=True):
            if output is not None:
                rows = output.reshape(-1, self._shape[0]).float()
                total += rows.T @ value.reshape(-1, self._shape[1]).float()
        return total

    @property
    def _shape(self) -> tuple[int, int]:
        head = self._head
        return (0, 0) if head is None else (head.out_features, head.in_features)

    def _check(self, outputs: list[Tensor], predictions: Sequence[Any]) -> None:
        """Refuses a prediction that is not the head's output, until one has proved that it is."""
        if self._trusted:
            return
        fault = f"it ran {len(outputs)} times for {len(predictions)} passes"
        if not outputs:
            fault = "it took no part in it; is it the head of another model"
        if len(outputs) == len(predictions):
            fault = "the prediction is not its output"
            if all(map(_same_values, outputs, predictions)):
                self._trusted = any(bool(output.any()) for output in outputs)  # zeros prove nothing
                return
        raise ValueError(
            f"`head` must produce the model's prediction, but {fault}; give the weight of the "
            "last layer as `last_layer` instead."
        )


def _same_values(output: Tensor, prediction: Any) -> bool:
    if not isinstance(prediction, Tensor) or prediction.numel() != output.numel():
        return False
    return torch.equal(output.reshape(-1).float(), prediction.detach().reshape(-1).float())
