"""The main job: plain training, augmentation and REMUL side by side on N-body systems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pyg_remul.checks import check_integers
from pyg_remul.config import MethodName, TrainConfig
from pyg_remul.demo_figure import plot_demo
from pyg_remul.demo_results import COLUMNS, DemoRow, results_csv, results_table
from pyg_remul.files import check_folder, write_text
from pyg_remul.presets import preset
from pyg_remul.run_pool import available_cores, train_all
from pyg_remul.tasks import load_task

__all__ = ["DemoConfig", "run_demo"]


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Options of the demo.

    Raises:
        ValueError: If a number is not positive.
    """

    out: Path = Path("runs/demo")
    """Folder for the runs, the table and the figure; finished runs in it are not repeated."""
    data: Path = Path("data")
    """Folder of the datasets."""
    betas: tuple[float, ...] = (0.1, 1.0, 10.0)
    """Constant weights of the equivariance loss."""
    degrees: float | None = None
    """Bound of the rotation angle in training; all rotations by default, 10 in the paper."""
    seeds: int = 3
    """Runs of each method."""
    steps: int = 600
    """Optimiser steps of each run, a multiple of 10."""
    workers: int = available_cores()
    """Runs at a time."""

    def __post_init__(self) -> None:
        check_integers(seeds=self.seeds, steps=self.steps, workers=self.workers)
        if self.steps % 10:
            raise ValueError(f"`steps` must be a multiple of 10, got {self.steps}.")


def run_demo(config: DemoConfig) -> list[DemoRow]:
    """Trains the Transformer by every method, prints a table and draws a figure.

    The runs go in parallel, each in its own folder. Called again after an interruption, it goes on
    where it was.

    Args:
        config: The options.

    Returns:
        A row for each method. ``demo.md``, ``demo.csv`` and ``demo.png`` in ``config.out`` show
        the same.

    Raises:
        NotADirectoryError: If ``config.out`` is a file.
        ValueError: If ``config.out`` holds runs with other options.
    """
    check_folder("out", config.out)
    rows = _plan(config)
    plans = [
        (row, config.out / _folder_name(options), options)
        for seed in range(config.seeds)
        for row in rows
        for options in [_options(config, row, seed)]
    ]
    load_task(plans[0][2])  # simulates once what all runs read
    results = train_all({folder: options for _, folder, options in plans}, config.workers)
    for row, folder, _ in plans:
        test, ood = (results[folder][split] for split in ("test", "ood"))
        found = {**test, "id": test["mse"], "ood": ood["mse"]}
        for column in COLUMNS:
            row.values[column].append(found[column])
    table = results_table(rows)
    write_text(config.out / "demo.md", table + "\n")
    write_text(config.out / "demo.csv", results_csv(rows))
    plot_demo(rows, config.out / "demo.png")
    print(f"\n{table}\n\nfigure: {config.out / 'demo.png'}")  # noqa: T201
    return rows


def _plan(config: DemoConfig) -> list[DemoRow]:
    def row(name: str, method: MethodName, beta: float | None, passes: int) -> DemoRow:
        return DemoRow(name, method, beta, passes, {column: [] for column in COLUMNS})

    return [
        row("Transformer", "plain", None, 1),
        row("+ augmentation", "augmentation", None, 1),
        row("+ augmentation, 2 rotations a step", "augmentation", None, 2),
        *(row(f"+ REMUL, beta {beta:g}", "remul", beta, 2) for beta in config.betas),
        row("+ REMUL, GradNorm", "gradnorm", 1.0, 2),
    ]


def _options(config: DemoConfig, row: DemoRow, seed: int) -> TrainConfig:
    return preset(
        "nbody",
        method=row.method,
        beta=1.0 if row.beta is None else row.beta,
        num_samples=row.passes if row.method == "augmentation" else 1,
        degrees=config.degrees,
        clip=None,  # a bound would act on the methods by the sum of their weights
        steps=config.steps,
        val_every=config.steps // 10,
        equivariance_graphs=0,
        seed=seed,
        data=config.data,
    )


def _folder_name(options: TrainConfig) -> str:
    return f"{options.method}-{options.beta:g}-{options.num_samples}-{options.seed}"
