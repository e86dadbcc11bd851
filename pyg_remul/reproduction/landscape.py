"""The loss around a trained model, measured and kept in a file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from pyg_remul.checks import check_integers
from pyg_remul.evaluation import cast
from pyg_remul.experiment import load_checkpoint, restore
from pyg_remul.files import refusal, replacing
from pyg_remul.filter_directions import filter_normalised_direction
from pyg_remul.hessian import Hessian, extreme_eigenvalues, hessian_trace
from pyg_remul.loss_surface import ModelLoss, grid_axis, loss_surface
from pyg_remul.randomness import derive_generator
from pyg_remul.stacked_loader import StackedLoader
from pyg_remul.tasks import TaskData

__all__ = ["Curvature", "Landscape", "LandscapeOptions", "measure_landscape", "training_loss"]


@dataclass(frozen=True, kw_only=True)
class LandscapeOptions:
    """How finely the loss around a model is measured.

    Raises:
        ValueError: If an option is out of range.
    """

    num_points: int = 51
    """Points along each direction, odd."""
    num_pairs: int = 3
    """Pairs of random directions, the same for all models as far as their shapes are; with 0, only
    the derivatives at the weights are measured."""
    extent: float = 1.0
    """Largest step along each direction, whose length is that of the weights."""
    seed: int = 0
    """Seed of the directions."""

    def __post_init__(self) -> None:
        grid_axis(self.num_points, self.extent)
        check_integers("not negative", num_pairs=self.num_pairs)


@dataclass(frozen=True, kw_only=True)
class Curvature:
    """The loss at the weights of a model, and its derivatives there."""

    loss: float
    """The loss."""
    gradient: float
    """The norm of its gradient, 0 at a minimum."""
    smallest: float
    """The smallest eigenvalue of the Hessian, not negative at a minimum."""
    largest: float
    """The largest eigenvalue."""
    residual: float
    """A bound of the errors of both eigenvalues."""
    trace: float
    """The sum of all eigenvalues, estimated."""
    trace_se: float
    """The standard error of the estimate."""

    @property
    def ratio(self) -> float:
        """The smallest eigenvalue over the largest, which the scale of the loss does not change."""
        return self.smallest / self.largest


_FIELDS = tuple(field.name for field in dataclasses.fields(Curvature))


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """The loss around a trained model."""

    surfaces: Tensor
    """Loss surfaces, shape ``[num_pairs, num_points, num_points]``."""
    curvature: Curvature
    """The loss at the model itself."""


def training_loss(data: TaskData, dtype: torch.dtype, device: torch.device) -> ModelLoss:
    """The mean squared error of all training graphs in one batch, as a function of a model.

    Args:
        data: The task's datasets.
        dtype: The precision of the batch.
        device: Where the batch lies.
    """
    loader = StackedLoader(data.train, len(data.train), device=device)
    batch = cast(next(iter(loader)), dtype)
    return lambda model: mse_loss(model(batch), batch.y)


def measure_landscape(
    checkpoint: Path,
    folder: Path,
    *,
    options: LandscapeOptions,
    data: Path | None = None,
    report: Callable[[int], object] = lambda _: None,
) -> Landscape:
    """Measures the training loss around a model, in float64, on a GPU if there is one.

    Each row of a surface is kept at once, so that an interrupted measurement goes on where it was;
    a finished one is read.

    Args:
        checkpoint: A file that :func:`~pyg_remul.experiment.train` wrote.
        folder: Where the measurement is kept, in a file named by all that it depends on.
        options: How finely to measure.
        data: Folder of the datasets, that of the run by default.
        report: Called now and then with the number of rows that are known.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If the checkpoint or a file of the folder is damaged.
    """
    path = folder / f"{_digest(checkpoint, options)}.npz"
    arrays = _read(path, options) if path.exists() else _blank(options)
    missing = [name for name, values in arrays.items() if values.isnan().any()]
    report(_num_known(arrays))
    if missing:
        model, task = restore(checkpoint, data)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model, loss = model.to(device), training_loss(task, torch.float64, device)

        def keep() -> None:
            _write(path, arrays)
            report(_num_known(arrays))

        if "curvature" in missing:
            arrays["curvature"] = _measure_curvature(model, loss, options.seed)
            keep()
        _fill_surfaces(model, loss, arrays["surfaces"], options, keep)
    values = dict(zip(_FIELDS, arrays["curvature"].tolist(), strict=True))
    return Landscape(surfaces=arrays["surfaces"], curvature=Curvature(**values))


def _fill_surfaces(
    model: nn.Module,
    loss: ModelLoss,
    surfaces: Tensor,
    options: LandscapeOptions,
    keep: Callable[[], object],
) -> None:
    for pair, surface in enumerate(surfaces):
        generator = derive_generator(options.seed, "direction", pair)
        first = filter_normalised_direction(model, generator)
        second = filter_normalised_direction(model, generator)

        def note(begun: Tensor, surface: Tensor = surface) -> None:
            surface.copy_(begun)
            keep()

        loss_surface(
            model,
            loss,
            (first, second),
            num_points=options.num_points,
            extent=options.extent,
            begun=surface,
            report=note,
        )


def _measure_curvature(model: nn.Module, loss: ModelLoss, seed: int) -> Tensor:
    hessian = Hessian(model, loss)
    low, high = extreme_eigenvalues(hessian, derive_generator(seed, "eigenvalues"))
    trace, trace_se = hessian_trace(hessian, derive_generator(seed, "trace"))
    measured = Curvature(
        loss=hessian.loss,
        gradient=hessian.gradient.norm().item(),
        smallest=low.value,
        largest=high.value,
        residual=max(low.residual, high.residual),
        trace=trace,
        trace_se=trace_se,
    )
    return torch.tensor([getattr(measured, name) for name in _FIELDS], dtype=torch.float64)


def _digest(checkpoint: Path, options: LandscapeOptions) -> str:
    """Names a measurement by the run, its weights and the options."""
    config, weights = load_checkpoint(checkpoint)
    described = {"run": config.identity(), "options": dataclasses.asdict(options)}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(weights):
        digest.update(name.encode() + weights[name].contiguous().numpy().tobytes())
    return f"{config.task}-{config.model}-{config.method}-{digest.hexdigest()[:10]}"


def _blank(options: LandscapeOptions) -> dict[str, Tensor]:
    """The arrays of a file, NaN where nothing is known."""
    shape = (options.num_pairs, options.num_points, options.num_points)
    shapes = {"surfaces": shape, "curvature": (len(_FIELDS),)}
    return {n: torch.full(s, torch.nan, dtype=torch.float64) for n, s in shapes.items()}


def _num_known(arrays: Mapping[str, Tensor]) -> int:
    """The rows of all surfaces that are known."""
    return int((~arrays["surfaces"].isnan().any(dim=-1)).sum())


def _write(path: Path, arrays: Mapping[str, Tensor]) -> None:
    with replacing(path) as temporary:
        np.savez(
            temporary,
            surfaces=arrays["surfaces"].numpy(),
            curvature=arrays["curvature"].numpy(),
        )


def _read(path: Path, options: LandscapeOptions) -> dict[str, Tensor]:
    expected = _blank(options)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: torch.from_numpy(stored[name]) for name in expected}
    except Exception as error:  # a damaged file can make the loader fail in any way
        raise refusal(path, f"it does not load as arrays ({error})") from error
    for name, blank in expected.items():
        found = arrays[name]
        if found.dtype != blank.dtype or found.shape != blank.shape:
            raise refusal(path, f"`{name}` has the shape {list(found.shape)} of {found.dtype}")
    return arrays
