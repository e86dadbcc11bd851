"""Loss surfaces of trained models, and whether they are convex (figure 4 of the paper)."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from pyg_remul.files import write_text
from pyg_remul.reproduction.landscape import (
    Landscape,
    LandscapeOptions,
    measure_landscape,
)
from pyg_remul.reproduction.surface_figure import plot_contours, plot_reliefs
from pyg_remul.surface_shape import local_minima, nonconvex_share
from pyg_remul.tables import csv_table, markdown_table

__all__ = ["report_loss_surfaces"]

_RADII = (0.25, 0.5, 1.0)  # relative to the largest step along a direction


def report_loss_surfaces(
    checkpoints: Mapping[str, Sequence[Path]],
    out: Path,
    *,
    data: Path | None = None,
    options: LandscapeOptions | None = None,
    surface_seeds: int | None = None,
    caption: str = "",
) -> str:
    """Measures and draws the training loss around trained models.

    In a folder, ``table.md`` has means and standard deviations, of what is measured at a model over
    its seeds, of what is measured on a surface over seeds and pairs of directions; ``table.csv``
    every surface; ``contours`` and ``reliefs``, PNG and SVG, the surfaces of each model's first
    seed; and ``landscapes/`` the measurements, which are not repeated.

    Args:
        checkpoints: The checkpoints of each model, by its name, one a seed.
        out: The folder.
        data: Folder of the datasets, that of the runs by default.
        options: How finely to measure.
        surface_seeds: Seeds of which surfaces are measured; of the others only the derivatives at
            the weights. ``None`` for all.
        caption: How the models were trained, to stand above the table.

    Returns:
        The table, in Markdown.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If a model has no checkpoint, a checkpoint or an earlier measurement is damaged,
            or no surface is to be measured.
    """
    if empty := [name for name, paths in checkpoints.items() if not paths]:
        raise ValueError(f"`checkpoints` must give one or more of each model, got none of {empty}.")
    options = options or LandscapeOptions()
    if options.num_pairs < 1 or (surface_seeds is not None and surface_seeds < 1):
        raise ValueError(
            "`options.num_pairs` and `surface_seeds` must be positive, got "
            f"{options.num_pairs} and {surface_seeds}."
        )
    plain = dataclasses.replace(options, num_pairs=0)
    num_rows = options.num_pairs * options.num_points
    total = num_rows * sum(len(paths[:surface_seeds]) for paths in checkpoints.values())
    found: dict[str, list[Landscape]] = {}
    with tqdm(total=total, desc="loss surfaces", unit="row", dynamic_ncols=True) as bar:
        for name, paths in checkpoints.items():
            found[name] = []
            for seed, path in enumerate(paths):
                bar.set_postfix_str(f"{name}, seed {seed}")

                def show(rows: int, before: int = bar.n) -> None:
                    bar.update(before + rows - bar.n)

                drawn = surface_seeds is None or seed < surface_seeds
                landscape = measure_landscape(
                    path,
                    out / "landscapes",
                    options=options if drawn else plain,
                    data=data,
                    report=show,
                )
                found[name].append(landscape)
    seeds = {None: "all seeds", 1: "the first seed"}.get(surface_seeds, f"{surface_seeds} seeds")
    description = _describe(options, seeds)
    return _write_reports(found, out, options, [caption, description])


def _write_reports(
    found: Mapping[str, Sequence[Landscape]],
    out: Path,
    options: LandscapeOptions,
    captions: Sequence[str],
) -> str:
    parts = (*captions, _format_table(found, options))
    text = "\n\n".join(part for part in parts if part)
    write_text(out / "table.md", text + "\n")
    write_text(out / "table.csv", _format_csv(found))
    surfaces = {name: list(landscapes[0].surfaces) for name, landscapes in found.items()}
    plot_contours(surfaces, out / "contours", options.extent)
    plot_reliefs(surfaces, out / "reliefs", options.extent)
    return text


def _describe(options: LandscapeOptions, seeds: str) -> str:
    return (
        "Mean squared error of all training graphs, in float64: its gradient and the extreme "
        "eigenvalues and the trace of its Hessian at the weights (mean ± standard deviation over "
        f"seeds), and on {options.num_points} x {options.num_points} points of "
        f"{options.num_pairs} planes of random filter-normalised directions, up to "
        f"{options.extent:g} along each (over the planes of {seeds}), the percentage of a plane "
        "within a distance from the weights where it is not convex, and its local minima."
    )


def _format_table(found: Mapping[str, Sequence[Landscape]], options: LandscapeOptions) -> str:
    header = [
        *("", "seeds", "loss (1e-3)", "gradient (1e-3)", "smallest eigenvalue", "largest"),
        *("smallest / largest (1e-3)", "trace"),
        *(f"not convex within {radius * options.extent:g} (%)" for radius in _RADII),
        "local minima",
    ]
    rows = []
    for name, landscapes in found.items():
        at = [landscape.curvature for landscape in landscapes]
        shapes = [_shape(surface) for landscape in landscapes for surface in landscape.surfaces]
        shares = zip(*(shape[:-1] for shape in shapes), strict=True)
        rows.append(
            [
                *(name, str(len(landscapes))),
                _cell([1e3 * c.loss for c in at]),
                _cell([1e3 * c.gradient for c in at]),
                _cell([c.smallest for c in at]),
                _cell([c.largest for c in at]),
                _cell([1e3 * c.ratio for c in at]),
                _cell([c.trace for c in at]),
                *(_cell([100 * share for share in column]) for column in shares),
                _cell([shape[-1] for shape in shapes]),
            ]
        )
    return markdown_table(header, rows)


def _cell(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.3g}"
    return f"{mean} ± {statistics.stdev(values):.2g}" if len(values) > 1 else mean


def _shape(surface: Tensor) -> tuple[float, ...]:
    """The shares that are not convex, within each radius, and the number of local minima."""
    return *(nonconvex_share(surface, radius) for radius in _RADII), local_minima(surface)


def _format_csv(found: Mapping[str, Sequence[Landscape]]) -> str:
    shapes = (*(f"nonconvex_{radius:g}" for radius in _RADII), "local_minima")
    return csv_table(
        [
            {"model": name, "seed": seed}
            | dataclasses.asdict(landscape.curvature)
            | ({} if surface is None else {"pair": pair})
            | ({} if surface is None else dict(zip(shapes, _shape(surface), strict=True)))
            for name, landscapes in found.items()
            for seed, landscape in enumerate(landscapes)
            for pair, surface in enumerate([*landscape.surfaces] or [None])
        ]
    )
