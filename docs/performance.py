"""Puts what was measured into the tables of docs/performance.md, and draws its figure.

Run: python docs/performance.py [FOLDER], after pyg-remul bench NAME [--out FOLDER] for each name.
Tables of what the folder lacks stay as they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from pyg_remul.benchmarks.complexity import format_table, in_setting
from pyg_remul.benchmarks.results import Row, format_number, last_run, read_rows
from pyg_remul.figures import BLUE, GREY, save_figure
from pyg_remul.files import write_text
from pyg_remul.tables import markdown_table

PAGE = Path(__file__).with_suffix(".md")
TABLE = re.compile(r"<!-- (?P<device>cpu|gpu): (?P<name>\w+) -->\n.*?<!-- end -->", re.DOTALL)
DRAWN = ("messages", "attention", "step", "throughput")
WHOLE = ("run", "both")


def main(page: Path = PAGE) -> None:
    """Rewrites the page."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/bench")

    def renew(table: re.Match[str]) -> str:
        rows = read_device(folder / f"{table['name']}.jsonl", table["device"])
        if not rows:
            return table[0]
        format_all = format_complexity if table["name"] == "complexity" else format_comparisons
        return f"{table[0].splitlines()[0]}\n\n{format_all(rows)}\n\n<!-- end -->"

    write_text(page, TABLE.sub(renew, page.read_text(encoding="utf-8")))
    measured = [last_run(read_device(folder / f"{name}.jsonl", "cpu")) for name in DRAWN]
    panels = [drawn for rows in measured if (drawn := ratios(rows))]
    if panels:
        draw(panels, page.with_suffix(".png"))


def read_device(path: Path, device: str) -> list[Row]:
    """The rows measured on a kind of device."""
    on_cpu = device == "cpu"
    return [row for row in read_rows(path) if row.setting.device.startswith("CPU") == on_cpu]


def format_comparisons(rows: Sequence[Row]) -> str:
    """The tables of the last run, with versions."""
    latest = last_run(rows)
    tables = [
        f"**{heading}**\n\n{format_cases(list(comparison))}"
        for heading, comparison in groupby(latest, key=lambda row: row.heading)
    ]
    return "\n\n".join([f"{latest[0].setting}.", *tables])


def format_complexity(rows: Sequence[Row]) -> str:
    """The table of batch sizes, with versions."""
    setting = rows[-1].setting
    return f"{setting}.\n\n{format_table(in_setting(rows, setting))}"


def format_cases(rows: Sequence[Row]) -> str:
    """A line for each alternative of a comparison, with the medians of its phases."""
    phases = list(dict.fromkeys(row.phase for row in rows))
    figures = list(dict.fromkeys(name for row in rows for name in row.figures))
    lines = []
    for case, found in groupby(rows, key=lambda row: row.case):
        by_phase = {row.phase: row for row in found}
        (whole,) = (row for name, row in by_phase.items() if name in WHOLE)
        times = [format_number(1e3 * by_phase[phase].median) for phase in phases]
        peak = "" if whole.peak_bytes is None else f"{whole.peak_bytes / 2**20:.1f}"
        further = [format_number(whole.figures[name]) for name in figures]
        lines.append([case, *times, format_ratio(whole), peak, *further])
    names = ["ms" if phase == "run" else f"{phase} ms" for phase in phases]
    return markdown_table(["", *names, "ratio (10 - 90 %)", "peak MiB", *figures], lines)


def format_ratio(row: Row) -> str:
    """The median ratio and its deciles."""
    if row.ratio is None or row.case == row.reference:
        return "1"
    return f"{row.ratio.median:.2f} ({row.ratio.p10:.2f} - {row.ratio.p90:.2f})"


def ratios(rows: Sequence[Row]) -> list[Row]:
    """The rows of whole runs that were compared with another."""
    return [row for row in rows if row.phase in WHOLE and row.case != row.reference and row.ratio]


def draw(panels: Sequence[Sequence[Row]], path: Path) -> None:
    """Draws the ratios of each benchmark, with their deciles."""
    heights = [len(rows) for rows in panels]
    figure = Figure(figsize=(10.0, 0.9 + 0.22 * sum(heights) + 0.35 * len(panels)))
    FigureCanvasAgg(figure)
    grid = {"height_ratios": heights, "hspace": 6 / sum(heights) * len(panels) / 2}
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    for axes, rows in zip(all_axes, panels, strict=True):
        draw_panel(axes, rows)
    all_axes[-1].set_xlabel("ratio of times: median, and range from the first to the ninth decile")
    figure.subplots_adjust(left=0.55, right=0.98, top=0.96, bottom=0.06)
    save_figure(figure, path)


def draw_panel(axes: Any, rows: Sequence[Row]) -> None:
    """Draws the ratios of one benchmark."""
    found = [(row, row.ratio) for row in rows if row.ratio is not None]
    medians = [ratio.median for _, ratio in found]
    below = [ratio.median - ratio.p10 for _, ratio in found]
    above = [ratio.p90 - ratio.median for _, ratio in found]
    places = range(len(found))
    style = {"linestyle": "none", "color": BLUE, "marker": "o", "markersize": 4, "capsize": 2}
    axes.errorbar(medians, places, xerr=[below, above], **style)
    axes.axvline(1.0, color=GREY, linewidth=1)
    axes.set(xscale="log", yticks=places, ylim=(len(found) - 0.5, -0.5))
    axes.set_yticklabels([f"{row.title}: {row.case}" for row, _ in found], fontsize=7.5)
    axes.set_title(f"{rows[0].benchmark}: time over that of {rows[0].reference}", fontsize=9)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(which="both", color="#e8e8e8", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
