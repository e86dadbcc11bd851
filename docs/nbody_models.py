"""Trains the models of docs/models.md on N-body systems, prints the table and draws the figure.

Run: python docs/nbody_models.py (half an hour on two idle cores; interrupted, it goes on)
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyg_remul.figures import BLUE, ORANGE, furnish, save_figure
from pyg_remul.presets import preset
from pyg_remul.run_pool import available_cores, train_all
from pyg_remul.tables import markdown_table

SEEDS = range(3)
ALL: dict[str, Any] = {"degrees": None}
TEN: dict[str, Any] = {"degrees": 10.0}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "SE(3)-Transformer": ("se3-plain", {"model": "se3", "method": "plain"}),
    "GATr": ("gatr-plain", {"model": "gatr", "method": "plain"}),
    "Transformer": ("transformer-plain", {"method": "plain"}),
    "+ augmentation": ("aug-all", {"method": "augmentation", **ALL}),
    "+ augmentation, 2 rotations": (
        "aug2-all",
        {"method": "augmentation", "num_samples": 2, **ALL},
    ),
    "+ REMUL, beta 1": ("remul1-all", {"method": "remul", "beta": 1.0, **ALL}),
    "+ REMUL, beta 10": ("remul10-all", {"method": "remul", "beta": 10.0, **ALL}),
    "+ augmentation, 10 degrees": ("aug-ten", {"method": "augmentation", **TEN}),
    "+ augmentation, 2 rotations, 10 degrees": (
        "aug2-ten",
        {"method": "augmentation", "num_samples": 2, **TEN},
    ),
    "+ REMUL, beta 1, 10 degrees": ("remul1-ten", {"method": "remul", "beta": 1.0, **TEN}),
    "+ REMUL, beta 10, 10 degrees": ("remul10-ten", {"method": "remul", "beta": 10.0, **TEN}),
}
COLUMNS = {"MSE ID (1e-3)": 1e3, "MSE OOD (1e-3)": 1e3, "E (1e-2)": 1e2, "E' (1e-2)": 1e2}
ERRORS = ("E", "E_prime")
Table = dict[str, list[list[float]]]


def main() -> None:
    """Trains what is missing."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/nbody-models")
    data = Path(sys.argv[2] if len(sys.argv) > 2 else "data")
    runs = {
        out / f"{folder}-{seed}": _options(options, seed, data)
        for seed in SEEDS
        for folder, options in METHODS.values()
    }
    results = train_all(runs, available_cores())
    table: Table = {}
    for name, (folder, _) in METHODS.items():
        chosen = [results[out / f"{folder}-{seed}"] for seed in SEEDS]
        measured = [
            [r["test"]["mse"], r["ood"]["mse"], r["test"]["E"], r["test"]["E_prime"]]
            for r in chosen
        ]
        scaled = zip(COLUMNS.values(), zip(*measured, strict=True), strict=True)
        table[name] = [[scale * value for value in column] for scale, column in scaled]
    rows = [[name, *map(_cell, columns)] for name, columns in table.items()]
    print(markdown_table(["", *COLUMNS], rows))
    draw(table, Path(__file__).with_suffix(".png"))


def draw(table: Table, path: Path) -> None:
    """Draws both errors of every method, with standard deviations."""
    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = range(len(table))
    styles = (("in distribution", BLUE, "o"), ("out of distribution", ORANGE, "s"))
    for column, (label, colour, marker) in enumerate(styles):
        values = [columns[column] for columns in table.values()]
        axes.errorbar(
            [mean(seeds) for seeds in values],
            places,
            xerr=[stdev(seeds) for seeds in values],
            linestyle="none",
            color=colour,
            marker=marker,
            capsize=3,
            label=label,
        )
    axes.set(xscale="log", xlabel="mean squared error (1e-3)", yticks=places)
    axes.set_yticklabels(list(table))
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:g}")
    furnish(axes, 2)
    save_figure(figure, path)


def _options(options: dict[str, Any], seed: int, data: Path) -> Any:
    chosen = {"model": "transformer", **options}
    return preset("nbody", chosen.pop("model"), clip=None, seed=seed, data=data, **chosen)


def _cell(seeds: list[float]) -> str:
    if mean(seeds) < 1e-6:
        return f"{mean(seeds):.0e}"
    return f"{mean(seeds):.2f} ± {stdev(seeds):.2f}"


if __name__ == "__main__":
    main()
