"""What the runs of the demo gave, and its table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pyg_remul.config import MethodName
from pyg_remul.tables import csv_table, markdown_table

__all__ = ["COLUMNS", "DemoRow", "results_csv", "results_table"]

COLUMNS = ("id", "ood", "E", "E_prime")


@dataclass(frozen=True)
class DemoRow:
    """A method and what its runs gave.

    Attributes:
        name: The method, for tables.
        method: The method, as options name it.
        beta: The (initial) weight of the equivariance loss, ``None`` where there is none.
        passes: How often each training graph goes through the model in a step.
        values: By column the results of all seeds.
    """

    name: str
    method: MethodName
    beta: float | None
    passes: int
    values: dict[str, list[float]]

    def mean(self, column: str) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.values[column])

    def spread(self, column: str) -> float:
        """The standard deviation over seeds, 0 for a single one."""
        values = self.values[column]
        return statistics.stdev(values) if len(values) > 1 else 0.0


def results_table(rows: Sequence[DemoRow]) -> str:
    """The mean and spread of each method as a table in Markdown."""

    def cell(row: DemoRow, column: str, factor: float) -> str:
        mean, spread = factor * row.mean(column), factor * row.spread(column)
        return f"{mean:.2f} ± {spread:.2f}" if len(row.values[column]) > 1 else f"{mean:.2f}"

    header = ["", "passes", "MSE ID (1e-3)", "MSE OOD (1e-3)", "E (1e-2)", "E' (1e-2)"]
    factors = dict(zip(COLUMNS, (1e3, 1e3, 1e2, 1e2), strict=True))
    cells = [
        [row.name, str(row.passes), *(cell(row, *column) for column in factors.items())]
        for row in rows
    ]
    return markdown_table(header, cells)


def results_csv(rows: Sequence[DemoRow]) -> str:
    """The result of every run as CSV."""
    return csv_table(
        [
            {
                "name": row.name,
                "method": row.method,
                "beta": row.beta,
                "passes": row.passes,
                "seed": seed,
                **dict(zip(row.values, values, strict=True)),
            }
            for row in rows
            for seed, values in enumerate(zip(*row.values.values(), strict=True))
        ]
    )
