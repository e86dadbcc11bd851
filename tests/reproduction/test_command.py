"""The command that reproduces a table or a figure."""

from __future__ import annotations

import pytest

from pyg_remul.reproduction.command import reproduce_command
from pyg_remul.reproduction.settings import Reproduction
from pyg_remul.reproduction.targets import TARGETS


@pytest.fixture
def reproduce(monkeypatch, tmp_path, capsys):
    """Gives what is printed by a target that leaves files of certain names."""

    def run(*names, out=tmp_path / "out"):
        def leave(settings, folder):
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).touch()

        monkeypatch.setitem(TARGETS, "fig-samples", leave)
        reproduce_command("fig-samples", Reproduction(out=out))
        return capsys.readouterr().out

    return run


def test_files_are_listed(reproduce):
    assert reproduce("table.md", "figure.png").endswith(
        "fig-samples-laptop: figure.png, table.md\n"
    )


def test_hidden_files_are_not_listed(reproduce):
    printed = reproduce("table.md", ".complexity.jsonl.lock")
    assert printed.endswith("fig-samples-laptop: table.md\n")


def test_target_that_leaves_nothing_says_so(reproduce):
    assert reproduce().endswith("fig-samples-laptop: nothing\n")


def test_file_is_refused_before_the_work(reproduce, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"`out` must be a folder, got .*; .*file is a f"):
        reproduce("table.md", out=tmp_path / "file")
