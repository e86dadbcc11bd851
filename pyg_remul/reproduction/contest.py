"""The choice among the settings of a method."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pyg_remul.config import TrainConfig
from pyg_remul.reproduction.outcomes import Outcome
from pyg_remul.reproduction.shared_runs import SharedRuns
from pyg_remul.reproduction.study import Case, Method, Study

__all__ = ["Contest"]


@dataclass(frozen=True)
class Contest:
    """The settings of a method on a case, of which the lowest validation loss chooses one.

    Those of a sweep are compared by all their runs, others by a short trial each, after which the
    best one alone is trained in full. A setting of which a run diverged has lost.
    """

    study: Study
    """What the method and the case are of."""
    case: Case
    """The data."""
    method: Method
    """The method."""
    runs: SharedRuns
    """Where the runs are."""
    data: Path
    """Folder of the datasets."""

    @property
    def by_trials(self) -> bool:
        """Whether the settings are compared in trials."""
        return not self.method.sweep and len(self.method.settings) > 1

    @property
    def validations(self) -> list[float]:
        """The loss by which each setting is compared, NaN as long as it is not known."""
        return [self._validation(place) for place in range(len(self.method.settings))]

    def trials(self) -> list[TrainConfig]:
        """The trials that have not ended."""
        return self._left(self._trials) if self.by_trials else []

    def missing(self) -> list[TrainConfig]:
        """The full runs that have not ended, while trials are left those of any setting."""
        validations = self.validations
        places = [place for place, loss in enumerate(validations) if loss != math.inf]
        if self.by_trials and places:
            places = places[:1] if self.trials() else [_lowest(validations)]
        return [config for place in places for config in self._left(self._full[place])]

    def outcomes(self) -> list[Outcome]:
        """What each setting gave, once nothing is missing."""
        validations = self.validations
        chosen = _lowest(validations)
        return [
            Outcome(
                case=self.case,
                method=self.method,
                setting=setting,
                runs=()
                if loss == math.inf or (self.by_trials and place != chosen)
                else tuple(map(self.runs.folder, self._full[place])),
                validation=loss,
                chosen=place == chosen,
            )
            for place, (setting, loss) in enumerate(
                zip(self.method.settings, validations, strict=True)
            )
        ]

    @cached_property
    def _trials(self) -> list[TrainConfig]:
        return [
            self.study.trial(self.case, self.method, setting, data=self.data)
            for setting in self.method.settings
        ]

    @cached_property
    def _full(self) -> list[list[TrainConfig]]:
        return [
            [
                self.study.config(self.case, self.method, setting, seed=seed, data=self.data)
                for seed in range(self.study.seeds)
            ]
            for setting in self.method.settings
        ]

    def _left(self, configs: Iterable[TrainConfig]) -> list[TrainConfig]:
        return [config for config in configs if self.runs.loss(config) is None]

    def _validation(self, place: int) -> float:
        losses = [self.runs.loss(config) for config in self._full[place]]
        if math.inf in losses:
            return math.inf
        if self.by_trials:
            losses = [self.runs.loss(self._trials[place])]
        known = [loss for loss in losses if loss is not None]
        return statistics.fmean(known) if len(known) == len(losses) else math.nan


def _lowest(losses: list[float]) -> int:
    """The place of the lowest loss, the first of equal ones."""
    return losses.index(min(losses))
