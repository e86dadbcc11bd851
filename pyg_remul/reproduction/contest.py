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
from pyg_remul.run_folder import RunFolder

__all__ = ["Contest"]


@dataclass(frozen=True)
class Contest:
    """The settings of a method on a case, of which the lowest validation loss chooses one.

    All are compared by a short trial each, so that each method has the same chances. Then the best
    one is trained in full, and in a sweep the others too. A setting of which a run diverged has
    lost.
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
        """Whether there are settings to be compared in trials."""
        return len(self.method.settings) > 1

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
        if places and not self.method.sweep:
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
                runs=self._finished(place) if asked else (),
                validation=validations[place],
                chosen=place == chosen,
            )
            for place, setting in enumerate(self.method.settings)
            for asked in [place == chosen or self.method.sweep]
        ]

    def configs(self) -> list[TrainConfig]:
        """All runs that the method may ask for."""
        full = [config for configs in self._full for config in configs]
        return [*self._trials, *full] if self.by_trials else full

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

    def _finished(self, place: int) -> tuple[RunFolder, ...]:
        """The full runs of a setting, none if one of them diverged."""
        folders = tuple(map(self.runs.folder, self._full[place]))
        return folders if all(folder.results() is not None for folder in folders) else ()

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
