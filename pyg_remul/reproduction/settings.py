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
    """Folder of the results, in TARGET-SCALE with what is special about the molecules between, such
    as table2-xtb-ethanol-5000-laptop, and of all training runs, in runs; those that are
    there, of whatever target, machine or day, are not repeated."""
    data: Path = Path("data")
    """Folder of the datasets."""
    source: Literal["md17", "xtb"] = "md17"
    """Trajectories of molecules: the published ones, or those of `pyg-remul simulate`."""
    molecules: tuple[str, ...] = MOLECULES
    """The molecules, each once."""
    delta: int = 3000
    """Frames between input and target of molecules."""
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
        if len(set(self.molecules)) < len(self.molecules):
            raise ValueError(
                f"`molecules` must name each one once, got {', '.join(self.molecules)}."
            )
        check_integers(delta=self.delta, seeds=self.seeds, workers=self.workers)

    @property
    def runs(self) -> Path:
        """The folder of all training runs."""
        return self.out / "runs"

    def folder(self, target: TargetName) -> Path:
        """The folder of a target's results; what differs in its data lies in another folder.

        Args:
            target: The target.

        Example:
            >>> Reproduction(scale="paper").folder("table2").as_posix()
            'runs/reproduce/table2-paper'
            >>> ethanol = Reproduction(source="xtb", molecules=("ethanol",), delta=5000)
            >>> ethanol.folder("table2").as_posix()
            'runs/reproduce/table2-xtb-ethanol-5000-laptop'
        """
        special = self._special() if target in ("table2", "fig-md17") else []
        return self.out / "-".join([target, *special, self.scale])

    def _special(self) -> list[str]:
        """What is not usual about the molecules."""
        chosen = [name for name in MOLECULES if name in self.molecules]
        return [
            *([self.source] if self.source != "md17" else []),
            *(chosen if len(chosen) < len(MOLECULES) else []),
            *([str(self.delta)] if self.delta != 3000 else []),
        ]
