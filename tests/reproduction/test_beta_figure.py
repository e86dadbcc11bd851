"""Figures against the weight of the equivariance loss."""

from __future__ import annotations

import dataclasses
import math

import matplotlib.image
import numpy as np
import pytest
from synthetic import ETHANOL, NBODY, RUN, make_diverged, make_method, make_outcome

from pyg_remul.figures import BLUE, ORANGE
from pyg_remul.reproduction import beta_figure
from pyg_remul.reproduction.beta_figure import plot_beta
from pyg_remul.reproduction.study import Case

REMUL, GRADUAL = make_method("remul", name="REMUL"), make_method("gradnorm", name="gradual")
STRICT = make_method("rival", "egnn", "EGNN")
BETAS = (0.1, 1.0, 10.0)


@pytest.fixture
def make(tmp_path):
    def build(method, case=ETHANOL, **options):
        return make_outcome(tmp_path, case, method, **options)

    return build


@pytest.fixture
def sweep(make):
    """REMUL over the weights, with baselines."""

    def build(case=ETHANOL, **options):
        outcomes = [
            make(method, case, setting={"beta": beta}, level=1 + factor * beta, **options)
            for method, factor in ((REMUL, 0.1), (GRADUAL, 0.2))
            for beta in BETAS
        ]
        plain, strict = (
            make(make_method(), case, level=3.0, **options),
            make(STRICT, case, **options),
        )
        return [plain, *outcomes, strict]

    return build


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws outcomes and returns the figure."""

    def draw(outcomes, quantity="E"):
        saved = []
        monkeypatch.setattr(beta_figure, "save_figures", lambda figure, _: saved.append(figure))
        plot_beta(outcomes, tmp_path / "figure", quantity)
        return saved[0]

    return draw


def panels(figure):
    return [axes for axes in figure.axes if axes.axison]


def points(axes, colour):
    """The points with error bars of a colour: weights and values."""
    (bars,) = (bars for bars in axes.containers if bars[0].get_color() == colour)
    return bars[0].get_xdata(), bars[0].get_ydata()


def levels(axes):
    """The heights of the horizontal lines."""
    found = [np.asarray(line.get_ydata(), float) for line in axes.get_lines()]
    return [y[0] for y in found if len(y) == 2 and y[0] == y[1]]


def test_figure_is_a_picture_and_a_drawing(sweep, tmp_path):
    png, svg = plot_beta(sweep(), tmp_path / "new" / "E")
    assert (png.name, svg.name) == ("E.png", "E.svg")
    assert matplotlib.image.imread(png)[..., :3].std() > 0.05
    assert b"<svg" in svg.read_bytes()


def test_same_outcomes_give_the_same_files(sweep, tmp_path):
    outcomes = sweep()
    first, second = (plot_beta(outcomes, tmp_path / name / "E") for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(("method", "colour"), [(REMUL, BLUE), (GRADUAL, ORANGE)], ids=["c", "g"])
def test_curve_has_the_means_at_their_weights(sweep, drawn, method, colour):
    outcomes = sweep()
    weights, values = points(panels(drawn(outcomes))[0], colour)
    expected = [100 * o.mean("mse") for o in outcomes if o.method is method]
    assert list(weights) == list(BETAS)
    assert list(values) == pytest.approx(expected, rel=1e-12)


def test_bars_are_standard_deviations(sweep, drawn):
    outcomes = sweep()
    (bars,) = (b for b in panels(drawn(outcomes))[0].containers if b[0].get_color() == BLUE)
    heights = [0.5 * np.ptp(segment[:, 1]) for segment in bars[2][0].get_segments()]
    expected = [100 * o.spread("mse") for o in outcomes if o.method is REMUL]
    assert heights == pytest.approx(expected, rel=1e-9)


def test_other_methods_are_horizontal_lines_in_bands(sweep, drawn):
    outcomes = sweep()
    axes = panels(drawn(outcomes))[0]
    expected = [100 * outcomes[place].mean("mse") for place in (0, -1)]
    assert levels(axes) == pytest.approx(expected, rel=1e-12)
    assert len(axes.patches) == 2


def test_marker_of_a_baseline_stands_right_of_all_weights(sweep, drawn):
    figure = drawn(sweep(error=0.5))
    figure.draw_without_rendering()
    for axes in panels(figure):
        places = [
            axes.transAxes.inverted().transform(line.get_window_extent())[0, 0]
            for line in axes.get_lines()
            if line.get_marker() in ("s", "X")
        ]
        assert len(places) == 2
        assert min(places) > 1


def test_baseline_is_drawn_with_its_chosen_setting(sweep, make, drawn):
    other = make(make_method(), setting={"lr": 1.0}, level=9.0, chosen=False)
    assert len(levels(panels(drawn([*sweep(), other]))[0])) == 2


@pytest.mark.parametrize("quantity", ["E", "E_prime"])
def test_second_panel_shows_the_equivariance_error(sweep, drawn, quantity):
    outcomes = sweep(error=0.5)
    axes = panels(drawn(outcomes, quantity))[1]
    assert list(points(axes, BLUE)[1]) == [outcomes[1].mean(quantity)] * 3
    assert axes.get_ylabel() == {"E": "E", "E_prime": "E′"}[quantity]


def test_rounding_errors_of_strict_models_leave_the_axis_on_the_others(sweep, make, drawn):
    outcomes = [*sweep(error=0.5)[:-1], make(STRICT, error=1e-15)]
    axes = panels(drawn(outcomes))[1]
    assert axes.get_ylim()[0] > 0.05
    assert [text.get_text().strip() for text in axes.texts] == ["exact"]
    assert len(levels(axes)) == 1


@pytest.mark.parametrize("validation", [math.inf, 1.0], ids=["in training", "on the test data"])
def test_weight_that_diverged_is_a_cross_at_the_upper_edge(sweep, drawn, validation):
    method = dataclasses.replace(REMUL, sweep=True)
    diverged = make_diverged(method=method, setting={"beta": 30.0})
    outcomes = [*sweep(), dataclasses.replace(diverged, validation=validation)]
    figure = drawn(outcomes)
    for axes in panels(figure):
        (cross,) = (line for line in axes.get_lines() if line.get_marker() == "x")
        assert (cross.get_xdata()[0], cross.get_ydata()[0], cross.get_color()) == (30.0, 1.0, BLUE)
        assert 30.0 not in points(axes, BLUE)[0]
    assert figure.legends[0].get_texts()[-1].get_text() == "diverged"


def test_setting_that_was_only_tried_is_not_drawn(sweep, make, drawn):
    tried = make(REMUL, setting={"beta": 3.0}, seeds=0, chosen=False)
    assert 3.0 not in points(panels(drawn([*sweep(), tried]))[0], BLUE)[0]


def test_gradual_mode_without_a_weight_stands_at_its_initial_one(make, drawn):
    weights, _ = points(panels(drawn([make(GRADUAL, setting={"gamma": 0.5})]))[0], ORANGE)
    assert list(weights) == [1.0]


def test_settings_of_one_weight_are_represented_by_the_lowest_validation_loss(make, drawn):
    outcomes = [
        make(GRADUAL, setting={"gamma": gamma}, level=level, validation=validation)
        for gamma, level, validation in ((0.0, 1.0, 0.3), (0.5, 2.0, 0.1), (1.0, 3.0, 0.2))
    ]
    _, values = points(panels(drawn(outcomes))[0], ORANGE)
    assert list(values) == [100 * outcomes[1].mean("mse")]


def test_error_out_of_distribution_has_a_panel_of_its_own(sweep, drawn):
    figure = drawn(sweep(NBODY, splits=("test", "ood")))
    labels = [axes.get_ylabel() for axes in panels(figure)]
    assert labels == ["MSE (10⁻²)", "OOD MSE (10⁻²)", "E"]


def test_cases_stand_side_by_side_in_rows_of_four(sweep, drawn):
    names = [f"molecule {number}" for number in range(5)]
    cases = [Case(name=name, options=ETHANOL.options) for name in names]
    figure = drawn([outcome for case in cases for outcome in sweep(case)])
    assert len(figure.axes) == 16
    assert [axes.get_title("left") for axes in panels(figure)] == [
        *names[:4],
        *[""] * 4,
        names[4],
        "",
    ]
    assert [axes.get_xlabel() != "" for axes in panels(figure)] == [False] * 4 + [True] * 4 + [
        False,
        True,
    ]


def test_figure_of_two_cases_is_as_wide_as_a_column(sweep, drawn):
    walk = Case(name="walk", options={"task": "mocap-walk"})
    figure = drawn([*sweep(RUN), *sweep(walk)])
    assert figure.get_size_inches()[0] == pytest.approx(3.44, abs=1e-9)


def test_legend_names_curves_and_lines(sweep, drawn):
    (legend,) = drawn(sweep()).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["REMUL", "gradual", "gnn plain", "EGNN"]


@pytest.mark.parametrize("name", ["GNN", "a GNN with a long name", "a GNN with a name " * 3])
def test_legend_fits_into_a_column(sweep, make, drawn, name):
    walk = Case(name="walk", options={"task": "mocap-walk"})
    named = [make(make_method("rival", "gnn", name), case) for case in (RUN, walk)]
    figure = drawn([*sweep(RUN), *sweep(walk), *named])
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def markers(figure):
    """The markers of the legend by name."""
    handles = figure.legends[0].legend_handles
    return {str(handle.get_label()): handle.get_marker() for handle in handles}


def test_method_looks_the_same_whatever_stands_beside_it(make, drawn):
    equal = make_method("rival", "gatr", "GATr")
    alone, among = [make(equal)], [make(STRICT), make(make_method()), make(equal)]
    assert markers(drawn(alone))["GATr"] == markers(drawn(among))["GATr"]


def test_methods_of_one_kind_look_different(make, drawn):
    names = [f"GNN {number}" for number in range(3)]
    outcomes = [make(make_method(name=name)) for name in names]
    outcomes.append(make(make_method("rival", "emlp", "EMLP")))
    outcomes.append(make(STRICT))
    assert len(set(markers(drawn(outcomes)).values())) == 5


def test_one_seed_is_enough(make, drawn):
    axes = panels(drawn([make(REMUL, setting={"beta": 1.0}, seeds=1)]))[0]
    assert math.isfinite(axes.get_ylim()[0])
