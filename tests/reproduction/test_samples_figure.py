"""Figures of errors against the number of group samples."""

from __future__ import annotations

import dataclasses
import math

import matplotlib.image
import pytest
from synthetic import NBODY, make_diverged, make_method, make_outcome

from pyg_remul.reproduction import samples_figure
from pyg_remul.reproduction.samples_figure import plot_samples

FRESH = [{"num_samples": number} for number in (1, 2, 4, 8)]
POOLS = [{"rotation_pool": number} for number in (1, 4, 64)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of augmentation and REMUL, all of them different."""
    folder = tmp_path_factory.mktemp("runs")
    methods = [make_method(kind, name=kind) for kind in ("augmentation", "remul")]
    pairs = [(method, setting) for method in methods for setting in (*FRESH, *POOLS)]
    return [
        make_outcome(
            folder,
            NBODY,
            method,
            1e-3 * (k + 1),
            setting=setting,
            error=0.01 * (k + 1),
            splits=("test", "ood"),
            seeds=2,
        )
        for k, (method, setting) in enumerate(pairs)
    ]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws outcomes and returns the rows of axes."""

    def draw(outcomes, **options):
        saved = []
        monkeypatch.setattr(samples_figure, "save_figures", lambda figure, _: saved.append(figure))
        plot_samples(outcomes, tmp_path / "figure", **options)
        axes = saved[0].axes
        return [axes[start : start + 3] for start in (0, 3, 6)]

    return draw


def curves(axes):
    """The places and means of augmentation and of REMUL."""
    return [
        tuple(map(tuple, line.get_data()))
        for line in axes.get_lines()
        if line.get_linestyle() != "None"
    ]


def find(outcomes, kind, **setting):
    return next(o for o in outcomes if o.method.kind == kind and o.setting == setting)


def test_both_formats_are_saved(outcomes, tmp_path):
    paths = plot_samples(outcomes, tmp_path / "new" / "figure")
    assert [path.name for path in paths] == ["figure.png", "figure.svg"]
    assert matplotlib.image.imread(paths[0])[..., :3].std() > 0.05


def test_rows_are_errors_in_and_out_of_distribution_and_of_equivariance(drawn, outcomes):
    rows = drawn(outcomes)
    names = [axes.get_ylabel() for axes, *_ in rows]
    assert names == ["MSE (10⁻²)", "OOD MSE (10⁻²)", "E"]
    assert drawn(outcomes, quantity="E_prime")[2][0].get_ylabel() == "E′"


def test_left_column_counts_rotations(drawn, outcomes):
    for row in drawn(outcomes):
        assert [places for places, _ in curves(row[0])] == [(1, 2, 4, 8)] * 2


def test_middle_column_counts_one_pass_more_for_remul(drawn, outcomes):
    for row in drawn(outcomes):
        assert [places for places, _ in curves(row[1])] == [(1, 2, 4, 8), (2, 3, 5, 9)]


def test_middle_column_shows_the_runs_of_the_left_one(drawn, outcomes):
    for left, middle, _ in drawn(outcomes):
        assert [means for _, means in curves(left)] == [means for _, means in curves(middle)]
        assert left.get_ylim() == middle.get_ylim()


def test_right_column_counts_fixed_rotations_and_ends_with_fresh_ones(drawn, outcomes):
    rows = drawn(outcomes)
    for *_, axes in rows:
        assert [places for places, _ in curves(axes)] == [(1, 4, 64, 256)] * 2
    axes = rows[-1][-1]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "4", "64", "∞"]


@pytest.mark.parametrize("kind", ["augmentation", "remul"])
def test_points_are_means_over_seeds(drawn, outcomes, kind):
    column = {"augmentation": 0, "remul": 1}[kind]
    for row, quantity, unit in zip(
        drawn(outcomes), ("mse", "ood", "E"), (1e-2, 1e-2, 1.0), strict=True
    ):
        _, fresh = curves(row[0])[column]
        _, fixed = curves(row[2])[column]
        expected = [find(outcomes, kind, **setting).mean(quantity) / unit for setting in FRESH]
        assert fresh == pytest.approx(expected)
        assert fixed[1] == pytest.approx(
            find(outcomes, kind, rotation_pool=4).mean(quantity) / unit
        )
        assert fixed[-1] == pytest.approx(expected[0])


def test_bars_are_standard_deviations(drawn, outcomes):
    (axes, *_), *_ = drawn(outcomes)
    (segments, *_) = (bars.get_segments() for bars in axes.collections)
    outcome = find(outcomes, "augmentation", num_samples=1)
    half = (segments[0][1, 1] - segments[0][0, 1]) / 2
    assert half == pytest.approx(outcome.spread("mse") / 1e-2)


def test_methods_differ_in_marker_and_line_as_well_as_colour(drawn, outcomes):
    lines = [line for line in drawn(outcomes)[0][0].get_lines() if line.get_linestyle() != "None"]
    for look in ("get_color", "get_marker", "get_linestyle"):
        assert len({getattr(line, look)() for line in lines}) == 2


def test_diverged_runs_have_no_point(drawn, outcomes):
    gone = [o for o in outcomes if o.setting != {"num_samples": 4} or o.method.kind != "remul"]
    method = make_method("remul", name="remul")
    rows = drawn([*gone, make_diverged(NBODY, method, {"num_samples": 4})])
    assert [places for places, _ in curves(rows[0][0])] == [(1, 2, 4, 8), (1, 2, 8)]


def test_outcomes_without_pools_or_without_runs_can_be_drawn(drawn, outcomes):
    rows = drawn([dataclasses.replace(o, runs=()) for o in outcomes if o.setting in FRESH[:2]])
    assert all(math.isfinite(limit) for axes in rows[0] for limit in axes.get_ylim())
