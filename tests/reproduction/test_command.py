"""The command that reproduces tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pyg_remul.cli import main
from pyg_remul.reproduction.command import reproduce_command
from pyg_remul.reproduction.settings import Reproduction, TargetName
from pyg_remul.reproduction.targets import TARGETS


@pytest.fixture
def reproduced(monkeypatch, tmp_path):
    """Lists the targets that would be reproduced, with their settings and folders."""
    calls = []

    def stand_in(name):
        def run(settings, folder):
            folder.mkdir(parents=True)
            calls.append((name, settings, folder))

        return run

    monkeypatch.chdir(tmp_path)
    for name in TARGETS:
        monkeypatch.setitem(TARGETS, name, stand_in(name))
    return calls


def test_reproduction_has_its_defaults(reproduced, capsys):
    main(["reproduce", "fig-nbody"])
    folder = Path("runs/reproduce/fig-nbody-laptop")
    assert reproduced == [("fig-nbody", Reproduction(), folder)]
    assert f"written to {folder}" in capsys.readouterr().out


def test_reproduction_takes_its_options(reproduced):
    data = ["--source", "xtb", "--molecules", "ethanol", "uracil", "--delta", "5000"]
    folders = ["--out", "a", "--data", "b"]
    how = ["--scale", "paper", "--seeds", "5", "--workers", "1", "--compile"]
    main(["reproduce", "table2", *data, *folders, *how])
    settings = Reproduction(
        scale="paper",
        out=Path("a"),
        data=Path("b"),
        source="xtb",
        molecules=("ethanol", "uracil"),
        delta=5000,
        seeds=5,
        workers=1,
        compile=True,
    )
    assert reproduced == [("table2", settings, Path("a/table2-xtb-ethanol-uracil-5000-paper"))]


def test_all_targets_are_reproduced_one_after_the_other(reproduced):
    main(["reproduce", "all", "--scale", "smoke"])
    assert [name for name, _, _ in reproduced] == list(get_args(TargetName))


def test_targets_without_data_do_not_stop_the_others(reproduced, monkeypatch, capsys):
    def fail(settings, folder):
        raise FileNotFoundError("The file md17_ethanol.npz is absent.")

    for name in ("table2", "fig-md17"):
        monkeypatch.setitem(TARGETS, name, fail)
    with pytest.raises(SystemExit) as error:
        main(["reproduce", "all", "--scale", "smoke"])
    assert str(error.value).endswith("but these were not: table2, fig-md17.")
    assert "pyg-remul: table2: The file md17_ethanol.npz is absent." in capsys.readouterr().err
    assert len(reproduced) == len(get_args(TargetName)) - 2


def test_impossible_option_of_a_reproduction_is_told_in_one_line():
    with pytest.raises(SystemExit) as error:
        main(["reproduce", "table2", "--seeds", "0"])
    assert str(error.value) == "pyg-remul: `seeds` must be positive, got 0."


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
