"""Reports of loss surfaces."""

from __future__ import annotations

import csv
import dataclasses
import os
from pathlib import Path

import pytest
import torch

from pyg_remul.loss_surface import grid_axis
from pyg_remul.reproduction import loss_surfaces
from pyg_remul.reproduction.landscape import Curvature, Landscape, LandscapeOptions
from pyg_remul.reproduction.loss_surfaces import report_loss_surfaces

OPTIONS = LandscapeOptions(num_points=11, num_pairs=2)


def make_landscape(scale, bend):
    """A landscape that is convex with a positive bend and nowhere with a negative one."""
    axis = grid_axis(11)
    surface = 1e-3 + scale * (3 + axis[:, None] ** 2 + bend * axis[None] ** 2)
    curvature = Curvature(
        loss=3e-3 * scale,
        gradient=1e-3,
        smallest=-0.5,
        largest=10.0 * scale,
        residual=1e-6,
        trace=12.0,
        trace_se=1.0,
    )
    return Landscape(surfaces=torch.stack([surface, 2 * surface]), curvature=curvature)


@pytest.fixture
def undrawn(monkeypatch):
    """Leaves out the figures, which have tests of their own."""
    for name in ("plot_contours", "plot_reliefs"):
        monkeypatch.setattr(loss_surfaces, name, lambda *_: None)


@pytest.fixture
def report(monkeypatch, tmp_path):
    """Reports synthetic landscapes, by the name of their checkpoint."""
    landscapes = {
        "bowl-0": make_landscape(1.0, 1.0),
        "bowl-1": make_landscape(2.0, 1.0),
        "saddle-0": make_landscape(1.0, -1.0),
    }

    def measure(path, folder, *, options, data, report):
        report(options.num_pairs * options.num_points)
        landscape = landscapes[path.name]
        return dataclasses.replace(landscape, surfaces=landscape.surfaces[: options.num_pairs])

    monkeypatch.setattr(loss_surfaces, "measure_landscape", measure)
    found = {"Bowl": [Path("bowl-0"), Path("bowl-1")], "Saddle": [Path("saddle-0")]}

    def write(checkpoints=found, **options):
        return report_loss_surfaces(checkpoints, tmp_path, options=OPTIONS, **options)

    return write


def cells(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = ([c.strip() for c in line.strip("|").split("|")] for line in lines)
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def test_caption_stands_above_the_description_and_the_table(report, tmp_path):
    text = report(caption="Trained long.")
    assert text.startswith("Trained long.\n\nMean squared error")
    assert (tmp_path / "table.md").read_text() == text + "\n"


def test_all_files_are_written(report, tmp_path):
    report()
    figures = [f"{name}.{ending}" for name in ("contours", "reliefs") for ending in ("png", "svg")]
    assert sorted(os.listdir(tmp_path)) == [*figures, "table.csv", "table.md"]


@pytest.mark.usefixtures("undrawn")
def test_table_is_returned_as_it_is_written(report, tmp_path):
    assert report() + "\n" == (tmp_path / "table.md").read_text()


@pytest.mark.usefixtures("undrawn")
def test_caption_says_how_it_was_measured(report):
    caption = report().partition("\n")[0]
    assert "11 x 11 points of 2 planes" in caption
    assert "(over the planes of all seeds)" in caption


@pytest.mark.usefixtures("undrawn")
def test_table_has_mean_and_deviation_over_seeds(report):
    row = cells(report())["Bowl"]
    assert row["seeds"] == "2"
    assert row["loss (1e-3)"] == "4.5 ± 2.1"
    assert row["largest"] == "15 ± 7.1"
    assert row["smallest eigenvalue"] == "-0.5 ± 0"
    assert row["smallest / largest (1e-3)"] == "-37.5 ± 18"
    assert (row["gradient (1e-3)"], row["trace"]) == ("1 ± 0", "12 ± 0")


@pytest.mark.usefixtures("undrawn")
def test_single_seed_has_no_deviation(report):
    assert cells(report())["Saddle"]["largest"] == "10"


@pytest.mark.usefixtures("undrawn")
def test_shapes_are_those_of_all_surfaces(report):
    table = cells(report())
    columns = [f"not convex within {radius} (%)" for radius in ("0.25", "0.5", "1")]
    assert [table["Bowl"][column] for column in columns] == ["0 ± 0"] * 3
    assert [table["Saddle"][column] for column in columns] == ["100 ± 0"] * 3
    assert table["Bowl"]["local minima"] == "1 ± 0"


@pytest.mark.usefixtures("undrawn")
def test_csv_has_a_row_for_each_surface(report, tmp_path):
    report()
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    keys = [(row["model"], row["seed"], row["pair"]) for row in rows]
    assert keys == [
        *(("Bowl", seed, pair) for seed in "01" for pair in "01"),
        *(("Saddle", "0", pair) for pair in "01"),
    ]
    assert [float(row["nonconvex_1"]) for row in rows] == [0, 0, 0, 0, 1, 1]
    assert float(rows[2]["largest"]) == 20


@pytest.mark.usefixtures("undrawn")
def test_surfaces_may_be_those_of_some_seeds_alone(report, tmp_path):
    text = report(surface_seeds=1)
    assert "(over the planes of the first seed)" in text
    row = cells(text)["Bowl"]
    assert (row["seeds"], row["largest"]) == ("2", "15 ± 7.1")
    with (tmp_path / "table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == "Bowl"]
    assert [(row["seed"], row["pair"]) for row in rows] == [("0", "0"), ("0", "1"), ("1", "")]


def test_figures_show_the_first_seed_of_each_model(report, monkeypatch):
    drawn = []
    for name in ("plot_contours", "plot_reliefs"):
        monkeypatch.setattr(loss_surfaces, name, lambda surfaces, *_: drawn.append(surfaces))
    report()
    for surfaces in drawn:
        assert list(surfaces) == ["Bowl", "Saddle"]
        assert surfaces["Bowl"][0].equal(make_landscape(1.0, 1.0).surfaces[0])


@pytest.mark.usefixtures("undrawn")
def test_bar_shows_the_rows_of_all(report, capsys):
    report()
    assert "66/66" in capsys.readouterr().err


@pytest.mark.usefixtures("undrawn")
def test_model_without_checkpoints_is_refused(report):
    with pytest.raises(ValueError, match=r"`checkpoints` must give one or more .* of \['Saddle'\]"):
        report({"Bowl": [Path("bowl-0")], "Saddle": []})


@pytest.mark.parametrize(("num_pairs", "surface_seeds"), [(0, None), (1, 0)])
def test_report_without_a_surface_is_refused(tmp_path, num_pairs, surface_seeds):
    options = LandscapeOptions(num_pairs=num_pairs)
    match = rf"`surface_seeds` must be positive, got {num_pairs} and {surface_seeds}"
    with pytest.raises(ValueError, match=match):
        report_loss_surfaces(
            {"Bowl": [Path("bowl")]}, tmp_path, options=options, surface_seeds=surface_seeds
        )
