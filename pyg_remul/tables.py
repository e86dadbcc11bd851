"""Plain-text tables."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["markdown_table"]


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
