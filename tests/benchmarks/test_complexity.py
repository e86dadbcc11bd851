"""Time and memory against the batch size."""

from __future__ import annotations

import dataclasses
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch
from torch import nn

from pyg_remul.benchmarks import complexity, complexity_figure
from pyg_remul.benchmarks.complexity import Cell, format_table, make_batch, measure, read, write
from pyg_remul.benchmarks.complexity_figure import plot_complexity
from pyg_remul.benchmarks.harness import Settings

SECONDS = {"forward": [1.0, 2.0, 3.0], "backward": [3.0, 4.0, 5.0], "inference": [0.1, 0.2, 0.3]}
SLOWER = {name: [3 * value for value in values] for name, values in SECONDS.items()}
MEASURED = [
    Cell("Transformer", 1, "here", 10, SECONDS, 2**30),
    Cell("GATr", 1, "here", 10, SLOWER, 2**31),
    Cell("GATr", 2, "here", failure="out of memory"),
]


class Positions(nn.Linear):
    """Reads positions; refuses to go on after some passes."""

    def __init__(self, passes=1000, message=""):
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
    """Lists the cells that would be measured; GATr runs out of memory at two graphs."""
    calls = []

    def pretend(cell, settings):
        calls.append((cell.model, cell.batch_size))
        if cell.model == "GATr" and cell.batch_size > 1:
            return dataclasses.replace(cell, failure="out of memory")
        return dataclasses.replace(cell, rounds=4, seconds=SECONDS, peak=1)

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


def test_cells_are_read_as_written(tmp_path):
    write(tmp_path / "cells.jsonl", MEASURED)
    assert read(tmp_path / "cells.jsonl") == MEASURED


def test_every_pass_is_timed_after_the_warm_up(monkeypatch, settings):
    monkeypatch.setitem(complexity.MODELS, "linear", Positions)
    cell = measure(Cell("linear", 2, "here"), settings)
    assert cell.rounds == 4
    assert list(cell.seconds) == ["forward", "backward", "inference"]
    for low, median, high in cell.seconds.values():
        assert 0 < low <= median <= high


@pytest.mark.parametrize(("rounds", "warm_up"), [(1, 1), (1, 5), (2, 1)])
def test_few_rounds_are_timed_without_the_warm_up(monkeypatch, settings, rounds, warm_up):
    monkeypatch.setitem(complexity.MODELS, "linear", Positions)
    few = dataclasses.replace(settings, rounds=rounds, warm_up=warm_up)
    assert measure(Cell("linear", 2, "here"), few).rounds == rounds


def test_slow_model_is_timed_three_times(monkeypatch, settings):
    monkeypatch.setitem(complexity.MODELS, "linear", Positions)
    monkeypatch.setattr(complexity, "SECONDS", 0.0)
    assert measure(Cell("linear", 2, "here"), settings).rounds == 3


def test_gradients_do_not_add_up_over_runs(monkeypatch, settings):
    model = Positions()
    monkeypatch.setitem(complexity.MODELS, "linear", lambda: model)
    measure(Cell("linear", 2, "here"), settings)
    kept = model.weight.grad.clone()
    model.zero_grad()
    torch.manual_seed(0)
    model(make_batch(2)).square().mean().backward()
    torch.testing.assert_close(kept, model.weight.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "message",
    ["[enforce fail] DefaultCPUAllocator: can't allocate memory", "CUDA out of memory. Tried"],
)
def test_exhausted_memory_is_told_apart(monkeypatch, settings, message):
    monkeypatch.setitem(complexity.MODELS, "greedy", lambda: Positions(3, message))
    with pytest.raises(MemoryError, match="memory"):
        measure(Cell("greedy", 2, "here"), settings)


def test_other_errors_are_not_taken_for_exhausted_memory(monkeypatch, settings):
    monkeypatch.setitem(complexity.MODELS, "broken", lambda: Positions(3, "shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        measure(Cell("broken", 2, "here"), settings)


def test_larger_batches_are_left_out_once_memory_is_exhausted(measured, settings):
    complexity.main(settings)
    assert measured == [
        *(("Transformer", 1), ("GATr", 1), ("Transformer", 2), ("GATr", 2), ("Transformer", 4)),
    ]


def test_command_goes_on_with_what_is_missing(measured, settings):
    path, setting = settings.out / "complexity.jsonl", complexity.describe(settings)
    write(path, [Cell("Transformer", 1, setting, 4, SECONDS, 1)])
    complexity.main(settings)
    assert ("Transformer", 1) not in measured
    assert [cell.batch_size for cell in read(path) if cell.model == "Transformer"] == [1, 2, 4]


def test_cells_of_another_setting_are_measured_again(measured, settings):
    write(settings.out / "complexity.jsonl", [Cell("Transformer", 1, "elsewhere", 4, SECONDS, 1)])
    complexity.main(settings)
    assert ("Transformer", 1) in measured


def test_table_gives_ratios_to_the_transformer_and_says_where_memory_ends():
    first, second, third = format_table(MEASURED).splitlines()[2:]
    assert [cell.strip() for cell in first.split("|")[1:-1]] == [
        *("Transformer, 1", "2000.0", "1.00", "4000.0", "1.00", "200.0", "1.00", "1.00"),
    ]
    assert [cell.strip() for cell in second.split("|")[1:-1]] == [
        *("GATr, 1", "6000.0", "3.00", "12000.0", "3.00", "600.0", "3.00", "2.00"),
    ]
    assert third.count("out of memory") == 3


def test_table_and_figure_are_written(measured, settings, capsys):
    complexity.main(settings)
    table = (settings.out / "complexity.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert (settings.out / "complexity.png").stat().st_size > 10_000


def test_titles_stand_clear_of_the_legends(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(complexity_figure, "save_figure", lambda figure, _: figures.append(figure))
    plot_complexity(MEASURED, tmp_path / "figure.png")
    figures[0].canvas.draw()
    for axes in figures[0].axes:
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.title.get_window_extent())


def test_figure_is_drawn_of_an_unfinished_measurement(tmp_path):
    plot_complexity(MEASURED[:1], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_process_that_dies_is_recorded_as_killed(monkeypatch, settings):
    monkeypatch.setattr(complexity, "ProcessPoolExecutor", BrokenPool)
    assert complexity.measure_apart(Cell("GATr", 1, "here"), settings).failure == "killed"


class BrokenPool:
    """A pool whose process dies."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, *_):
        raise BrokenProcessPool
