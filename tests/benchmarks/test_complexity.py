"""Time and memory against the batch size."""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures.process import BrokenProcessPool

import pytest
from torch import nn

from pyg_remul.benchmarks import complexity, complexity_figure
from pyg_remul.benchmarks.complexity import format_table, make_batch, measure_here
from pyg_remul.benchmarks.complexity_figure import plot_complexity
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.benchmarks.results import Quantiles, Row, Setting, append_rows, read_rows

SECONDS = {
    "forward": Quantiles(1.0, 2.0, 3.0),
    "backward": Quantiles(3.0, 4.0, 5.0),
    "both": Quantiles(4.0, 6.0, 8.0),
    "inference": Quantiles(0.1, 0.2, 0.3),
}


def blank(model, size, rounds=4):
    """A row without results."""
    return Row(
        benchmark="complexity",
        title="12 blocks",
        case=model,
        reference="Transformer",
        sizes={"graphs": size, "nodes": 20 * size},
        setting=Setting.of(Settings(rounds=rounds, warm_up=2)),
        date="2025-01-01T00:00:00+00:00",
    )


def timed(row, scale=1.0, peak=2**30):
    """The rows of all passes."""
    peaks = {"both": peak}
    return [
        dataclasses.replace(
            row,
            phase=phase,
            rounds=4,
            seconds=Quantiles(*(scale * value for value in dataclasses.astuple(seconds))),
            peak_bytes=peaks.get(phase),
        )
        for phase, seconds in SECONDS.items()
    ]


MEASURED = [
    *timed(blank("Transformer", 1)),
    *timed(blank("GATr", 1), scale=3.0, peak=2**31),
    dataclasses.replace(blank("GATr", 2), failure="out of memory"),
]


class Positions(nn.Linear):
    """Reads positions; refuses to go on after some passes."""

    def __init__(self, passes=math.inf, message=""):
        super().__init__(3, 3)
        self.passes, self.message = passes, message

    def forward(self, data):
        self.passes -= 1
        if self.passes < 0:
            raise RuntimeError(self.message)
        return super().forward(data.pos)


@pytest.fixture(autouse=True)
def _unlimited(monkeypatch):
    monkeypatch.setattr(complexity, "limit_memory", lambda: None)


@pytest.fixture
def settings(tmp_path):
    return Settings(rounds=4, warm_up=2, max_batch_size=5, out=tmp_path)


@pytest.fixture
def measured(monkeypatch):
    """Lists what would be measured; GATr runs out of memory at two graphs."""
    calls = []

    def pretend(row, settings):
        calls.append((row.case, row.sizes["graphs"]))
        if row.case == "GATr" and row.sizes["graphs"] > 1:
            return [dataclasses.replace(row, failure="out of memory")]
        return timed(row)

    monkeypatch.setattr(complexity, "measure_apart", pretend)
    return calls


def test_batch_has_twenty_nodes_a_graph():
    batch = make_batch(3)
    assert batch.ptr.tolist() == [0, 20, 40, 60]
    assert {name: batch[name].size(1) for name in ("mass", "pos", "vel")} == {
        "mass": 1,
        "pos": 3,
        "vel": 3,
    }


def test_nodes_of_a_graph_are_linked_in_pairs():
    source, target = make_batch(2).edge_index
    assert len({*zip(source.tolist(), target.tolist(), strict=True)}) == len(source) == 2 * 20 * 19
    assert (source != target).all()
    assert (source // 20 == target // 20).all()


@pytest.mark.parametrize("name", complexity.MODELS)
def test_models_are_of_one_size(name):
    model = complexity.MODELS[name]()
    assert model.num_layers == 12
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(2.6e6, rel=0.05)


@pytest.mark.parametrize("name", complexity.MODELS)
def test_models_read_the_batch(name):
    batch = make_batch(2)
    assert complexity.MODELS[name]()(batch).shape == batch.pos.shape


def test_every_pass_is_timed_after_the_warm_up(monkeypatch, settings):
    monkeypatch.setitem(complexity.MODELS, "linear", Positions)
    rows = measure_here(blank("linear", 2), settings)
    assert [row.phase for row in rows] == list(SECONDS)
    for row in rows:
        assert row.rounds == 4
        assert 0 < row.seconds.p10 <= row.seconds.median <= row.seconds.p90


def test_slow_model_is_timed_three_times(monkeypatch, settings):
    monkeypatch.setitem(complexity.MODELS, "linear", Positions)
    monkeypatch.setattr(complexity, "SECONDS", 0.0)
    assert {row.rounds for row in measure_here(blank("linear", 2), settings)} == {3}


def test_peak_is_that_of_a_training_step(monkeypatch, settings):
    monkeypatch.setitem(complexity.MODELS, "linear", Positions)
    peaks = {row.phase: row.peak_bytes for row in measure_here(blank("linear", 2), settings)}
    assert peaks["both"] > peaks["inference"] > 4 * 3 * 2 * complexity.NUM_NODES
    assert peaks["forward"] is None


@pytest.mark.parametrize(
    "message",
    ["[enforce fail] DefaultCPUAllocator: can't allocate memory", "CUDA out of memory. Tried"],
)
def test_exhausted_memory_is_told_apart(monkeypatch, settings, message):
    monkeypatch.setitem(complexity.MODELS, "greedy", lambda: Positions(3, message))
    with pytest.raises(MemoryError, match="memory"):
        measure_here(blank("greedy", 2), settings)


def test_other_errors_are_not_taken_for_exhausted_memory(monkeypatch, settings):
    monkeypatch.setitem(complexity.MODELS, "broken", lambda: Positions(3, "shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        measure_here(blank("broken", 2), settings)


def test_larger_batches_are_left_out_once_memory_is_exhausted(measured, settings):
    complexity.main(settings)
    assert measured == [
        *(("Transformer", 1), ("GATr", 1), ("SE(3)-Transformer", 1)),
        *(("Transformer", 2), ("GATr", 2), ("SE(3)-Transformer", 2)),
        *(("Transformer", 4), ("SE(3)-Transformer", 4)),
    ]


def test_command_goes_on_with_what_is_missing(measured, settings):
    path = settings.out / "complexity.jsonl"
    append_rows(path, timed(blank("Transformer", 1)))
    complexity.main(settings)
    assert ("Transformer", 1) not in measured
    found = [row.sizes["graphs"] for row in read_rows(path) if row.phase == "both"]
    assert found == [1, 1, 1, 2, 2, 4, 4]


@pytest.mark.parametrize("rounds", [4, 5], ids=["same", "other"])
def test_what_was_measured_in_another_setting_is_measured_again(measured, settings, rounds):
    append_rows(settings.out / "complexity.jsonl", timed(blank("Transformer", 1, rounds)))
    complexity.main(settings)
    assert (("Transformer", 1) in measured) == (rounds == 5)


def test_table_gives_ratios_to_the_transformer_and_says_where_memory_ends():
    first, second, third = format_table(MEASURED).splitlines()[2:]
    assert [cell.strip() for cell in first.split("|")[1:-1]] == [
        *("Transformer, 1", "2000.0", "1.00", "4000.0", "1.00", "200.0", "1.00", "1.00"),
    ]
    assert [cell.strip() for cell in second.split("|")[1:-1]] == [
        *("GATr, 1", "6000.0", "3.00", "12000.0", "3.00", "600.0", "3.00", "2.00"),
    ]
    assert third.count("out of memory") == 2  # forward and backward
    assert third.count("not measured") == 1


def test_table_and_figure_are_written(measured, settings, capsys):
    complexity.main(settings)
    table = (settings.out / "complexity.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert (settings.out / "complexity.png").stat().st_size > 10_000
    assert (settings.out / "complexity.svg").stat().st_size > 10_000


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws rows and returns the figure."""

    def draw(rows):
        saved = []
        monkeypatch.setattr(
            complexity_figure, "save_figures", lambda figure, _: saved.append(figure)
        )
        plot_complexity(rows, tmp_path / "figure")
        saved[0].canvas.draw()
        return saved[0]

    return draw


def test_legend_stands_clear_of_the_axes(drawn):
    figure = drawn(MEASURED)
    (legend,) = figure.legends
    for axes in figure.axes:
        assert not legend.get_window_extent().overlaps(axes.get_tightbbox())


def test_panels_show_the_median_of_each_pass(drawn):
    for axes, phase in zip(drawn(MEASURED).axes, ("forward", "backward", "inference"), strict=True):
        transformer, gatr, *_ = (list(line.get_ydata()) for line in axes.get_lines())
        assert transformer == [SECONDS[phase].median]
        assert gatr == [3 * SECONDS[phase].median]


def test_panels_show_all_models(drawn):
    rows = [row for model in complexity.MODELS for row in timed(blank(model, 1))]
    for axes in drawn(rows).axes:
        assert [line.get_label() for line in axes.get_lines()] == list(complexity.MODELS)
        assert all(len(line.get_ydata()) == 1 for line in axes.get_lines())


def test_failure_is_marked_in_the_panels_of_training(drawn):
    *training, inference = drawn(MEASURED).axes
    assert [line.get_label() for line in inference.get_lines()][-1] == "SE(3)-Transformer"
    for axes in training:
        gatr, mark = axes.get_lines()[1], axes.get_lines()[-1]
        assert list(mark.get_xdata()) == [2, 2]
        assert (mark.get_color(), mark.get_marker()) == (gatr.get_color(), gatr.get_marker())
        assert mark.get_label() == "GATr out of memory"


def test_figure_is_drawn_of_an_unfinished_measurement(tmp_path):
    png, svg = plot_complexity(MEASURED[:4], tmp_path / "figure")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in svg.read_bytes()


def test_process_that_dies_is_recorded_as_killed(monkeypatch, settings):
    def die(*_):
        raise BrokenProcessPool

    monkeypatch.setattr(complexity, "run_apart", die)
    (row,) = complexity.measure_apart(blank("GATr", 1), settings)
    assert row.failure == "killed"


def test_process_without_memory_is_recorded(monkeypatch, settings):
    def exhaust(*_):
        raise MemoryError

    monkeypatch.setattr(complexity, "run_apart", exhaust)
    (row,) = complexity.measure_apart(blank("GATr", 1), settings)
    assert row.failure == "out of memory"
