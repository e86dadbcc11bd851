"""The options of a reproduction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from pyg_remul.checks import check_choice, check_integers
from pyg_remul.molecules import MOLECULES
from pyg_remul.reproduction.methods import Scale
from pyg_remul.run_pool import available_cores

__all__ = ["Reproduction", "TargetName"]

TargetName: TypeAlias = Literal[
    "table1-run",
    "table1-walk",
    "table1-mlp",
    "table2",
    "fig-nbody",
    "fig-mocap",
    "fig-md17",
    "fig-complexity",
    "fig-loss-surface",
    "fig-samples",
    "fig-molecules",
]


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """How to reproduce a table or a figure.

    Raises:
        ValueError: If an option is none of its choices, or a number is not positive.
    """

    scale: Scale = "laptop"
    """smoke: seconds, to see that it works. laptop: at most 40 minutes on two cores. paper: the
    published sizes."""
    out: Path = Path("runs/reproduce")
    """Folder of the results, in TARGET-SCALE, and of all training runs, in runs; those that are
    there, of whatever target, machine or day, are not repeated."""
    data: Path = Path("data")
    """Folder of the datasets."""
    source: Literal["md17", "xtb"] = "md17"
    """Trajectories of molecules: the published ones, or those of `pyg-remul simulate`."""
    molecules: tuple[str, ...] = MOLECULES
    """The molecules."""
    delta: int = 3000
    """Frames between input and target of molecules; results of other numbers than 3000 lie in
    TARGET-DELTA-SCALE."""
    seeds: int = 3
    """Runs of each setting that is trained in full; one at scale smoke."""
    workers: int = available_cores()
    """Runs at a time."""
    compile: bool = False
    """Compile the tensor cores of the models."""

    def __post_init__(self) -> None:
        check_choice("scale", self.scale, get_args(Scale))
        check_choice("source", self.source, ("md17", "xtb"))
        if not self.molecules:
            raise ValueError("`molecules` must name one or more, got none.")
        for molecule in self.molecules:
            check_choice("molecules", molecule, MOLECULES)
        check_integers(delta=self.delta, seeds=self.seeds, workers=self.workers)

    @property
    def runs(self) -> Path:
        """The folder of all training runs."""
        return self.out / "runs"

    def folder(self, target: TargetName) -> Path:
        """The folder of a target's results.

        Args:
            target: The target.

        Example:
            >>> Reproduction(scale="paper").folder("table2").as_posix()
            'runs/reproduce/table2-paper'
            >>> Reproduction(scale="paper", delta=5000).folder("table2").as_posix()
            'runs/reproduce/table2-5000-paper'
        """
        other = target in ("table2", "fig-md17") and self.delta != 3000
        return self.out / f"{target}{f'-{self.delta}' if other else ''}-{self.scale}"
