"""The command ``pyg-remul reproduce``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

import tyro

from pyg_remul.files import check_folder
from pyg_remul.reproduction.settings import Reproduction, TargetName
from pyg_remul.reproduction.targets import TARGETS

__all__ = ["reproduce_command"]


@dataclass(frozen=True, kw_only=True)
class _Options(Reproduction):
    """Options of a reproduction."""

    def __post_init__(self) -> None:
        """Leaves the checks to the settings themselves, whose messages tyro would frame."""


def reproduce_command(
    target: tyro.conf.Positional[TargetName | Literal["all"]],
    settings: tyro.conf.OmitArgPrefixes[_Options] = _Options(),
) -> None:
    """Reproduce a table or a figure of the paper: its runs, its tables and its pictures.

    The same command goes on where it was interrupted. Targets share their runs; `all` makes those
    whose data are there.

    Args:
        target: The table or figure. table1-run, table1-walk, table1-mlp: motion capture. table2:
            molecules. fig-nbody, fig-mocap, fig-md17: errors against the weight of the equivariance
            loss. fig-complexity: time and memory. fig-loss-surface: convexity. fig-samples: number
            of rotations. fig-molecules: drawings.
        settings: How.
    """
    options = Reproduction(**vars(settings))
    check_folder("out", options.out)
    if target != "all":
        _make(target, options)
        return
    if failed := [name for name in TARGETS if not _is_made(name, options)]:
        raise ValueError(f"`target` must be possible, but these were not: {', '.join(failed)}.")


def _is_made(target: TargetName, options: Reproduction) -> bool:
    """Makes a target, or says why not: the data of others may be there all the same."""
    try:
        _make(target, options)
    except (OSError, ValueError) as error:
        print(f"pyg-remul: {target}: {error}", file=sys.stderr)  # noqa: T201
        return False
    return True


def _make(target: TargetName, options: Reproduction) -> None:
    folder = options.folder(target)
    TARGETS[target](options, folder)
    files = sorted(path.name for path in folder.glob("[!.]*"))
    print(f"\nwritten to {folder}: {', '.join(files) or 'nothing'}")  # noqa: T201
