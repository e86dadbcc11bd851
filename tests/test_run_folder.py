"""The files of a run."""

from __future__ import annotations

import json
import math
import platform
from importlib import metadata
from pathlib import Path

import pytest
import torch
from helpers import assert_same

from pyg_remul import __version__
from pyg_remul.presets import preset
from pyg_remul.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "one")


@pytest.fixture
def claimed(folder):
    folder.claim(preset("nbody"))
    return folder


def test_new_folder_has_nothing_to_go_on_from(folder):
    assert folder.open(preset("nbody"), resume=False) is None


@pytest.mark.parametrize("name", ["file", "file/below"], ids=["file", "below a file"])
def test_file_is_no_folder_for_a_run(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"`out` must be a folder, got .*; .*file is a f"):
        RunFolder(tmp_path / name).open(preset("nbody"), resume=True)


def test_opening_writes_nothing(folder):
    folder.open(preset("nbody"), resume=True)
    assert not folder.path.exists()


def test_options_are_kept(claimed):
    assert claimed.config() == preset("nbody")


def test_folder_of_a_run_is_refused(claimed):
    with pytest.raises(FileExistsError, match=r"one holds a run already; .* --resume, .* --out"):
        claimed.open(preset("nbody"), resume=False)


def test_resuming_goes_on_from_the_last_checkpoint(claimed):
    claimed.checkpoints.mkdir()
    claimed.last.touch()
    assert claimed.open(preset("nbody"), resume=True) == claimed.last


def test_resuming_without_a_checkpoint_begins_again(claimed):
    assert claimed.open(preset("nbody"), resume=True) is None


def test_resuming_with_other_options_names_all_of_them(claimed):
    changed = preset("nbody", lr=0.5, seed=3)
    with pytest.raises(
        ValueError,
        match=r"one holds .*options: lr=0.001 \(now 0.5\), seed=0 \(now 3\); .* by --out\.$",
    ):
        claimed.open(changed, resume=True)


def test_resuming_with_another_data_folder_is_possible(claimed):
    assert claimed.open(preset("nbody", data=Path("elsewhere")), resume=True) is None


@pytest.mark.parametrize("content", ["", "{", '{"a": 1', "\x00"], ids=["empty", "{", "cut", "zero"])
@pytest.mark.parametrize("name", ["config", "results"])
def test_damaged_file_is_named(claimed, name, content):
    (claimed.path / f"{name}.json").write_text(content)
    with pytest.raises(ValueError, match=rf"{name}\.json is not readable as JSON: "):
        getattr(claimed, name)()


@pytest.mark.parametrize("content", ["[]", "null", "3"])
@pytest.mark.parametrize("name", ["config", "data", "results", "divergence"])
def test_file_that_holds_no_object_is_named(claimed, name, content):
    (claimed.path / f"{name}.json").write_text(content)
    match = rf"{name}\.json is not readable as JSON: it must hold an object, got a "
    with pytest.raises(ValueError, match=match):
        getattr(claimed, name)()


@pytest.mark.parametrize("content", ["{}", '{"step": 3}', '{"reason": "unknown"}'])
def test_divergence_that_does_not_say_when_and_how_is_named(claimed, content):
    (claimed.path / "divergence.json").write_text(content)
    match = r"divergence\.json is refused: it must give `step` and `reason`, got \["
    with pytest.raises(ValueError, match=match):
        claimed.divergence()


def test_binary_file_is_named(claimed):
    (claimed.path / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"config\.json is not readable as JSON: "):
        claimed.config()


def test_versions_are_those_of_the_libraries(claimed):
    versions = json.loads((claimed.path / "versions.json").read_text())
    libraries = ("torch", "torch-geometric", "e3nn", "numpy", "lightning", "torchmetrics")
    assert versions == {
        "pyg_remul": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: metadata.version(name) for name in libraries},
    }


def test_same_versions_are_not_noted_again(claimed):
    before = (claimed.path / "versions.json").read_text()
    claimed.note_versions()
    assert (claimed.path / "versions.json").read_text() == before


def test_other_versions_of_a_resumption_are_noted(claimed, monkeypatch):
    path = claimed.path / "versions.json"
    before = json.loads(path.read_text())
    for version in ("3.98", "3.99"):
        monkeypatch.setattr(platform, "python_version", lambda version=version: version)
        claimed.note_versions()
    assert json.loads(path.read_text()) == {**before, "resumed_with": {**before, "python": "3.99"}}


def test_results_keep_their_order(folder):
    folder.write_results({"test": {"mse": 1.0, "E": 2.0}, "ood": {"mse": 3.0}})
    results = folder.results()
    assert [*results, *results["test"]] == ["test", "ood", "mse", "E"]


def test_results_come_back_exactly(folder):
    assert folder.results() is None
    folder.write_results({"test": {"mse": 0.1 + 0.2, "E": float("inf")}})
    assert folder.results() == {"test": {"mse": 0.30000000000000004, "E": float("inf")}}


def test_metrics_are_a_table(folder):
    folder.write_metrics([{"step": 4, "loss": 0.1}, {"step": 8, "loss": 0.25, "E": 1e-7}])
    text = (folder.path / "metrics.csv").read_bytes()
    assert text == b"step,loss,E\n4,0.1,\n8,0.25,1e-07\n"


def test_last_step_is_that_of_the_last_validation(folder):
    assert folder.last_step() == 0
    folder.write_metrics([{"step": 4}, {"step": 8}])
    assert folder.last_step() == 8


def test_checkpoints_lie_in_one_folder(folder):
    names = [path.relative_to(folder.path).as_posix() for path in (folder.best, folder.last)]
    assert names == ["checkpoints/best.ckpt", "checkpoints/last.ckpt"]


def test_cell_that_is_cut_short_is_refused(folder):
    folder.write_metrics([{"step": 4}])
    (folder.path / "metrics.csv").write_text("step,val/loss\n4,n")
    with pytest.raises(ValueError, match=r"metrics\.csv is refused: could not convert .* 'n'"):
        folder.metrics()


def test_row_that_is_cut_short_is_refused_once(folder):
    folder.write_metrics([{"step": 4, "val/loss": 1.0}])
    with (folder.path / "metrics.csv").open("a") as file:
        file.write("8")
    with pytest.raises(ValueError, match="line 3 must have a cell for each") as refused:
        folder.metrics()
    assert str(refused.value).count("is refused") == 1


def test_divergence_tells_when_and_how(folder):
    assert folder.divergence() is None
    folder.write_divergence(40, "the weights are not finite.")
    assert folder.divergence() == "after 40 steps, the weights are not finite."


def test_run_that_diverged_has_no_finite_validation_loss(folder):
    folder.write_metrics([{"val/loss": 1.0}])
    assert folder.lowest_validation_loss() == 1.0
    folder.write_divergence(40, "the weights are not finite.")
    assert folder.lowest_validation_loss() == math.inf


def test_leftovers_are_removed_and_nothing_else(claimed):
    before = sorted(claimed.path.rglob("*"))
    claimed.checkpoints.mkdir()
    for path in (claimed.best, claimed.last, claimed.path / "results.json"):
        path.with_name(f".{path.stem}.{'a' * 32}{path.suffix}").touch()
    claimed.remove_leftovers()
    assert sorted(claimed.path.rglob("*")) == sorted([*before, claimed.checkpoints])


@pytest.fixture
def errors():
    return {"test": torch.rand(3, dtype=torch.float64), "ood": torch.rand(2).double()}


def test_errors_of_graphs_come_back_exactly(folder, errors):
    assert folder.errors() == {}
    folder.write_errors(errors)
    assert_same(folder.errors(), errors)


def test_errors_are_a_table_with_their_origins(folder):
    errors = {"test": torch.tensor([0.5, 0.25]), "ood": torch.tensor([1.0])}
    folder.write_errors(errors, {"test": {"trial": torch.tensor([3, 7])}, "ood": {}})
    text = (folder.path / "errors.csv").read_text()
    assert text == "split,graph,mse,trial\ntest,0,0.5,3\ntest,1,0.25,7\nood,0,1.0,\n"


def test_origins_come_back(folder, errors):
    origins = {"test": {"trial": torch.arange(3), "frame": torch.tensor([9, 8, 7])}, "ood": {}}
    folder.write_errors(errors, origins)
    assert_same(folder.origins(), origins)


def test_errors_of_older_versions_have_no_origins(folder, errors):
    folder.write_errors(errors)
    assert folder.origins() == {"test": {}, "ood": {}}


def test_source_of_the_data_is_kept(folder):
    assert folder.data() is None
    folder.write_data({"source": "simulated", "graphs": {"train": 3}})
    assert folder.data() == {"source": "simulated", "graphs": {"train": 3}}
