"""Plain-text tables."""

from __future__ import annotations

import pytest

from pyg_remul.tables import markdown_table


def test_columns_are_aligned():
    rows = [["test", "1.5", "2"], ["a longer name", "10.25", ""]]
    assert markdown_table(["", "MSE", "E"], rows).split("\n") == [
        "|               |   MSE | E |",
        "|---------------|------:|--:|",
        "| test          |   1.5 | 2 |",
        "| a longer name | 10.25 |   |",
    ]


def test_header_may_be_wider_than_its_column():
    assert markdown_table(["x", "long header"], [["a", "1"]]).split("\n") == [
        "| x | long header |",
        "|---|------------:|",
        "| a |           1 |",
    ]


def test_table_may_have_no_rows():
    assert markdown_table(["a", "b"], []) == "| a | b |\n|---|--:|"


def test_table_may_have_one_column():
    assert markdown_table(["a"], [["long"]]) == "| a    |\n|------|\n| long |"


@pytest.mark.parametrize("row", [["1"], ["1", "2", "3"]], ids=["short", "long"])
def test_row_of_another_length_is_refused(row):
    with pytest.raises(ValueError, match="zip"):
        markdown_table(["a", "b"], [row])
