"""The engine that carries out a study."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from pyg_remul.config import TrainConfig
from pyg_remul.reproduction.contest import Contest
from pyg_remul.reproduction.outcomes import Outcome
from pyg_remul.reproduction.shared_runs import SharedRuns
from pyg_remul.reproduction.study import Study
from pyg_remul.run_costs import RunCosts
from pyg_remul.run_pool import Plan, train_by_plan
from pyg_remul.tasks import load_task

__all__ = ["carry_out"]

_LOGGER = logging.getLogger(__name__)

_DATA_OPTIONS = (
    *("task", "molecule", "source", "delta", "hops"),
    *("data_seed", "num_train", "num_eval"),
)


def carry_out(study: Study, pool: Path, data: Path, workers: int) -> list[Outcome]:
    """Trains all that a study asks for and is not there yet, several runs at a time.

    What is left to do follows from the folders alone: a study that was interrupted, even by the end
    of all its processes, goes on where it was and has the same outcome, on a CPU bit for bit. Runs
    that diverge count as infinite validation loss and are not repeated.

    Args:
        study: The study.
        pool: The folder of all runs; see
            :class:`~pyg_remul.reproduction.shared_runs.SharedRuns`.
        data: Folder of the datasets.
        workers: Runs at a time.

    Returns:
        An outcome for each case, method and setting, in their order.

    Raises:
        ValueError: If data are missing or refused, or the folder of a run is incomplete.
    """
    runs, costs = SharedRuns(pool), RunCosts()
    contests = [
        Contest(study, case, method, runs, data) for case in study.cases for method in study.methods
    ]
    first = _plan(contests, runs, costs)
    _prepare([*first.ready.values(), *first.later])
    train_by_plan(lambda: _plan(contests, runs, costs), workers, costs)
    for folder in runs.diverged():
        _LOGGER.warning("The run in %s diverged: %s", folder.path, folder.divergence())
    return [
        dataclasses.replace(outcome, data=data)
        for contest in contests
        for outcome in contest.outcomes()
    ]


def _plan(contests: Sequence[Contest], runs: SharedRuns, costs: RunCosts) -> Plan:
    """What is left: trials first, for others wait for them, then the longest runs."""
    trials = [config for contest in contests for config in contest.trials()]
    full = [config for contest in contests if not contest.trials() for config in contest.missing()]
    later = [config for contest in contests if contest.trials() for config in contest.missing()]
    ready = [
        config
        for group in (trials, full)
        for config in sorted(group, key=costs.seconds, reverse=True)
    ]
    return Plan({runs.folder(config).path: config for config in ready}, later)


def _prepare(configs: Iterable[TrainConfig]) -> None:
    """Makes each dataset once, before several processes ask for it."""
    datasets = {
        tuple(getattr(config, name) for name in _DATA_OPTIONS): config for config in configs
    }
    for config in datasets.values():
        load_task(config)
