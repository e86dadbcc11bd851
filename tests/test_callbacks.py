"""Checkpoints, tables and reports, under a trainer that only validates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pyg_remul.callbacks import Checkpoints, MetricsTable, StepReport
from pyg_remul.run_folder import RunFolder


class FullDiskError(Exception):
    """Stands for a failure in the middle of a file."""


class Trainer:
    """Counts four steps to a validation; its checkpoints hold the step."""

    def __init__(self):
        self.global_step = 0
        self.should_stop = False
        self.callback_metrics = {}
        self.disk_is_full = False
        self.module = nn.Linear(2, 2)

    def save_checkpoint(self, path):
        torch.save({"step": self.global_step}, path)
        if self.disk_is_full:
            path.write_bytes(path.read_bytes()[:100])
            raise FullDiskError(path.name)

    def validate(self, callback, *losses):
        for loss in losses:
            self.global_step += 4
            self.callback_metrics = {"val/loss": torch.tensor(loss)}
            callback.on_validation_end(self, None)
            callback.on_train_epoch_end(self, self.module)


@pytest.fixture
def trainer():
    return Trainer()


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    return folder


def step_of(path):
    return torch.load(path, weights_only=True)["step"]


class TestCheckpoints:
    @pytest.mark.parametrize(
        ("losses", "best"),
        [
            ([3.0, 1.0, 2.0], 8),
            ([1.0, 1.0, 1.0], 4),
            ([math.nan, 1.0, 2.0], 8),
            ([1.0, math.nan, -math.nan], 4),
            ([math.inf, 1.0, math.inf], 8),
            ([math.nan, math.nan, math.nan], 12),
        ],
        ids=["lowest", "first of equals", "after nan", "before nan", "after inf", "only nan"],
    )
    def test_the_best_is_that_of_the_lowest_loss(self, trainer, folder, losses, best):
        trainer.validate(Checkpoints(folder, None), *losses)
        assert step_of(folder.best) == best

    def test_the_last_is_that_of_the_last_validation(self, trainer, folder):
        trainer.validate(Checkpoints(folder, None), 1.0, 2.0, 3.0)
        assert step_of(folder.last) == 12

    def test_nothing_else_is_left_behind(self, trainer, folder):
        trainer.validate(Checkpoints(folder, None), 2.0, 1.0)
        assert {path.name for path in folder.checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}

    @pytest.mark.parametrize(("name", "loss"), [("best", 0.5), ("last", 2.0)], ids=["best", "last"])
    def test_a_save_that_fails_leaves_the_old_file(self, trainer, folder, name, loss):
        callback = Checkpoints(folder, None)
        trainer.validate(callback, 1.0)
        trainer.disk_is_full = True
        with pytest.raises(FullDiskError, match=name):
            trainer.validate(callback, loss)
        assert (step_of(folder.best), step_of(folder.last)) == (4, 4)
        assert {path.name for path in folder.checkpoints.iterdir()} == {"best.ckpt", "last.ckpt"}

    def test_a_save_after_one_that_failed_is_whole(self, trainer, folder):
        callback = Checkpoints(folder, None)
        trainer.disk_is_full = True
        with pytest.raises(FullDiskError, match="best"):
            trainer.validate(callback, 1.0)
        trainer.disk_is_full = False
        trainer.validate(callback, 0.5)
        assert (step_of(folder.best), step_of(folder.last)) == (8, 8)


class TestPatience:
    @pytest.mark.parametrize(
        ("losses", "stops"),
        [
            ([2.0, 1.0, 1.5], False),
            ([2.0, 1.0, 1.5, 1.5], True),
            ([2.0, 1.0, 1.0, 1.0], True),
            ([2.0, 3.0, 1.0, 1.5], False),
            ([2.0, math.nan, math.nan], True),
            ([math.nan, math.nan], True),
        ],
        ids=["worse once", "worse twice", "equal twice", "better between", "nan", "only nan"],
    )
    def test_a_run_ends_when_the_loss_stays(self, trainer, folder, losses, stops):
        trainer.validate(Checkpoints(folder, 2), *losses)
        assert trainer.should_stop is stops

    def test_without_it_a_run_does_not_end(self, trainer, folder):
        trainer.validate(Checkpoints(folder, None), *map(float, range(50)))
        assert not trainer.should_stop

    def test_it_outlasts_a_restart(self, trainer, folder):
        before, after = Checkpoints(folder, 2), Checkpoints(folder, 2)
        trainer.validate(before, 1.0, 2.0)
        after.load_state_dict(before.state_dict())
        trainer.validate(after, 1.5)
        assert trainer.should_stop
        assert step_of(folder.best) == 4

    @pytest.mark.parametrize(("losses", "over"), [([1.0, 2.0, 3.0], True), ([1.0, 2.0], False)])
    def test_a_run_that_was_over_ends_as_it_starts(self, folder, losses, over):
        before, after, restarted = Checkpoints(folder, 2), Checkpoints(folder, 2), Trainer()
        Trainer().validate(before, *losses)
        after.load_state_dict(before.state_dict())
        after.on_train_start(restarted, None)
        assert restarted.should_stop is over


class TestMetricsTable:
    def test_each_validation_is_a_row(self, trainer, folder):
        trainer.validate(MetricsTable(folder), 2.0, 0.5)
        text = (folder.path / "metrics.csv").read_text()
        assert text.splitlines() == ["step,val/loss", "4,2.0", "8,0.5"]

    def test_rows_outlast_a_restart(self, trainer, folder):
        before, after = MetricsTable(folder), MetricsTable(folder)
        trainer.validate(before, 2.0)
        after.load_state_dict(before.state_dict())
        trainer.validate(after, 0.5)
        assert [row["step"] for row in after.rows] == [4, 8]

    def test_a_restored_table_does_not_write_to_the_state(self, trainer, folder):
        state = {"rows": []}
        table = MetricsTable(folder)
        table.load_state_dict(state)
        trainer.validate(table, 2.0)
        assert state == {"rows": []}


def test_a_report_counts_the_steps_done(trainer):
    steps = []
    for trainer.global_step in (1, 2):
        StepReport(steps.append).on_train_batch_end(trainer, None, None, None, 0)
    assert steps == [1, 2]
