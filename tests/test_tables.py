"""Plain-text tables."""

from __future__ import annotations

import pytest

from pyg_remul.tables import csv_table, markdown_table, read_csv


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


def test_csv_has_full_precision_and_quotes_what_needs_it():
    rows = [{"name": 'a, "b"', "x": 0.1 + 0.2}]
    assert csv_table(rows) == 'name,x\n"a, ""b""",0.30000000000000004\n'


def test_csv_without_rows_has_no_columns():
    assert csv_table([]) == "\n"


def test_csv_comes_back_as_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(csv_table([{"a": 0.1, "b": "x, y"}, {"a": 2}]))
    assert read_csv(path) == [{"a": "0.1", "b": "x, y"}, {"a": "2", "b": ""}]


@pytest.mark.parametrize("text", ["", "\n", "a,b\n"], ids=["empty", "blank", "header alone"])
def test_csv_may_have_no_rows(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    assert read_csv(tmp_path / "a.csv") == []


@pytest.mark.parametrize("line", ["3", "3,4,5"], ids=["short", "long"])
def test_line_of_another_length_is_refused(tmp_path, line):
    (tmp_path / "a.csv").write_text(f"a,b\n1,2\n{line}\n")
    with pytest.raises(
        ValueError, match=r"a\.csv is refused: line 3 must have a cell for each col"
    ):
        read_csv(tmp_path / "a.csv")
