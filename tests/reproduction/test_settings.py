"""The options of a reproduction."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pyg_remul.reproduction.settings import Reproduction, TargetName


@pytest.mark.parametrize("option", ["delta", "seeds", "workers"])
def test_number_must_be_positive(option):
    with pytest.raises(ValueError, match=f"`{option}` must be positive, got 0."):
        Reproduction(**{option: 0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "huge"}, "`scale` must be one of 'smoke', 'laptop', 'paper', got 'huge'"),
        ({"source": "dft"}, "`source` must be one of 'md17', 'xtb', got 'dft'"),
        ({"molecules": ("ethanol", "water")}, "`molecules` must be one of .*, got 'water'"),
        ({"molecules": ()}, "`molecules` must name one or more, got none"),
    ],
    ids=["scale", "source", "molecule", "no molecule"],
)
def test_choice_must_be_one_of_those(options, message):
    with pytest.raises(ValueError, match=message):
        Reproduction(**options)


def test_targets_have_folders_of_their_own():
    settings = Reproduction(out=Path("out"), scale="smoke")
    folders = {settings.folder(name) for name in get_args(TargetName)}
    assert len(folders) == len(get_args(TargetName))
    assert {folder.parent for folder in folders} == {Path("out")}
    assert settings.runs not in folders


@pytest.mark.parametrize(
    ("target", "name"),
    [("table2", "table2-5000-paper"), ("fig-nbody", "fig-nbody-paper")],
    ids=["of molecules", "of others"],
)
def test_folder_names_another_number_of_frames(target, name):
    assert Reproduction(scale="paper", delta=5000).folder(target).name == name
