"""How long training runs take."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from pyg_remul.config import TrainConfig

__all__ = ["RunCosts"]

_Kind: TypeAlias = tuple[object, ...]

_RELATIVE = {
    "mlp": 1.0,
    "emlp": 5.0,
    "rpp": 5.0,
    "per": 7.0,
    "transformer": 11.0,
    "gnn": 13.0,
    "egnn": 15.0,
    "se3": 40.0,
    "gatr": 40.0,
}
"""The time of a step at the small sizes, on a CPU and roughly; until a step has been measured."""

_DECISIVE = (
    *("task", "molecule", "num_train", "model", "method", "num_samples", "batch_size"),
    *("hidden_channels", "hidden_scalars", "num_layers", "num_degrees"),
)
"""Options on which the time of a step depends."""


class RunCosts:
    """Estimates of the time that runs take, by the steps that have been measured.

    Steps of a kind not measured yet stand in the usual proportion to those that were.

    Example:
        >>> from pyg_remul.presets import preset
        >>> costs, gnn, gatr = RunCosts(), preset("nbody", "gnn"), preset("nbody", "gatr")
        >>> costs.note(gnn, steps=100, seconds=2.0)
        >>> costs.seconds(gnn, steps=500)
        10.0
        >>> costs.seconds(gatr) > costs.seconds(gnn)
        True
    """

    def __init__(self) -> None:
        self._steps: Counter[_Kind] = Counter()
        self._seconds: dict[_Kind, float] = {}
        self._usual = 0.0

    def note(self, config: TrainConfig, steps: int, seconds: float) -> None:
        """Adds a measurement.

        Args:
            config: The run.
            steps: How many of its steps.
            seconds: The time they took.
        """
        kind = _kind(config)
        self._steps[kind] += steps
        self._seconds[kind] = self._seconds.get(kind, 0.0) + seconds
        self._usual += steps * _RELATIVE[config.model]

    def seconds(self, config: TrainConfig, steps: int | None = None) -> float:
        """Estimates the time of a run.

        Args:
            config: The run.
            steps: How many of its steps, all by default.
        """
        steps = config.steps if steps is None else steps
        kind = _kind(config)
        if self._steps[kind]:
            return steps * self._seconds[kind] / self._steps[kind]
        pace = sum(self._seconds.values()) / self._usual if self._usual else 1.0
        return steps * _RELATIVE[config.model] * pace


def _kind(config: TrainConfig) -> _Kind:
    return tuple(getattr(config, name) for name in _DECISIVE)
