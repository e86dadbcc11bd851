"""What the runs of a study gave."""

from __future__ import annotations

import dataclasses
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pyg_remul.config import TrainConfig
from pyg_remul.provenance import Provenance, graph_origins, provenance_of
from pyg_remul.reproduction.study import Case, Method, Setting
from pyg_remul.run_folder import RunFolder
from pyg_remul.tasks import TaskData, load_task

__all__ = ["Outcome", "Quantity"]

Quantity: TypeAlias = Literal["mse", "ood", "E", "E_prime", "E_relative", "E_prime_relative"]
"""The mean squared error in and out of distribution, and the equivariance errors."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a method with one of its settings gave on a case, over all seeds."""

    case: Case
    """The data."""
    method: Method
    """The method."""
    setting: Setting
    """The setting."""
    runs: tuple[RunFolder, ...]
    """The finished runs, one for each seed; none if the setting was only tried in short, or if a
    run diverged."""
    validation: float
    """The validation loss by which the setting is compared with the method's others, that of its
    trial; of a single setting the mean over seeds. Infinite if training a run diverged."""
    chosen: bool
    """Whether it is the lowest among those of the method on this case."""
    data: Path | None = None
    """Folder of the datasets, that of the runs by default."""

    @property
    def diverged(self) -> bool:
        """Whether a run diverged, in training or by errors on the test data that are not finite."""
        trained = self.chosen or self.method.sweep
        return math.isinf(self.validation) or (trained and not self.runs)

    @property
    def passes(self) -> int:
        """How often each training graph goes through the model in a step, with this setting."""
        options = {**self.method.options, **self.setting}
        return dataclasses.replace(self.method, options=options).passes

    def values(self, quantity: Quantity) -> list[float]:
        """A quantity of each seed."""
        split, name = ("ood", "mse") if quantity == "ood" else ("test", quantity)
        return [results[split][name] for run in self.runs if (results := run.results()) is not None]

    def mean(self, quantity: Quantity) -> float:
        """The mean over seeds, NaN without runs."""
        values = self.values(quantity)
        return statistics.fmean(values) if values else math.nan

    def spread(self, quantity: Quantity) -> float:
        """The standard deviation over seeds, 0 for a single one."""
        values = self.values(quantity)
        return statistics.stdev(values) if len(values) > 1 else 0.0

    def graph_errors(self, split: str = "test") -> Tensor:
        """The mean squared error of each seed and test graph, shape ``[seeds, B]``."""
        return torch.stack([run.errors()[split] for run in self.runs])

    def graph_origins(self, split: str = "test") -> dict[str, Tensor]:
        """What tells which test graphs belong together: ``trial`` and ``frame``, shape ``[B]``."""
        run = self.runs[0]
        if run.data() is None:
            return graph_origins(self._load_task(run))[split]
        return run.origins()[split]

    def config(self) -> TrainConfig:
        """The options of the first run."""
        return _config(self.runs[0])

    def provenance(self) -> Provenance:
        """Where the data come from."""
        run = self.runs[0]
        stored = run.data()
        return provenance_of(self._load_task(run)) if stored is None else Provenance(**stored)

    def _load_task(self, run: RunFolder) -> TaskData:
        """The datasets of a run of an older version, whose folder says nothing of them."""
        config = _config(run)
        if self.data is not None:  # the run may come from another machine
            config = dataclasses.replace(config, data=self.data)
        return load_task(config, progress=False)


def _config(run: RunFolder) -> TrainConfig:
    config = run.config()
    if config is None:
        raise ValueError(f"{run.path} must hold a run; it has no config.json.")
    return config
