"""The table and the figure of a simulation; the table is tested with the simulation."""

from __future__ import annotations

import os

import matplotlib.image
import numpy as np
import pytest

from pyg_remul import simulation_log
from pyg_remul.simulation_log import LogRow, plot_simulation


def make_log(first=-100, last=400):
    rng = np.random.default_rng(0)
    columns = rng.normal([[-100.0], [10.0], [-90.0], [500.0]], 5.0, (4, last - first))
    return [LogRow(step, 1e-3 * step, *columns[:, step - first]) for step in range(first, last)]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws rows and returns the figure."""

    def draw(rows, temperature=500.0):
        saved = []
        monkeypatch.setattr(simulation_log, "save_figure", lambda figure, _: saved.append(figure))
        plot_simulation(rows, temperature, tmp_path / "log.png")
        return saved[0]

    return draw


def line_values(axes):
    return [line.get_ydata() for line in axes.get_lines() if len(line.get_xdata())]


def test_figure_of_a_simulation_is_an_image(tmp_path):
    plot_simulation(make_log(), 500.0, tmp_path / "log.png")
    assert matplotlib.image.imread(tmp_path / "log.png").shape[1] > 1000
    assert os.listdir(tmp_path) == ["log.png"]


def test_panels_of_a_simulation_have_their_units(drawn):
    figure = drawn(make_log(), temperature=500.0)
    labels = [(axes.get_ylabel(), axes.get_xlabel()) for axes in figure.axes]
    assert labels == [("temperature (K)", "time (ps)"), ("energy (kcal/mol)", "time (ps)")]


def test_single_frames_and_their_running_mean_are_drawn(drawn):
    rows = make_log()
    frames, means, thermostat = line_values(drawn(rows, temperature=310.0).axes[0])
    temperatures = np.array([row.temperature for row in rows])
    np.testing.assert_allclose(frames, temperatures)
    np.testing.assert_allclose(means[7], temperatures[7:17].mean())
    assert set(thermostat) == {310.0}


def test_energies_are_relative_to_the_mean_of_the_frames_that_are_kept(drawn):
    rows = make_log()
    total, kinetic, potential = line_values(drawn(rows, temperature=500.0).axes[1])
    floor = np.mean([row.potential for row in rows if row.step >= 0])
    for line, name, shift in ((total, "total", floor), (kinetic, "kinetic", 0.0)):
        expected = np.mean([getattr(row, name) for row in rows[:10]]) - shift
        assert line[0] == pytest.approx(expected)
    assert potential[100:].mean() == pytest.approx(0, abs=0.2)


def test_equilibration_is_shaded(drawn):
    for axes in drawn(make_log(), temperature=500.0).axes:
        (shade,) = axes.patches
        assert shade.get_bbox().intervalx.tolist() == pytest.approx([-0.1, 0.0])
    figure = drawn(make_log(first=0), temperature=500.0)
    assert not any(axes.patches for axes in figure.axes)


@pytest.mark.parametrize(
    "last", [-99, -50, 0, 1], ids=["one frame", "few", "none kept", "one kept"]
)
def test_simulation_that_ended_early_is_drawn(drawn, last):
    figure = drawn(make_log(last=last), temperature=500.0)
    assert np.isfinite(line_values(figure.axes[1])[0]).all()
