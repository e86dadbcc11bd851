"""What all figures have in common."""

from __future__ import annotations

import os

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from pyg_remul.figures import (
    draw_level,
    paper_style,
    save_figure,
    save_figures,
    set_log_ticks,
)


def test_failing_save_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "demo.png"
    path.write_bytes(b"old")

    def write_half(self, target, **options):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", write_half)
    with pytest.raises(OSError, match="disk full"):
        save_figure(Figure(), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["demo.png"]


@pytest.fixture
def axes():
    return Figure().subplots()


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.001, 1000.0, ["0.001", "0.01", "0.1", "1", "10", "100", "1000"]),
        (0.9, 11.0, ["1", "2", "5", "10"]),
        (3.9, 5.1, ["4", "4.5", "5"]),
    ],
    ids=["many decades", "one decade", "less"],
)
def test_log_axis_is_labelled_by_plain_numbers(axes, low, high, labels):
    axes.set(yscale="log", ylim=(low, high))
    set_log_ticks(axes.yaxis)
    ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    assert [label.get_text() for place, label in ticks if low <= place <= high] == labels


def test_level_lies_in_the_middle_of_its_band(axes):
    draw_level(axes, 2.0, 0.5, color="red")
    assert list(axes.get_lines()[0].get_ydata()) == [2.0, 2.0]
    assert tuple(axes.patches[0].get_bbox().intervaly) == (1.5, 2.5)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_same_figure_gives_the_same_file(tmp_path, ending):
    for name in ("a", "b"):
        figure = Figure()
        figure.subplots().plot([1, 2], label="line")
        save_figure(figure, tmp_path / f"{name}.{ending}")
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_figure_for_print_is_saved_twice(tmp_path):
    paths = save_figures(Figure(), tmp_path / "new" / "beta.v2")
    assert [path.name for path in paths] == ["beta.v2.png", "beta.v2.svg"]
    assert all(path.exists() for path in paths)


def test_paper_style_ends_with_its_block():
    with paper_style():
        assert mpl.rcParams["font.size"] < 8
    assert mpl.rcParams["font.size"] == 10
