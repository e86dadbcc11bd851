"""What a study shows: the chosen setting of each method, who is best, and REMUL against all."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pyg_remul.randomness import derive_generator
from pyg_remul.reproduction.outcomes import Outcome, Quantity
from pyg_remul.reproduction.published import Published, find_published
from pyg_remul.reproduction.statistics import Comparison, compare_outcomes

__all__ = [
    "Line",
    "Ranking",
    "Standing",
    "chosen_outcomes",
    "find_remul",
    "group_cases",
    "rank",
    "summarise",
]

Standing: TypeAlias = Literal["best", "near", ""]
"""The lowest mean, one within a standard deviation of it, or neither."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A method on a case, with the setting that was chosen."""

    outcome: Outcome
    """What it gave, without runs if every setting diverged."""
    num_settings: int
    """Among how many settings the validation loss chose."""
    published: Published | None
    """What the paper prints."""
    standing: Standing
    """How it stands by the mean squared error."""
    by_cluster: dict[str, Comparison]
    """For each test split REMUL against it, over groups of graphs that belong together; empty
    without runs, and for REMUL itself."""
    by_graph: dict[str, Comparison]
    """The same over single graphs, as if all were independent."""


@dataclass(frozen=True)
class Ranking:
    """Who is best on a case."""

    best: Outcome
    """The lowest mean."""
    near: tuple[Outcome, ...]
    """The others whose mean is within one standard deviation, over the seeds of the best, of it."""


def summarise(outcomes: Sequence[Outcome]) -> dict[str, list[Line]]:
    """Sums up a study.

    Args:
        outcomes: All of its outcomes.

    Returns:
        By case a line for each method, in the order of the outcomes.
    """
    return {case: _lines(found) for case, found in group_cases(outcomes).items()}


def rank(outcomes: Sequence[Outcome], quantity: Quantity = "mse") -> dict[str, Ranking]:
    """Finds the best method on each case, and those that are as good.

    Args:
        outcomes: All outcomes of a study.
        quantity: By which error.

    Returns:
        The ranking by case. Cases without a finished run have none.
    """
    rankings = {}
    for case, found in group_cases(outcomes).items():
        finished = [outcome for outcome in chosen_outcomes(found) if outcome.runs]
        if finished:
            best = min(finished, key=lambda outcome: outcome.mean(quantity))
            bound = best.mean(quantity) + best.spread(quantity)
            near = (o for o in finished if o is not best and o.mean(quantity) <= bound)
            rankings[case] = Ranking(best, tuple(near))
    return rankings


def find_remul(outcomes: Sequence[Outcome]) -> Outcome | None:
    """REMUL with constant weights, which is compared with all other rows.

    The gradual mode is a row of its own: the better of two modes would have had twice as many
    settings to choose among.

    Args:
        outcomes: All outcomes of a case.

    Returns:
        Its outcome, of several such methods that of the lowest validation loss over all full runs;
        ``None`` if none has finished runs.
    """
    constant = [o for o in chosen_outcomes(outcomes) if o.method.kind == "remul" and o.runs]
    return min(constant, key=_validation_loss, default=None)


def group_cases(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each case, in their order.

    Args:
        outcomes: All outcomes of a study.
    """
    cases: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        cases.setdefault(outcome.case.name, []).append(outcome)
    return cases


def chosen_outcomes(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The chosen setting of each method; where all diverged, any of them.

    Args:
        outcomes: All outcomes of a case.
    """
    methods: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.chosen or outcome.method.name not in methods:
            methods[outcome.method.name] = outcome
    return list(methods.values())


def _lines(outcomes: Sequence[Outcome]) -> list[Line]:
    remul = find_remul(outcomes)
    (ranking,) = rank(outcomes).values() or (None,)
    return [
        Line(
            outcome=outcome,
            num_settings=sum(o.method.name == outcome.method.name for o in outcomes),
            published=find_published(outcome.case, outcome.method),
            standing=_standing(outcome, ranking),
            by_cluster=_compare(remul, outcome, clustered=True),
            by_graph=_compare(remul, outcome, clustered=False),
        )
        for outcome in chosen_outcomes(outcomes)
    ]


def _standing(outcome: Outcome, ranking: Ranking | None) -> Standing:
    if ranking is None:
        return ""
    if outcome.runs and outcome.mean("mse") == ranking.best.mean("mse"):  # two rows may share runs
        return "best"
    return "near" if any(outcome is other for other in ranking.near) else ""


def _compare(remul: Outcome | None, other: Outcome, *, clustered: bool) -> dict[str, Comparison]:
    """The comparisons of all test splits, each with draws of its own."""
    if remul is None or remul is other or not other.runs:
        return {}
    key = (other.case.name, other.method.name, int(clustered))
    return {
        split: compare_outcomes(
            remul,
            other,
            split=split,
            clustered=clustered,
            generator=derive_generator(0, "bootstrap", *key, split),
        )
        for split in other.runs[0].errors()
    }


def _validation_loss(outcome: Outcome) -> float:
    return statistics.fmean(run.lowest_validation_loss() for run in outcome.runs)
