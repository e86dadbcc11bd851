"""Plain-text tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_remul.files import refusal

__all__ = ["csv_table", "markdown_table", "read_csv"]


def csv_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats a table as CSV, in full precision.

    Args:
        rows: The cells by column. Cells that a row lacks are empty.

    Returns:
        The table, columns in the order of their first appearance.

    Example:
        >>> print(csv_table([{"split": "test", "mse": 0.1}, {"split": "ood", "E": 0.5}]))
        split,mse,E
        test,0.1,
        ood,,0.5
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    """Reads a table that :func:`csv_table` formatted.

    Args:
        path: The file.

    Returns:
        The cells by column, as text.

    Raises:
        ValueError: If a line has more or fewer cells than columns, as of a file that is cut short.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise refusal(path, f"line {line} must have a cell for each column")
    return rows


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Formats a table as aligned Markdown, the first column to the left, the others to the right.

    Args:
        header: The columns' names.
        rows: The cells, as many in each row.

    Returns:
        The table, without a final line break.

    Example:
        >>> print(markdown_table(["split", "MSE"], [["test", "1.5"]]))
        | split | MSE |
        |-------|----:|
        | test  | 1.5 |
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    first, *rest = ("-" * (width + 1) for width in widths)
    rule = "|" + "|".join([first + "-", *(dashes + ":" for dashes in rest)]) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])
