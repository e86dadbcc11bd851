"""The outcomes of a study as tables."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_remul.files import write_text
from pyg_remul.reproduction.caption import describe_case
from pyg_remul.reproduction.outcomes import Outcome, Quantity
from pyg_remul.reproduction.statistics import Comparison, clusters_of
from pyg_remul.reproduction.study import Setting
from pyg_remul.reproduction.summary import Line, find_remul, group_cases, summarise
from pyg_remul.tables import csv_table, markdown_table

__all__ = ["describe_setting", "format_measured", "write_tables"]

QUANTITIES: tuple[Quantity, ...] = ("mse", "ood", "E", "E_prime", "E_relative", "E_prime_relative")
NUMERICALLY_ZERO = 1e-6
_HUNDREDTHS = 1e-2
_FURTHER: dict[Quantity, str] = {"ood": "MSE OOD (1e-2)", "E": "E", "E_prime": "E'"}
_MARKS = {"best": "**", "near": "*", "": ""}


def write_tables(outcomes: Sequence[Outcome], folder: Path) -> str:
    """Writes the outcomes of a study as ``table.md`` and ``table.csv``.

    The Markdown has a table for each case, below a line that says on which data and of which
    sizes. Each method has the setting of the lowest validation loss. Mean and standard deviation
    are over seeds. The last columns compare REMUL with constant weights with the row; see
    :func:`~pyg_remul.reproduction.statistics.compare`. The CSV has full precision, and also the
    settings that were only tried, or diverged.

    Args:
        outcomes: All outcomes of the study.
        folder: Where to.

    Returns:
        The Markdown.
    """
    summary = summarise(outcomes)
    cases = group_cases(outcomes)
    text = "\n\n".join(_section(case, cases[case], lines) for case, lines in summary.items())
    write_text(folder / "table.md", text + "\n")
    chosen = {id(line.outcome): line for lines in summary.values() for line in lines}
    rows = [_csv_row(outcome, chosen.get(id(outcome))) for outcome in outcomes]
    write_text(folder / "table.csv", csv_table(rows))
    return text


def describe_setting(setting: Setting) -> str:
    """A setting in words.

    Args:
        setting: Options by name.

    Example:
        >>> describe_setting({"lr": 1e-3, "hidden_channels": 170})
        'lr 0.001, hidden channels 170'
    """
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in setting.items())


def format_measured(mean: float, spread: float, unit: float = 1.0) -> str:
    """A mean with its standard deviation, to two digits of the latter and at most four of the mean.

    Args:
        mean: The mean, not negative.
        spread: The standard deviation, 0 if there is none.
        unit: What to count in.

    Example:
        >>> format_measured(0.0928, 0.004, unit=1e-2)
        '9.28 ± 0.40'
    """
    if mean < NUMERICALLY_ZERO * unit:
        return f"{mean / unit:.0e}"
    digits = 3 - math.floor(math.log10(mean / unit))
    if spread > 0:
        digits = min(digits, 1 - math.floor(math.log10(spread / unit)))
    number = f".{max(0, digits)}f"
    return f"{mean / unit:{number}}" + (f" ± {spread / unit:{number}}" if spread > 0 else "")


def _section(case: str, outcomes: Sequence[Outcome], lines: Sequence[Line]) -> str:
    return f"{describe_case(case, lines)}\n\n{_case_table(lines)}\n\n{_legend(outcomes, lines)}"


def _case_table(lines: Sequence[Line]) -> str:
    outcomes = [line.outcome for line in lines]
    further = [name for name in _FURTHER if any(_has(outcome, name) for outcome in outcomes)]
    splits = list(dict.fromkeys(split for line in lines for split in line.by_cluster))
    printed = any(line.published for line in lines)
    header = ["", "setting", "tried", "passes", "seeds", "MSE (1e-2)", *["paper"] * printed]
    header += [_FURTHER[name] for name in further]
    header += ["REMUL / this" + ("" if split == "test" else f", {split}") for split in splits]
    rows = [
        [
            line.outcome.method.name,
            describe_setting(line.outcome.setting) or "default",
            str(line.num_settings),
            str(line.outcome.passes),
            str(len(line.outcome.runs)),
            _result(line),
            *[line.published.printed if line.published else ""] * printed,
            *(_quantity(line.outcome, quantity) for quantity in further),
            *(_ratio(line.by_cluster.get(split)) for split in splits),
        ]
        for line in lines
    ]
    return markdown_table(header, rows)


def _legend(outcomes: Sequence[Outcome], lines: Sequence[Line]) -> str:
    text = (
        "Mean ± standard deviation over seeds; the best in bold, others within one standard "
        "deviation of it in italics. The setting is that of the lowest validation loss."
    )
    remul = find_remul(outcomes)
    compared = [line.by_cluster["test"] for line in lines if line.by_cluster]
    if remul is None or not compared:
        return text
    _, groups = clusters_of(remul.graph_origins())
    name = ", ".join(filter(None, (remul.method.name.strip("+ "), describe_setting(remul.setting))))
    return (
        f"{text} REMUL / this: ratio of the errors of {name}, to those of the row, with the 95 % "
        f"interval of a paired bootstrap over {compared[0].num_clusters:,} {groups}."
    )


def _result(line: Line) -> str:
    if not line.outcome.runs:
        return "diverged"
    mark = _MARKS[line.standing]
    return f"{mark}{_quantity(line.outcome, 'mse')}{mark}"


def _quantity(outcome: Outcome, quantity: Quantity) -> str:
    if not _has(outcome, quantity):
        return ""
    unit = _HUNDREDTHS if quantity in ("mse", "ood") else 1.0
    return format_measured(outcome.mean(quantity), outcome.spread(quantity), unit)


def _ratio(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    ratio = comparison.ratio
    return f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def _has(outcome: Outcome, quantity: Quantity) -> bool:
    return bool(outcome.runs) and (quantity != "ood" or "ood" in outcome.runs[0].errors())


def _csv_row(outcome: Outcome, line: Line | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "case": outcome.case.name,
        "data": outcome.provenance().source if outcome.runs else "",
        "method": outcome.method.name,
        "kind": outcome.method.kind,
        "setting": json.dumps(dict(outcome.setting)),
        "chosen": outcome.chosen,
        "diverged": outcome.diverged,
        "passes": outcome.passes,
        "seeds": len(outcome.runs),
        "validation_loss": outcome.validation,
    }
    for quantity in QUANTITIES:
        if _has(outcome, quantity):
            row |= {
                quantity: outcome.mean(quantity),
                f"{quantity}_sd": outcome.spread(quantity),
                f"{quantity}_seeds": " ".join(map(str, outcome.values(quantity))),
            }
    if line is not None:
        row |= {"settings": line.num_settings}
        if line.published is not None:
            row |= {"paper": line.published.mean, "paper_sd": line.published.spread}
        row |= _csv_comparisons("cluster", line.by_cluster)
        row |= _csv_comparisons("graph", line.by_graph)
    return row


def _csv_comparisons(unit: str, comparisons: Mapping[str, Comparison]) -> dict[str, float]:
    cells: dict[str, float] = {}
    for split, found in comparisons.items():
        name = f"{split}_by_{unit}"
        cells[f"{name}_num"] = found.num_clusters
        for estimate, interval in (("difference", found.difference), ("ratio", found.ratio)):
            for end in ("value", "low", "high"):
                cells[f"remul_{estimate}_{name}_{end}"] = getattr(interval, end)
    return cells
