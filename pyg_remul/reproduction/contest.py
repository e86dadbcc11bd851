"""The choice among the settings of a method."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from pyg_remul.config import TrainConfig
from pyg_remul.reproduction.outcomes import Outcome
from pyg_remul.reproduction.shared_runs import SharedRuns
from pyg_remul.reproduction.study import Case, Method, Setting, Study
from pyg_remul.run_folder import RunFolder

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

    def trials(self) -> list[TrainConfig]:
        """The trials that have not ended."""
        if not self.by_trials:
            return []
        configs = [self._trial(setting) for setting in self.method.settings]
        return [config for config in configs if self.runs.loss(config) is None]

    def missing(self) -> list[TrainConfig]:
        """The full runs that have not ended, while trials are left those of any setting."""
        if not self.by_trials:
            settings = list(self.method.settings)
        elif self.trials():
            settings = list(self.method.settings[:1])
        else:
            settings = [self.method.settings[self.chosen]]
        return [
            config
            for setting in settings
            if self.validation(setting) != math.inf
            for config in self._full(setting)
            if self.runs.loss(config) is None
        ]

    @property
    def chosen(self) -> int:
        """The place of the setting with the lowest validation loss, the first of equal ones."""
        losses = [self.validation(setting) for setting in self.method.settings]
        return losses.index(min(losses))

    def validation(self, setting: Setting) -> float:
        """The loss by which a setting is compared, NaN as long as it is not known.

        Args:
            setting: One of the method's.
        """
        losses = [self.runs.loss(config) for config in self._full(setting)]
        if math.inf in losses:
            return math.inf
        if self.by_trials:
            losses = [self.runs.loss(self._trial(setting))]
        known = [loss for loss in losses if loss is not None]
        return statistics.fmean(known) if len(known) == len(losses) else math.nan

    def outcomes(self) -> list[Outcome]:
        """What each setting gave, once nothing is missing."""
        return [
            Outcome(
                case=self.case,
                method=self.method,
                setting=setting,
                runs=self._finished(setting) if chosen or not self.by_trials else (),
                validation=self.validation(setting),
                chosen=chosen,
            )
            for place, setting in enumerate(self.method.settings)
            for chosen in [place == self.chosen]
        ]

    def _trial(self, setting: Setting) -> TrainConfig:
        return self.study.trial(self.case, self.method, setting, data=self.data)

    def _full(self, setting: Setting) -> list[TrainConfig]:
        return [
            self.study.config(self.case, self.method, setting, seed=seed, data=self.data)
            for seed in range(self.study.seeds)
        ]

    def _finished(self, setting: Setting) -> tuple[RunFolder, ...]:
        if self.validation(setting) == math.inf:
            return ()
        return tuple(self.runs.folder(config) for config in self._full(setting))
