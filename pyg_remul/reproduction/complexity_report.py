"""Time and memory against the batch size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch

from pyg_remul.benchmarks.complexity import NUM_BLOCKS, NUM_NODES, format_table, measure_missing
from pyg_remul.benchmarks.complexity_figure import plot_complexity
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.results import Row
from pyg_remul.files import write_text
from pyg_remul.reproduction.methods import Scale
from pyg_remul.tables import csv_table

__all__ = ["report_complexity"]

_SIZES = f"{NUM_BLOCKS} blocks, about 2.6 million parameters, graphs of {NUM_NODES} nodes."
_SETTINGS: Final[dict[Scale, dict[str, Any]]] = {
    "smoke": {"max_batch_size": 1, "rounds": 3, "warm_up": 1},
    "laptop": {"max_batch_size": 256, "rounds": 10, "warm_up": 3},
    "paper": {"max_batch_size": 4096, "rounds": 10, "warm_up": 3},
}


def report_complexity(folder: Path, scale: Scale = "laptop") -> str:
    """Measures the passes of the Transformers (figure 3), on a GPU if there is one.

    All have 12 blocks and about 2.6 million parameters at every scale, which only bounds the
    batches: 256 graphs at ``"laptop"``; 4096, twice the published bound, at ``"paper"``; or where
    memory ends. What ``complexity.jsonl`` in the folder has of the same machine and versions is
    not measured again.

    Args:
        folder: Where to write ``table.md``, ``table.csv`` and ``figure``, as PNG and as SVG.
        scale: The largest batch, and how often each is measured.

    Returns:
        The table, in Markdown.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = measure_missing(Settings(device=device, out=folder, **_SETTINGS[scale]))
    table = f"{_SIZES} {rows[0].setting}.\n\n{format_table(rows)}"
    write_text(folder / "table.md", table + "\n")
    write_text(folder / "table.csv", csv_table([_values(row) for row in rows]))
    plot_complexity(rows, folder / "figure")
    return table


def _values(row: Row) -> dict[str, Any]:
    """A row of the table with all digits; times are in seconds."""
    times = {} if row.seconds is None else {**vars(row.seconds)}
    peak = {} if row.peak_bytes is None else {"peak_bytes": row.peak_bytes}
    found = {"phase": row.phase, "rounds": row.rounds, **times, **peak, "failure": row.failure}
    return {"model": row.case, "batch_size": row.sizes["graphs"], **found}
