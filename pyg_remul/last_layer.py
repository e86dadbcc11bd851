"""Gradients of several losses with respect to a model's last layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

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
        self._head = head
        self._weight = weight
        self._inputs: list[Tensor] = []
        self._recording = False
        self._trusted = False
        if head is not None:  # for good: torch.compile does not see hooks come and go
            head.register_forward_pre_hook(self._record)

    def _record(self, module: nn.Module, args: tuple[Any, ...]) -> None:  # noqa: ARG002
        if self._recording:
            self._inputs.append(args[0].detach())

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keeps what enters the head in the passes of one step."""
        self._inputs, self._recording = [], True
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
            ValueError: If the predictions are not the head's outputs.
        """
        if self._weight is not None:
            rows = [
                torch.autograd.grad(loss, self._weight, retain_graph=True)[0] for loss in losses
            ]
            return torch.stack(rows).float()
        inputs, self._inputs = self._inputs, []
        self._check(inputs, predictions)
        rows = [self._outer(loss, inputs, predictions) for loss in losses]
        return torch.stack(rows)

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

    def _check(self, inputs: list[Tensor], predictions: Sequence[Any]) -> None:
        """Refuses, at the first step, a prediction that is not the head's output."""
        if self._trusted:
            return
        fault = f"it ran {len(inputs)} times for {len(predictions)} passes"
        if len(inputs) == len(predictions) and self._head is not None:
            fault = "the prediction is not its output"
            with torch.no_grad():
                outputs = [
                    nn.functional.linear(x, self._head.weight, self._head.bias) for x in inputs
                ]
            self._trusted = all(map(_same_values, outputs, predictions))
        if not self._trusted:
            raise ValueError(
                f"`head` must produce the model's prediction, but {fault}; give the weight of the "
                "last layer as `last_layer` instead."
            )


def _same_values(output: Tensor, prediction: Any) -> bool:
    if not isinstance(prediction, Tensor) or prediction.numel() != output.numel():
        return False
    return torch.allclose(output.reshape(-1), prediction.detach().reshape(-1), rtol=1e-2, atol=1e-3)
