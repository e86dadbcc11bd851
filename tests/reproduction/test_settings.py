"""The options of a reproduction."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pyg_remul.molecules import MOLECULES
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
        ({"molecules": ("uracil",) * 2}, "`molecules` must name each one once, got uracil, uracil"),
    ],
    ids=["scale", "source", "molecule", "no molecule", "molecule twice"],
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
    ("options", "name"),
    [
        ({"delta": 5000}, "table2-5000-paper"),
        ({"source": "xtb"}, "table2-xtb-paper"),
        ({"molecules": ("uracil", "aspirin")}, "table2-aspirin-uracil-paper"),
        ({"molecules": MOLECULES[::-1]}, "table2-paper"),
    ],
    ids=["frames", "source", "some molecules", "all molecules"],
)
def test_folder_names_what_is_special_about_the_molecules(options, name):
    assert Reproduction(scale="paper", **options).folder("table2").name == name


def test_folder_of_other_data_does_not_name_the_molecules():
    settings = Reproduction(source="xtb", molecules=("ethanol",), delta=5000)
    assert settings.folder("fig-nbody").name == "fig-nbody-laptop"
