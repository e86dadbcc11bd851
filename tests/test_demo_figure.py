"""The figure of the demo."""

from __future__ import annotations

import os

import matplotlib.image
import numpy as np
import pytest

from pyg_remul import demo_figure
from pyg_remul.demo_figure import plot_demo
from pyg_remul.demo_results import DemoRow

COLUMNS = ("id", "ood", "E", "E_prime")


def make_rows(betas=(0.1, 1.0, 10.0), seeds=2):
    methods = [("plain", None, 1), ("augmentation", None, 1), ("augmentation", None, 2)]
    methods += [*(("remul", beta, 2) for beta in betas), ("gradnorm", 1.0, 2)]
    rng = np.random.default_rng(0)
    return [
        DemoRow(method, method, beta, passes, {c: [*rng.uniform(0.1, 1, seeds)] for c in COLUMNS})
        for method, beta, passes in methods
    ]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws rows and returns the figure."""

    def draw(rows):
        saved = []
        monkeypatch.setattr(demo_figure, "save_figure", lambda figure, _: saved.append(figure))
        plot_demo(rows, tmp_path / "demo.png")
        return saved[0]

    return draw


def line_values(axes):
    return [line.get_ydata() for line in axes.get_lines() if len(line.get_xdata())]


def test_figure_is_an_image(tmp_path):
    plot_demo(make_rows(), tmp_path / "new" / "demo.png")
    image = matplotlib.image.imread(tmp_path / "new" / "demo.png")
    assert image.shape[0] > 400
    assert image.shape[1] > 1000
    assert image[..., :3].std() > 0.05


def test_file_is_the_only_one_in_its_folder(tmp_path):
    plot_demo(make_rows(), tmp_path / "demo.png")
    assert os.listdir(tmp_path) == ["demo.png"]


def test_ending_gives_the_format(tmp_path):
    plot_demo(make_rows(), tmp_path / "demo.pdf")
    assert (tmp_path / "demo.pdf").read_bytes().startswith(b"%PDF")


def test_panels_show_errors_against_the_weight(drawn):
    labels = [(axes.get_ylabel(), axes.get_xlabel()) for axes in drawn(make_rows()).axes]
    weight = "weight β of the equivariance loss"
    assert labels == [("mean squared error", weight), ("equivariance error", weight)]


def test_curves_are_the_means_over_seeds(drawn):
    rows = make_rows()
    for axes, columns in zip(drawn(rows).axes, (("id", "ood"), ("E", "E_prime")), strict=True):
        values = [tuple(np.asarray(line, float)) for line in line_values(axes)]
        for column in columns:
            expected = tuple(row.mean(column) for row in rows if row.method == "remul")
            assert expected in values


def test_plain_training_and_augmentation_of_equal_passes_are_horizontal_lines(drawn):
    rows = make_rows()
    values = [tuple(np.asarray(line, float)) for line in line_values(drawn(rows).axes[0])]
    lines = [(row.mean("id"),) * 2 in values for row in rows[:3]]
    assert lines == [True, False, True]


def test_horizontal_lines_lie_in_bands_of_one_spread(drawn):
    rows = make_rows()
    bands = {tuple(patch.get_bbox().intervaly.round(9)) for patch in drawn(rows).axes[0].patches}
    assert bands == {
        (round(row.mean(name) - row.spread(name), 9), round(row.mean(name) + row.spread(name), 9))
        for row in (rows[0], rows[2])
        for name in ("id", "ood")
    }


def test_legend_names_every_method(drawn):
    (legend,) = drawn(make_rows()).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names[2:] == ["plain", "augmentation, equal passes"]
    assert [name.split(",")[0] for name in names[:2]] == ["REMUL", "REMUL"]


def test_band_below_zero_leaves_the_axis_on_the_data(drawn):
    rows = make_rows()
    rows[0].values["id"][:] = [0.01, 1.0]  # the spread is larger than the mean
    bottom, top = drawn(rows).axes[0].get_ylim()
    assert 1e-3 < bottom < top < 10


def test_one_seed_and_one_weight_are_enough(tmp_path):
    plot_demo(make_rows(betas=(1.0,), seeds=1), tmp_path / "demo.png")
    assert (tmp_path / "demo.png").stat().st_size > 10_000
