"""Whole training runs, their checkpoints and their evaluation."""

from __future__ import annotations

import csv
import json
import os
import pickle
import platform
import shutil

import pytest
import torch
from helpers import assert_same
from torch_geometric.data import Batch

from pyg_remul import experiment as runs
from pyg_remul.experiment import evaluate, load_checkpoint, train
from pyg_remul.presets import preset
from pyg_remul.run_folder import RunFolder
from pyg_remul.tasks import build_model, load_task
from pyg_remul.training import RemulModule

METHODS = ("plain", "augmentation", "remul", "gradnorm")


class CrashError(Exception):
    """Stands for the end of a process."""


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def tiny(data):
    def build(model="gnn", **options):
        sizes = {"hidden_channels": 8, "num_layers": 1, "steps": 12, "val_every": 4, "lr": 1e-2}
        graphs = {"batch_size": 4, "num_train": 10, "num_eval": 8, "equivariance_graphs": 3}
        return preset("nbody", model, **{**sizes, **graphs, "data": data, **options})

    return build


@pytest.fixture
def finished(tiny, tmp_path):
    """The folder of a finished run."""
    train(tiny(), tmp_path / "finished", report=ignore)
    return RunFolder(tmp_path / "finished")


def ignore(step):
    pass


def crash_at(last):
    def report(step):
        if step == last:
            raise CrashError(f"step {step}")

    return report


def script_losses(monkeypatch, losses):
    """Lets validation after validation find the losses of a list."""
    remaining = iter(losses)

    def validation_step(self, batch, index):
        self.val_loss.update(next(remaining))

    monkeypatch.setattr(RemulModule, "validation_step", validation_step)


def read_rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def read(path):
    return torch.load(path, weights_only=True)


def assert_same_run(actual, expected):
    for name in ("metrics.csv", "results.json", "config.json"):
        assert (actual / name).read_bytes() == (expected / name).read_bytes(), name
    for name in ("best", "last"):
        contents = [read(run / "checkpoints" / f"{name}.ckpt") for run in (actual, expected)]
        for key in ("global_step", "state_dict", "optimizer_states", "lr_schedulers"):
            assert_same(*(dict(content)[key] for content in contents), f"{name}/{key}")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [2, 8, 9, 11], ids="step {}".format)
def test_resumed_run_equals_an_unbroken_one(tiny, tmp_path, method, step):
    config = tiny(method=method)
    train(config, tmp_path / "whole", report=ignore)
    with pytest.raises(CrashError, match=f"step {step}"):
        train(config, tmp_path / "broken", report=crash_at(step))
    train(config, tmp_path / "broken", resume=True, report=ignore)
    assert_same_run(tmp_path / "broken", tmp_path / "whole")


def test_resumed_run_has_the_rotations_of_its_pool(tiny, tmp_path):
    config = tiny(method="augmentation", rotation_pool=3)
    train(config, tmp_path / "whole", report=ignore)
    with pytest.raises(CrashError, match="step 9"):
        train(config, tmp_path / "broken", report=crash_at(9))
    train(config, tmp_path / "broken", resume=True, report=ignore)
    assert_same_run(tmp_path / "broken", tmp_path / "whole")


def test_run_resumed_after_a_crash_within_a_validation_equals_an_unbroken_one(
    tiny, tmp_path, monkeypatch
):
    train(tiny(), tmp_path / "whole", report=ignore)
    write_metrics = RunFolder.write_metrics

    def crash(self, rows):
        write_metrics(self, rows)
        if len(rows) == 2:
            raise CrashError("second validation")

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_metrics", crash)
        with pytest.raises(CrashError, match="second validation"):
            train(tiny(), tmp_path / "broken", report=ignore)
    train(tiny(), tmp_path / "broken", resume=True, report=ignore)
    assert_same_run(tmp_path / "broken", tmp_path / "whole")


def test_run_interrupted_twice_equals_an_unbroken_one(tiny, tmp_path):
    train(tiny(), tmp_path / "whole", report=ignore)
    for step in (6, 10):
        with pytest.raises(CrashError, match=f"step {step}"):
            train(tiny(), tmp_path / "broken", resume=True, report=crash_at(step))
    train(tiny(), tmp_path / "broken", resume=True, report=ignore)
    assert_same_run(tmp_path / "broken", tmp_path / "whole")


def test_run_goes_on_from_its_last_validation(tiny, tmp_path):
    steps = []
    with pytest.raises(CrashError, match="step 11"):
        train(tiny(), tmp_path, report=crash_at(11))
    train(tiny(), tmp_path, resume=True, report=steps.append)
    assert steps == [9, 10, 11, 12]


def test_run_without_a_validation_begins_again(tiny, tmp_path):
    steps = []
    with pytest.raises(CrashError, match="step 3"):
        train(tiny(), tmp_path, report=crash_at(3))
    train(tiny(), tmp_path, resume=True, report=steps.append)
    assert steps == list(range(1, 13))


def test_run_that_ended_before_its_evaluation_is_evaluated(tiny, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise CrashError("evaluation")

    steps = []
    with monkeypatch.context() as patch:
        patch.setattr(runs, "evaluate_model", fail)
        with pytest.raises(CrashError, match="evaluation"):
            train(tiny(), tmp_path, report=ignore)
    results = train(tiny(), tmp_path, resume=True, report=steps.append)
    assert not steps
    assert RunFolder(tmp_path).results() == results


def test_run_in_a_moved_folder_keeps_its_best_checkpoint(tiny, tmp_path, monkeypatch):
    script_losses(monkeypatch, [1.0, 2.0, 3.0])
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path / "before", report=crash_at(5))
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    train(tiny(), tmp_path / "after", resume=True, report=ignore)
    assert read(RunFolder(tmp_path / "after").best)["global_step"] == 4


def test_run_in_a_copied_folder_leaves_the_original_alone(tiny, tmp_path, monkeypatch):
    script_losses(monkeypatch, [3.0, 2.0, 1.0])
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path / "before", report=crash_at(5))
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    train(tiny(), tmp_path / "after", resume=True, report=ignore)
    assert read(RunFolder(tmp_path / "before").best)["global_step"] == 4
    assert read(RunFolder(tmp_path / "after").best)["global_step"] == 12


def test_other_data_folder_may_be_resumed(tiny, tmp_path):
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path / "run", report=crash_at(5))
    moved = tiny(data=tmp_path / "data")
    assert train(moved, tmp_path / "run", resume=True, report=ignore)


def test_resume_with_other_data_is_refused(tiny, tmp_path):
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path, report=crash_at(5))
    folder = RunFolder(tmp_path)
    folder.write_data({**folder.data(), "fingerprint": {"test": 0.5, "ood": 0.5}})
    metrics = folder.metrics()
    with pytest.raises(
        ValueError, match=r"must be of the same data, but `fingerprint` is {'test': 0"
    ):
        train(tiny(), tmp_path, resume=True, report=ignore)
    assert folder.metrics() == metrics


def test_resume_with_another_option_names_it(tiny, tmp_path):
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path, report=crash_at(5))
    with pytest.raises(ValueError, match=r"other options: beta=1\.0 \(now 0\.5\); choose"):
        train(tiny(beta=0.5), tmp_path, resume=True, report=ignore)


def test_folder_of_a_run_is_refused_without_resume(tiny, finished):
    with pytest.raises(FileExistsError, match="holds a run already; go on with it by --resume"):
        train(tiny(), finished.path, report=ignore)


def test_file_is_refused_before_data_are_simulated(tiny, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"`out` must be a folder, got .*file is a file"):
        train(tiny(data=tmp_path / "data"), tmp_path / "file", report=ignore)
    assert not (tmp_path / "data").exists()


def test_finished_run_is_not_repeated(tiny, finished):
    steps = []
    results = train(tiny(), finished.path, resume=True, report=steps.append)
    assert not steps
    assert results == finished.results()


def test_damaged_last_checkpoint_is_named_on_resuming(tiny, tmp_path):
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path, report=crash_at(5))
    last = RunFolder(tmp_path).last
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or not a checkpoint of tensors"):
        train(tiny(), tmp_path, resume=True, report=ignore)


def test_missing_best_checkpoint_is_named_on_resuming(tiny, tmp_path):
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path, report=crash_at(5))
    RunFolder(tmp_path).best.unlink()
    with pytest.raises(
        ValueError, match=r"best\.ckpt must be there to go on from .*last\.ckpt; it"
    ):
        train(tiny(), tmp_path, resume=True, report=ignore)


def test_resumption_notes_other_versions(tiny, tmp_path, monkeypatch):
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path, report=crash_at(5))
    monkeypatch.setattr(platform, "python_version", lambda: "3.99")
    train(tiny(), tmp_path, resume=True, report=ignore)
    versions = json.loads((tmp_path / "versions.json").read_text())
    assert versions["resumed_with"]["python"] == "3.99" != versions["python"]


def test_impossible_run_does_not_claim_its_folder(tiny, tmp_path):
    with pytest.raises(ValueError, match="`method` must not be 'gradnorm'"):
        train(tiny("egnn", method="gradnorm"), tmp_path / "run", report=ignore)
    assert not (tmp_path / "run").exists()


def test_interruption_of_the_training_reaches_the_caller(tiny, tmp_path):
    def interrupt(step):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        train(tiny(), tmp_path, report=interrupt)


def test_results_are_those_of_the_best_checkpoint(tiny, tmp_path, monkeypatch):
    script_losses(monkeypatch, [3.0, 1.0, 2.0])
    results = train(tiny(), tmp_path, report=ignore)
    folder = RunFolder(tmp_path)
    assert results == evaluate(folder.best)
    assert results != evaluate(folder.last)


def test_best_weights_have_the_lowest_loss_of_the_table(tiny, finished):
    config, state = load_checkpoint(finished.best)
    task = load_task(config)
    module = RemulModule(config, build_model(config, task), task.reps)
    module.model.load_state_dict(state)
    with torch.no_grad():
        loss = module.criterion.supervise(module.model, Batch.from_data_list(task.val))
    lowest = min(row["val/loss"] for row in read_rows(finished.path))
    assert loss.item() == pytest.approx(lowest, rel=1e-6)


def test_patience_outlasts_an_interruption(tiny, tmp_path, monkeypatch):
    script_losses(monkeypatch, [1.0, 2.0, 3.0, 4.0, 5.0])
    with pytest.raises(CrashError, match="step 9"):
        train(tiny(steps=20, patience=3), tmp_path, report=crash_at(9))
    train(tiny(steps=20, patience=3), tmp_path, resume=True, report=ignore)
    assert len(read_rows(tmp_path)) == 4


def test_run_that_stopped_early_is_not_trained_further(tiny, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise CrashError("evaluation")

    script_losses(monkeypatch, [1.0, 2.0, 3.0, 4.0])
    with monkeypatch.context() as patch:
        patch.setattr(runs, "evaluate_model", fail)
        with pytest.raises(CrashError, match="evaluation"):
            train(tiny(steps=20, patience=2), tmp_path, report=ignore)
    steps = []
    train(tiny(steps=20, patience=2), tmp_path, resume=True, report=steps.append)
    assert not steps


@pytest.mark.parametrize(("clip", "bounded"), [(1e-3, True), (None, False)])
def test_gradient_is_clipped_by_its_norm(tiny, tmp_path, monkeypatch, clip, bounded):
    norms = []

    def note(self, optimizer):
        gradients = [p.grad.flatten() for p in self.parameters() if p.grad is not None]
        if gradients:
            norms.append(torch.cat(gradients).norm().item())

    monkeypatch.setattr(RemulModule, "on_before_zero_grad", note)
    train(tiny(clip=clip), tmp_path, report=ignore)
    assert norms
    assert all((norm < 1.0001e-3) is bounded for norm in norms)


def test_results_lie_in_the_folder(finished):
    results = finished.results()
    assert list(results) == ["test", "ood"]
    assert list(results["ood"]) == ["mse"]
    errors = {"E", "E_prime", "E_relative", "E_prime_relative", "E_se", "E_prime_se"}
    assert set(results["test"]) == {"mse", *errors}


def test_run_with_a_progress_bar_writes_curves(tiny, tmp_path, capsys):
    train(tiny(), tmp_path)
    assert "12/12" in capsys.readouterr().err
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))


def test_global_generator_does_not_matter(tiny, tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        train(tiny(), tmp_path / str(seed), report=ignore)
    assert_same_run(tmp_path / "1", tmp_path / "2")


def test_seed_matters(tiny, tmp_path):
    results = [train(tiny(seed=seed), tmp_path / str(seed), report=ignore) for seed in (1, 2)]
    assert results[0] != results[1]


def test_checkpoint_is_read_without_pickled_code(finished):
    for path in (finished.best, finished.last):
        assert set(read(path)) >= {"state_dict", "optimizer_states", "hyper_parameters"}


def test_checkpoint_holds_the_options(tiny, finished):
    config, _ = load_checkpoint(finished.best)
    assert config == tiny()


def test_evaluation_repeats_itself(finished):
    assert evaluate(finished.best) == evaluate(finished.best) == finished.results()


def test_evaluation_leaves_the_results_alone(finished):
    before = finished.results()
    evaluate(finished.best, num_samples=2, num_graphs=2)
    assert finished.results() == before


def test_evaluation_does_not_finish_a_run(tiny, tmp_path):
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path, report=crash_at(5))
    evaluate(RunFolder(tmp_path).best)
    assert RunFolder(tmp_path).results() is None


def test_evaluation_reads_another_data_folder(finished, tmp_path):
    assert evaluate(finished.best, tmp_path / "data") == finished.results()
    assert (tmp_path / "data" / "nbody" / "processed").is_dir()


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`checkpoint` must be a file, got .*none\.ckpt"):
        evaluate(tmp_path / "none.ckpt")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99], ids="{:.0%}".format)
def test_truncated_checkpoint_is_refused(finished, part):
    content = finished.best.read_bytes()
    finished.best.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"best\.ckpt is damaged or not a checkpoint of tensors"):
        evaluate(finished.best)


@pytest.mark.parametrize(
    "content",
    [
        b"hello world\n",
        b"epoch,loss\n1,2\n",
        b"{}",
        b"\x00" * 64,
        b"\x80\x02}q\x00.",
        b"PK\x03\x04",
    ],
    ids=["text", "csv", "json", "zeros", "pickle", "zip"],
)
def test_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "file.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.ckpt is (damaged|not a checkpoint)"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": {}, "epoch": 3},
        {"state_dict": {}, "hyper_parameters": {"lr": 0.1}},
        {"state_dict": {}, "hyper_parameters": None},
        [1, 2],
        torch.zeros(3),
    ],
    ids=["no options", "other options", "empty options", "list", "tensor"],
)
def test_checkpoint_of_another_program_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt is not a checkpoint of pyg_remul"):
        load_checkpoint(tmp_path / "other.ckpt")


def test_checkpoint_of_another_version_names_the_options(finished):
    content = read(finished.best)
    content["hyper_parameters"]["config"]["epsilon"] = 1
    torch.save(content, finished.best)
    with pytest.raises(ValueError, match=r"unknown \['epsilon'\]"):
        load_checkpoint(finished.best)


def test_weights_of_another_model_are_refused_by_the_first_difference(finished):
    content = read(finished.best)
    content["hyper_parameters"]["config"]["hidden_channels"] = 4
    torch.save(content, finished.best)
    message = (
        r"must hold the weights of GNN, but \d+ of \d+ differ; the first, 'embedding.weight', "
        r"must have shape \[4, \d+\], got \[8, \d+\]\.$"
    )
    with pytest.raises(ValueError, match=message):
        evaluate(finished.best)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("drop", r"'head.bias', must have shape \[3\], got none"),
        ("add", r"must have shape none, got \[2\]"),
    ],
)
def test_missing_or_additional_weights_are_refused(finished, change, message):
    content = read(finished.best)
    if change == "drop":
        content["state_dict"].pop("model.head.bias")
    else:
        content["state_dict"]["model.extra"] = torch.zeros(2)
    torch.save(content, finished.best)
    with pytest.raises(ValueError, match=f"but 1 of .*{message}"):
        evaluate(finished.best)


def test_checkpoint_without_weights_is_refused(finished):
    content = read(finished.best)
    content.pop("state_dict")
    torch.save(content, finished.best)
    with pytest.raises(ValueError, match="it holds no weights"):
        load_checkpoint(finished.best)


@pytest.mark.parametrize("place", ["alone", "within"])
def test_hostile_checkpoint_is_not_run(finished, tmp_path, place):
    bomb = Bomb(tmp_path / "exploded")
    if place == "alone":
        finished.best.write_bytes(pickle.dumps(bomb, protocol=2))
    else:
        torch.save({**read(finished.best), "extra": bomb}, finished.best)
    with pytest.raises(ValueError, match=r"damaged or not a checkpoint of tensors"):
        evaluate(finished.best)
    assert not (tmp_path / "exploded").exists()


def test_hostile_checkpoint_is_not_run_on_resuming(tiny, tmp_path):
    with pytest.raises(CrashError, match="step 5"):
        train(tiny(), tmp_path / "run", report=crash_at(5))
    last = RunFolder(tmp_path / "run").last
    torch.save({**read(last), "extra": Bomb(tmp_path / "exploded")}, last)
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged or not a checkpoint of tensors"):
        train(tiny(), tmp_path / "run", resume=True, report=ignore)
    assert not (tmp_path / "exploded").exists()


def test_run_keeps_the_source_of_its_data(finished):
    data = finished.data()
    assert list(data.pop("fingerprint")) == ["test", "ood"]
    assert data == {
        "source": "simulated by the published recipe",
        "published": True,
        "graphs": {"train": 10, "val": 8, "test": 8, "ood": 8},
    }


def test_run_keeps_the_error_of_every_test_graph(finished):
    errors = finished.errors()
    assert {split: values.mean().item() for split, values in errors.items()} == pytest.approx(
        {split: found["mse"] for split, found in finished.results().items()}, rel=1e-6
    )
    assert [len(values) for values in errors.values()] == [8, 8]
