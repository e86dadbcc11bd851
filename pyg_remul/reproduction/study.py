"""Experiments as data: what is trained on what, with which settings and seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pyg_remul.checks import check_integers
from pyg_remul.config import PresetName, TrainConfig
from pyg_remul.presets import preset

__all__ = ["Case", "Kind", "Method", "Setting", "Study"]

Setting: TypeAlias = Mapping[str, Any]
"""Options of :class:`~pyg_remul.config.TrainConfig` by name."""

Kind: TypeAlias = Literal["plain", "augmentation", "remul", "gradnorm", "rival"]
"""What a method is, which is how figures draw it; rivals are equivariant by their architecture,
strictly or softly."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Data of a study, such as a molecule: a column of its table, a panel of its figure."""

    name: str
    """What tables call it."""
    options: Setting
    """The task, and what else chooses the data."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A model and its way of training: a row of a table, a curve of a figure."""

    name: str
    """What tables call it."""
    kind: Kind
    """How figures draw it."""
    options: Setting
    """The model, the method of training, and what else belongs to it."""
    settings: tuple[Setting, ...] = field(default=({},))
    """The settings among which the validation loss chooses."""
    sweep: bool = False
    """Whether all settings are trained in full with all seeds, as a curve over them asks. Otherwise
    the best one alone is, by comparison in shorter runs of the first seed."""

    control: bool = False
    """Whether it stands for REMUL without its loss, with REMUL's options; the paper has none."""

    @property
    def passes(self) -> int:
        """How often each training graph goes through the model in a step, by the options alone."""
        turned = int(self.options.get("num_samples", 1))
        return {"plain": 1, "augmentation": turned}.get(self.options["method"], 1 + turned)


@dataclass(frozen=True, kw_only=True)
class Study:
    """All runs behind a table or a figure.

    Raises:
        ValueError: If there are no seeds, or `tuning` is not a share.

    Example:
        >>> study = Study(
        ...     cases=(Case(name="N-body", options={"task": "nbody"}),),
        ...     methods=(
        ...         Method(
        ...             name="GNN",
        ...             kind="plain",
        ...             options={"model": "gnn", "method": "plain"},
        ...             settings=({"lr": 1e-3}, {"lr": 1e-4}),
        ...         ),
        ...     ),
        ... )
        >>> case, method = study.cases[0], study.methods[0]
        >>> study.config(case, method, {"lr": 1e-4}, seed=2, data=Path("data")).lr
        0.0001
        >>> study.trial(case, method, {"lr": 1e-4}, data=Path("data")).steps
        300
    """

    cases: tuple[Case, ...]
    """The data, one after the other."""
    methods: tuple[Method, ...]
    """What is compared."""
    preset: PresetName = "small"
    """The sizes that the options start from."""
    options: Setting = field(default_factory=dict)
    """Options of all runs."""
    seeds: int = 3
    """Runs of each setting that is trained in full."""
    tuning: float = 0.25
    """Share of the steps in which settings are compared."""

    def __post_init__(self) -> None:
        check_integers(seeds=self.seeds)
        if not 0 < self.tuning <= 1:
            raise ValueError(f"`tuning` must be in (0, 1], got {self.tuning}.")

    def config(
        self, case: Case, method: Method, setting: Setting, *, seed: int, data: Path
    ) -> TrainConfig:
        """The configuration of a full run.

        Args:
            case: The data.
            method: The method.
            setting: One of its settings.
            seed: From 0 to one less than `seeds`.
            data: Folder of the datasets.
        """
        options = {**self.options, **case.options, **method.options, **setting}
        task, model = options.pop("task"), options.pop("model")
        return preset(task, model, self.preset, seed=seed, data=data, **options)

    def trial(self, case: Case, method: Method, setting: Setting, *, data: Path) -> TrainConfig:
        """The configuration of the shorter run, of the first seed, by which settings are compared.

        Args:
            case: The data.
            method: The method.
            setting: One of its settings.
            data: Folder of the datasets.
        """
        whole = self.config(case, method, setting, seed=0, data=data)
        validations = max(1, round(self.tuning * whole.steps / whole.val_every))
        return dataclasses.replace(whole, steps=validations * whole.val_every)
