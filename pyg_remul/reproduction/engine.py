"""The engine that carries out a study."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from pyg_remul.config import TrainConfig
from pyg_remul.provenance import check_same_data, provenance_of
from pyg_remul.reproduction.contest import Contest
from pyg_remul.reproduction.outcomes import Outcome
from pyg_remul.reproduction.shared_runs import SharedRuns
from pyg_remul.reproduction.study import Study
from pyg_remul.run_costs import RunCosts
from pyg_remul.run_pool import Plan, train_by_plan
from pyg_remul.tasks import load_task

__all__ = ["carry_out"]

_LOGGER = logging.getLogger(__name__)

_Found: TypeAlias = dict[tuple[Any, ...], dict[str, Any]]
"""What datasets are, by the options that choose them."""

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
        ValueError: If data are missing or refused, runs of a case are of different data, or the
            folder of a run is incomplete.
    """
    runs, costs = SharedRuns(pool), RunCosts()
    contests = [
        Contest(study, case, method, runs, data) for case in study.cases for method in study.methods
    ]
    first = _plan(contests, runs, costs)
    _check_data(contests, runs, _prepare([*first.ready.values(), *first.later.values()]))
    train_by_plan(lambda: _plan(contests, runs, costs), workers, costs)
    _check_data(contests, runs, {})  # some may come from other processes
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
    longest = partial(sorted, key=costs.seconds, reverse=True)
    ready = _by_folder([*longest(trials), *longest(full)], runs)
    return Plan(ready, _by_folder(later, runs))


def _by_folder(configs: Iterable[TrainConfig], runs: SharedRuns) -> dict[Path, TrainConfig]:
    """Each run once; methods and cases may share some."""
    return {runs.folder(config).path: config for config in configs}


def _prepare(configs: Iterable[TrainConfig]) -> _Found:
    """Makes each dataset once, before several processes ask for it, and says what it is."""
    datasets = {_data_options(config): config for config in configs}
    return {
        options: dataclasses.asdict(provenance_of(load_task(config)))
        for options, config in datasets.items()
    }


def _check_data(contests: Iterable[Contest], runs: SharedRuns, present: _Found) -> None:
    """Refuses runs, trials among them, of other data than the rest of their case, or than now."""
    cases: dict[str, dict[str, Mapping[str, Any]]] = {}
    for contest in contests:
        found = cases.setdefault(contest.case.name, {})
        for config in contest.configs():
            folder = runs.folder(config)
            found[str(folder.path)] = folder.data() or {}
            if now := present.get(_data_options(config)):
                found[f"the data in {config.data}"] = now
    for case, found in cases.items():
        check_same_data(f"The runs of {case}", found)


def _data_options(config: TrainConfig) -> tuple[Any, ...]:
    return tuple(getattr(config, name) for name in _DATA_OPTIONS)
