"""Training runs and their evaluation, from a configuration to a folder of results."""

from __future__ import annotations

import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyg_remul.callbacks import Report
from pyg_remul.checks import NonFiniteError
from pyg_remul.config import TrainConfig
from pyg_remul.divergence import recorded_divergence, refuse_diverged
from pyg_remul.fitting import fit
from pyg_remul.measurement import evaluate_model, graph_errors
from pyg_remul.provenance import check_same_data, graph_origins, provenance_of
from pyg_remul.run_folder import RunFolder
from pyg_remul.tasks import TaskData, build_model, load_task
from pyg_remul.training import RemulDataModule, RemulModule

__all__ = ["evaluate", "load_checkpoint", "restore", "train"]

_ALWAYS_FINITE = ("mse", "E", "E_prime")  # others may divide by nothing


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    report: Report | None = None,
) -> dict[str, Any]:
    """Trains a model, keeps the checkpoint of the lowest validation loss, and evaluates it.

    Args:
        config: The options.
        out: The folder of the run; see :class:`~pyg_remul.run_folder.RunFolder`.
        resume: Whether to go on with the run in ``out``. The result is that of an unbroken run, bit
            for bit on a CPU.
        report: Called after each step with the number of steps done, instead of a progress bar.

    Returns:
        The results by split, as :func:`~pyg_remul.measurement.evaluate_model` gives them.

    Raises:
        FileExistsError: If ``out`` holds a run and ``resume`` is not set.
        NotADirectoryError: If ``out`` is a file.
        ValueError: If ``out`` holds a run with other options, of other data, or one whose
            checkpoints are damaged.
        DivergenceError: If the run diverges, or did; the folder holds how.
    """
    folder = RunFolder(out)
    checkpoint = folder.open(config, resume=resume)
    results = folder.results()
    if results is not None:
        return results
    refuse_diverged(folder)
    if checkpoint is not None:
        _check_resumable(folder)
    data = load_task(config, progress=report is None)
    module = RemulModule(config, build_model(config, data), data.reps)
    datamodule = RemulDataModule(config, data)
    found = dataclasses.asdict(provenance_of(data))
    if checkpoint is None:
        folder.claim(config)  # not before the options have proved possible
        folder.write_data(found)
    else:
        places = {str(folder.path): folder.data() or {}, f"the data in {config.data}": found}
        check_same_data("Both parts of a run that goes on", places)
        folder.note_versions()
    with recorded_divergence(folder, module):
        fit(module, datamodule, folder, checkpoint, report)
    with recorded_divergence(folder, module, trained=True):
        return _evaluate_best(folder, config, data)


def evaluate(
    checkpoint: Path,
    data: Path | None = None,
    *,
    num_samples: int = 100,
    num_graphs: int = 100,
) -> dict[str, Any]:
    """Evaluates a checkpoint; nothing is written.

    Args:
        checkpoint: A file that :func:`train` wrote.
        data: Folder of the datasets, that of the run by default.
        num_samples: Elements for the equivariance errors.
        num_graphs: Test graphs for the equivariance errors.

    Returns:
        The results by split, as :func:`~pyg_remul.measurement.evaluate_model` gives them.
    """
    model, task = restore(checkpoint, data)
    return evaluate_model(model, task, num_samples=num_samples, num_graphs=num_graphs)


def restore(
    checkpoint: Path, data: Path | None = None, task: TaskData | None = None
) -> tuple[nn.Module, TaskData]:
    """Restores a trained model, on the CPU, with the datasets of its task.

    Args:
        checkpoint: A file that :func:`train` wrote.
        data: Folder of the datasets, that of the run by default.
        task: The task's datasets, if they are loaded already.

    Returns:
        The model and the datasets.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, of another program, or of another model.
    """
    config, state = load_checkpoint(checkpoint)
    if data is not None:
        config = dataclasses.replace(config, data=data)
    task = load_task(config) if task is None else task
    model = build_model(config, task)
    _load_weights(model, state, checkpoint)
    return model, task


def load_checkpoint(path: Path) -> tuple[TrainConfig, dict[str, Tensor]]:
    """Reads a checkpoint. Nothing in it is executed.

    Args:
        path: A file that :func:`train` wrote.

    Returns:
        The options of the run, and the weights for the model of
        :func:`~pyg_remul.tasks.build_model`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or of another program.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`checkpoint` must be a file, got {path}, which is none.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # whose text would advise to load it all the same
        raise ValueError(f"{path} is damaged or not a checkpoint of tensors.") from error
    except Exception as error:  # a damaged file may end in any
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ValueError(f"{path} is damaged or not a checkpoint of tensors: {reason}") from error
    options = content.get("hyper_parameters") if isinstance(content, dict) else None
    if not isinstance(options, dict) or "config" not in options:
        raise ValueError(f"{path} is not a checkpoint of pyg_remul: it holds no configuration.")
    state = content.get("state_dict")
    if not isinstance(state, dict):
        raise ValueError(f"{path} is not a checkpoint of pyg_remul: it holds no weights.")
    prefix = "model."
    weights = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return TrainConfig.from_dict(options["config"]), weights


def _load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    required = {name: list(value.shape) for name, value in model.state_dict().items()}
    given = {name: list(value.shape) for name, value in weights.items()}
    names = list(required | given)
    wrong = [name for name in names if required.get(name) != given.get(name)]
    if wrong:
        raise ValueError(
            f"{path} must hold the weights of {type(model).__name__}, but {len(wrong)} of "
            f"{len(names)} differ; the first, '{wrong[0]}', must have shape "
            f"{required.get(wrong[0], 'none')}, got {given.get(wrong[0], 'none')}."
        )
    model.load_state_dict(weights)


def _evaluate_best(folder: RunFolder, config: TrainConfig, data: TaskData) -> dict[str, Any]:
    if folder.lowest_validation_loss() == math.inf:
        raise NonFiniteError("the validation loss was never finite.")
    model, _ = restore(folder.best, task=data)
    errors = graph_errors(model, data)
    for split, values in errors.items():
        if not values.isfinite().all():
            raise NonFiniteError(f"errors of graphs of split {split!r} are not finite.")
    folder.write_errors(errors, graph_origins(data))
    results = evaluate_model(model, data, num_graphs=config.error_graphs, errors=errors)
    for split, measured in results.items():
        for name in _ALWAYS_FINITE:
            if not math.isfinite(measured.get(name, 0.0)):
                raise NonFiniteError(f"`{name}` of split {split!r} is {measured[name]}.")
    folder.write_results(results)
    return results


def _check_resumable(folder: RunFolder) -> None:
    """Refuses a damaged last checkpoint, and one without the best before it, by name."""
    load_checkpoint(folder.last)
    if not folder.best.is_file():
        raise ValueError(f"{folder.best} must be there to go on from {folder.last}; it is missing.")
