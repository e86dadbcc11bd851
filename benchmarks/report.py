"""Comparisons that are measured, printed and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from torch_geometric.data import Batch

from pyg_remul.benchmarks.harness import Case, Settings, measure
from pyg_remul.benchmarks.memory import peak_bytes
from pyg_remul.benchmarks.results import Row, Setting, append_rows, fill, format_rows

__all__ = ["Report", "batch_sizes"]


def batch_sizes(batch: Batch) -> dict[str, int]:
    """The numbers of graphs, nodes and edges, these if there are any."""
    sizes = {"graphs": batch.num_graphs, "nodes": batch.num_nodes, "edges": batch.num_edges}
    return {name: size for name, size in sizes.items() if size}


class Report:
    """The results of one run of a benchmark, in ``NAME.jsonl`` beside those of earlier runs.

    Args:
        benchmark: Its name.
        settings: How to measure, and the folder.

    Attributes:
        path: The file.
        setting: Machine, versions and options, which are printed.
        date: When the run began.
    """

    def __init__(self, benchmark: str, settings: Settings) -> None:
        self.benchmark = benchmark
        self.settings = settings
        self.path = settings.out / f"{benchmark}.jsonl"
        self.setting = Setting.of(settings)
        self.date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        print(f"{self.setting}\n")

    def blank(
        self, title: str, case: str, reference: str, sizes: Mapping[str, int] | None = None
    ) -> Row:
        """A row of this run, without results."""
        return Row(
            benchmark=self.benchmark,
            title=title,
            case=case,
            reference=reference,
            sizes=dict(sizes or {}),
            setting=self.setting,
            date=self.date,
        )

    def compare(
        self,
        title: str,
        cases: Mapping[str, Case],
        reference: str,
        *,
        sizes: Mapping[str, int] | None = None,
        work: Mapping[str, float] | None = None,
        floor: float | None = None,
    ) -> list[Row]:
        """Measures alternatives in turns, prints their table and keeps their rows.

        Args:
            title: What is compared.
            cases: The alternatives by name.
            reference: Name of the one to which ratios are taken.
            sizes: The sizes, by name.
            work: What a run, or both passes of a training step, get done, by unit; rows have the
                rates.
            floor: Seconds that a run takes at least; rows have the multiples.

        Returns:
            The rows, those of an alternative one after the other.
        """
        seconds = measure(cases, self.settings)
        rows: list[Row] = []
        for name, case in cases.items():
            peaks = peak_bytes(case, self.settings.device)
            blank = self.blank(title, name, reference, sizes)
            rows += fill(blank, seconds[name], peaks, seconds[reference])
        rows = [_with_figures(row, work or {}, floor) for row in rows]
        self.keep(rows)
        return rows

    def keep(self, rows: Sequence[Row]) -> None:
        """Prints the table of a comparison and adds its rows to the file."""
        print(f"{rows[0].heading}\n\n{format_rows(rows)}\n")
        append_rows(self.path, rows)


def _with_figures(row: Row, work: Mapping[str, float], floor: float | None) -> Row:
    """Adds rates, and the multiple of the floor, to the row of a whole run."""
    if row.phase not in ("run", "both"):
        return row
    figures = {f"{unit}/s": amount / row.median for unit, amount in work.items()}
    if floor is not None:
        figures["times floor"] = row.median / floor
    return dataclasses.replace(row, figures=figures)
