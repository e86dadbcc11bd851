"""What each table and figure of the paper is made of."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from pyg_remul.reproduction.beta_figure import plot_beta
from pyg_remul.reproduction.caption import describe_case
from pyg_remul.reproduction.catalogue import (
    md17_study,
    motion_study,
    nbody_study,
    perceptron_study,
    samples_study,
)
from pyg_remul.reproduction.complexity_report import report_complexity
from pyg_remul.reproduction.engine import carry_out
from pyg_remul.reproduction.landscape import LandscapeOptions
from pyg_remul.reproduction.loss_surfaces import report_loss_surfaces
from pyg_remul.reproduction.methods import is_drawn
from pyg_remul.reproduction.molecules_figure import draw_molecules
from pyg_remul.reproduction.outcomes import Outcome
from pyg_remul.reproduction.results_table import describe_setting, write_tables
from pyg_remul.reproduction.samples_figure import plot_samples
from pyg_remul.reproduction.settings import Reproduction, TargetName
from pyg_remul.reproduction.study import Study
from pyg_remul.reproduction.summary import summarise

__all__ = ["TARGETS", "Target"]

Target: TypeAlias = Callable[[Reproduction, Path], None]
"""Takes the options and the folder of its results."""

_LOGGER = logging.getLogger(__name__)

_WITH_SURFACES = ("Transformer", "+ augmentation", "+ REMUL", "GATr")

_Figures: TypeAlias = Callable[[Sequence[Outcome], Path], object]


def _from_study(study: Callable[[Reproduction], Study], figures: _Figures | None = None) -> Target:
    """A target whose tables, and figures, show the outcomes of a study."""

    def run(settings: Reproduction, folder: Path) -> None:
        outcomes = _outcomes(study(settings), settings)
        print(write_tables(outcomes, folder))  # noqa: T201
        if figures is not None:
            figures(outcomes, folder)

    return run


def _outcomes(study: Study, settings: Reproduction) -> list[Outcome]:
    if settings.compile:
        study = dataclasses.replace(study, options={**study.options, "compile": True})
    return carry_out(study, settings.runs, settings.data, settings.workers)


def _beta_figures(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Draws REMUL's curves between the controls with its options, and the rivals."""
    shown = [outcome for outcome in outcomes if is_drawn(outcome.method)]
    plot_beta(shown, folder / "figure", "E")
    plot_beta(shown, folder / "figure-E-prime", "E_prime")


def _samples_figures(outcomes: Sequence[Outcome], folder: Path) -> None:
    plot_samples(outcomes, folder / "figure", "E")
    plot_samples(outcomes, folder / "figure-E-prime", "E_prime")


def _complexity(settings: Reproduction, folder: Path) -> None:
    print(report_complexity(folder, settings.scale))  # noqa: T201


def _drawings(settings: Reproduction, folder: Path) -> None:
    draw_molecules(folder, dpi=50 if settings.scale == "smoke" else 300)


def _loss_surfaces(settings: Reproduction, folder: Path) -> None:
    study = _nbody(settings)
    methods = tuple(method for method in study.methods if method.name in _WITH_SURFACES)
    study = dataclasses.replace(study, cases=study.cases[:1], methods=methods)
    ((case, lines),) = summarise(_outcomes(study, settings)).items()
    found = {line.outcome.method.name: line.outcome for line in lines}
    for name in [name for name, outcome in found.items() if not outcome.runs]:
        _LOGGER.warning("%s has no loss surface: runs of all its settings diverged.", name)
        del found[name]
    checkpoints = {name: [run.best for run in outcome.runs] for name, outcome in found.items()}
    if not checkpoints:
        return
    small = LandscapeOptions(num_points=5, num_pairs=1) if settings.scale == "smoke" else None
    text = report_loss_surfaces(
        checkpoints,
        folder,
        data=settings.data,
        options=small,
        surface_seeds=None if settings.scale == "paper" else 1,
        caption=f"{describe_case(case, lines)} Chosen: {_list_settings(found)}.",
    )
    print(text)  # noqa: T201


def _list_settings(outcomes: Mapping[str, Outcome]) -> str:
    settings = {name: describe_setting(outcome.setting) for name, outcome in outcomes.items()}
    return "; ".join(f"{name}: {setting}" for name, setting in settings.items())


def _motion(*motions: str, curve: bool = False) -> Callable[[Reproduction], Study]:
    return lambda settings: motion_study(motions, settings.scale, settings.seeds, curve=curve)


def _perceptrons(settings: Reproduction) -> Study:
    return perceptron_study(scale=settings.scale, seeds=settings.seeds)


def _molecules(settings: Reproduction, *, curve: bool = False) -> Study:
    return md17_study(
        settings.molecules,
        settings.delta,
        settings.source,
        settings.scale,
        settings.seeds,
        curve=curve,
    )


def _nbody(settings: Reproduction) -> Study:
    return nbody_study(settings.scale, settings.seeds)


def _samples(settings: Reproduction) -> Study:
    return samples_study(settings.scale, settings.seeds)


TARGETS: dict[TargetName, Target] = {
    "table1-run": _from_study(_motion("run")),
    "table1-walk": _from_study(_motion("walk")),
    "table1-mlp": _from_study(_perceptrons),
    "table2": _from_study(_molecules),
    "fig-nbody": _from_study(_nbody, _beta_figures),
    "fig-mocap": _from_study(_motion("walk", "run", curve=True), _beta_figures),
    "fig-md17": _from_study(partial(_molecules, curve=True), _beta_figures),
    "fig-complexity": _complexity,
    "fig-loss-surface": _loss_surfaces,
    "fig-samples": _from_study(_samples, _samples_figures),
    "fig-molecules": _drawings,
}
"""The tables and figures by name."""
