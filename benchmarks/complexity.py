"""Time and memory of Transformers against the batch size, as in the paper's Figure 3.

Each has 12 blocks and about 2.6 million parameters and sees graphs of 20 nodes with Gaussian inputs
of 7 columns, the SE(3)-Transformer with all pairs of nodes as edges. Forward and backward pass of
training and the forward pass of inference are timed apart. Every model and batch size is measured
in a process of its own, which may run out of memory. A command that was interrupted goes on with
what is missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import torch
from torch import nn
from torch_geometric.data import Batch, Data
from tqdm import tqdm

from pyg_remul.benchmarks.complexity_figure import plot_complexity
from pyg_remul.benchmarks.harness import Passes, Settings, measure
from pyg_remul.benchmarks.memory import limit_memory, peak_bytes, run_apart
from pyg_remul.benchmarks.report import Report
from pyg_remul.benchmarks.results import Row, Setting, append_rows, fill, read_rows
from pyg_remul.datasets._hops import all_pairs
from pyg_remul.files import write_text
from pyg_remul.models import GATr, GraphTransformer, SE3Transformer
from pyg_remul.tables import markdown_table

NUM_NODES, NUM_BLOCKS, SECONDS = 20, 12, 60.0
WIDTHS = (("mass", 1), ("pos", 3), ("vel", 3))
REFERENCE = "Transformer"
MODELS: dict[str, Callable[[], nn.Module]] = {
    REFERENCE: partial(GraphTransformer, hidden_channels=168, num_layers=NUM_BLOCKS),
    "GATr": partial(GATr, num_layers=NUM_BLOCKS),
    "SE(3)-Transformer": partial(SE3Transformer, hidden_channels=16, num_layers=NUM_BLOCKS),
}
PASSES = ("forward", "backward", "inference")


def main(settings: Settings) -> None:
    """Measures what is missing, then writes table and figure."""
    rows = measure_missing(settings)
    table = format_table(rows)
    print(table)
    write_text(settings.out / "complexity.md", f"{rows[0].setting}\n\n{table}\n")
    plot_complexity(rows, settings.out / "complexity")
    print(f"\nwritten to {settings.out}")


def measure_missing(settings: Settings) -> list[Row]:
    """Measures what ``complexity.jsonl`` in the folder of the settings lacks.

    Args:
        settings: How to measure, and the folder.

    Returns:
        All rows of this setting, of this run and of earlier ones.
    """
    report = Report("complexity", settings)
    rows = in_setting(read_rows(report.path), report.setting)
    batches = [2**power for power in range(settings.max_batch_size.bit_length())]
    todo = [(model, size) for size in batches for model in MODELS]
    done = {(row.case, row.sizes["graphs"]) for row in rows}
    for model, size in tqdm([key for key in todo if key not in done], unit="cell"):
        if not any(row.case == model and row.failure for row in rows):
            sizes = {"graphs": size, "nodes": size * NUM_NODES}
            blank = report.blank(f"{NUM_BLOCKS} blocks", model, REFERENCE, sizes)
            measured = measure_apart(blank, settings)
            append_rows(report.path, measured)
            rows += measured
    return rows


def in_setting(rows: Sequence[Row], setting: Setting) -> list[Row]:
    """The rows measured on a machine with the same versions and options."""
    return [row for row in rows if row.setting == setting]


def measure_apart(blank: Row, settings: Settings) -> list[Row]:
    """Measures a model at a batch size in a process of its own, which may run out of memory."""
    try:
        return run_apart(measure_here, blank, settings)
    except MemoryError:
        return [dataclasses.replace(blank, failure="out of memory")]
    except BrokenProcessPool:  # by the system, for its memory or for another reason
        return [dataclasses.replace(blank, failure="killed")]


def measure_here(blank: Row, settings: Settings) -> list[Row]:
    """Measures a model at a batch size in this process, for some 60 s or three rounds.

    Raises:
        MemoryError: If the memory does not suffice.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    if settings.device == "cpu":
        limit_memory()
    model = MODELS[blank.case]().to(settings.device)
    batch = make_batch(blank.sizes["graphs"]).to(settings.device)
    step = Passes(model, lambda: model(batch).square().mean())
    try:
        peaks = peak_bytes(step, settings.device)
        seconds = measure({blank.case: step}, settings, SECONDS)[blank.case]
    except RuntimeError as error:
        if "alloc" not in str(error).lower() and "out of memory" not in str(error):
            raise
        raise MemoryError(str(error)) from None
    return fill(blank, seconds, peaks)


def make_batch(num_graphs: int) -> Batch:
    """Fully connected graphs of Gaussian masses, positions and velocities."""
    pairs = all_pairs(NUM_NODES)
    graphs = [
        Data(edge_index=pairs, **{name: torch.randn(NUM_NODES, width) for name, width in WIDTHS})
        for _ in range(num_graphs)
    ]
    return Batch.from_data_list(graphs)


def format_table(rows: Sequence[Row]) -> str:
    """Medians in milliseconds, their ratio to the Transformer's, and peak memory."""
    found: dict[tuple[int, int], dict[str, Row]] = {}
    names = list(MODELS)
    for row in rows:
        key = row.sizes["graphs"], names.index(row.case)
        found.setdefault(key, {})[row.phase] = row
    lines = [
        [f"{names[place]}, {size}", *_cells(found[size, place], found.get((size, 0), {}))]
        for size, place in sorted(found)
    ]
    header = [f"{name} {unit}" for name in PASSES for unit in ("ms", "ratio")]
    return markdown_table(["model, batch size", *header, "peak GiB"], lines)


def _cells(phases: Mapping[str, Row], reference: Mapping[str, Row]) -> list[str]:
    """The figures of a model at a batch size, by phase, beside those of the reference."""
    if "run" in phases:  # a training step failed, after which nothing was timed
        return [phases["run"].failure, ""] * 2 + ["not measured", "", ""]
    cells = []
    for phase in PASSES:
        median = phases[phase].median
        ratio = f"{median / reference[phase].median:.2f}" if phase in reference else ""
        cells += [f"{1e3 * median:.1f}", ratio]
    peak = phases["both"].peak_bytes or 0
    return [*cells, f"{peak / 2**30:.2f}"]
