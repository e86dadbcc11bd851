"""The files of a run."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path

import pytest

from pyg_remul import __version__
from pyg_remul.config import preset
from pyg_remul.run_folder import RunFolder, write_text


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "one")


@pytest.fixture
def claimed(folder):
    folder.claim(preset("nbody"))
    return folder


def test_text_is_written_with_its_folder(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "β = 1\n")
    assert path.read_text(encoding="utf-8") == "β = 1\n"
    assert os.listdir(path.parent) == ["b.txt"]


def test_text_replaces_an_older_one(tmp_path):
    write_text(tmp_path / "a.txt", "a long text")
    write_text(tmp_path / "a.txt", "short")
    assert (tmp_path / "a.txt").read_text() == "short"


@pytest.mark.parametrize("failing", ["write", "replace"])
def test_failing_write_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch, failing):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half(self, text, **options):
        self.write_bytes(text.encode()[:2])
        raise OSError("disk full")

    def fail(*args):
        raise OSError("disk full")

    owner, name, fault = {
        "write": (Path, "write_text", write_half),
        "replace": (os, "replace", fail),
    }[failing]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fault)
        with pytest.raises(OSError, match="disk full"):
            write_text(path, "new text")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_new_folder_has_nothing_to_go_on_from(folder):
    assert folder.open(preset("nbody"), resume=False) is None


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
        ValueError, match=r"one holds .*options: lr=0.001 \(now 0.5\), seed=0 \(now 3\)\.$"
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


def test_results_come_back_exactly(folder):
    assert folder.results() is None
    folder.write_results({"test": {"mse": 0.1 + 0.2, "E": float("inf")}})
    assert folder.results() == {"test": {"mse": 0.30000000000000004, "E": float("inf")}}


def test_metrics_are_a_table(folder):
    folder.write_metrics([{"step": 4, "loss": 0.1}, {"step": 8, "loss": 0.25, "E": 1e-7}])
    text = (folder.path / "metrics.csv").read_bytes()
    assert text == b"step,loss,E\n4,0.1,\n8,0.25,1e-07\n"


def test_checkpoints_lie_in_one_folder(folder):
    names = [path.relative_to(folder.path).as_posix() for path in (folder.best, folder.last)]
    assert names == ["checkpoints/best.ckpt", "checkpoints/last.ckpt"]
