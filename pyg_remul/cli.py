"""The command line: ``pyg-remul train``, ``evaluate``, ``reproduce``, ``demo`` and others."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from pyg_remul.extras import exit_without

try:
    import tyro

    from pyg_remul.demo import DemoConfig, run_demo
    from pyg_remul.experiment import evaluate, train
    from pyg_remul.reproduction.command import reproduce_command
    from pyg_remul.simulation import SimulationConfig, SimulationError, simulate
except ModuleNotFoundError as error:  # an extra that the core does without
    exit_without(error, "train")

import torch

from pyg_remul._version import __version__
from pyg_remul.benchmarks import BenchmarkName
from pyg_remul.benchmarks.harness import Settings
from pyg_remul.config import FLAT_MODELS, ModelName, PresetName, Task, TrainConfig
from pyg_remul.divergence import DivergenceError
from pyg_remul.presets import preset
from pyg_remul.run_folder import RunFolder
from pyg_remul.tables import markdown_table

__all__ = ["main"]

_INTERRUPTED = (
    "\npyg-remul: interrupted; train goes on from its last validation by --resume, demo, "
    "simulate, bench complexity and reproduce by the same command"
)


@dataclass(frozen=True, kw_only=True)
class _TrainOptions(TrainConfig):
    """Options of a run; the defaults shown are those of the preset for this task and model."""

    task: tyro.conf.Positional[Task] = "nbody"
    """The data: simulated N-body systems, or motion capture of running."""

    def __post_init__(self) -> None:
        """Leaves the checks to the configuration itself, whose messages tyro would frame."""


@dataclass(frozen=True, kw_only=True)
class _DemoOptions(DemoConfig):
    """Options of the demo."""

    def __post_init__(self) -> None:
        """Leaves the checks to the configuration itself, whose messages tyro would frame."""


@dataclass(frozen=True, kw_only=True)
class _SimulationOptions(SimulationConfig):
    """Options of a simulation."""

    molecule: tyro.conf.Positional[str] = "ethanol"
    """A molecule of MD17 (aspirin, benzene, ethanol, malonaldehyde, naphthalene, salicylic,
    toluene, uracil), or a file that ASE reads."""

    def __post_init__(self) -> None:
        """Leaves the checks to the configuration itself, whose messages tyro would frame."""


@dataclass(frozen=True, kw_only=True)
class _BenchOptions(Settings):
    """How to measure."""

    def __post_init__(self) -> None:
        """Leaves the checks to the settings themselves, whose messages tyro would frame."""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command line.

    Args:
        argv: The arguments, those of the process by default.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"]:
        print(f"pyg-remul {__version__}")  # noqa: T201
        return
    defaults = _TrainOptions(**vars(_chosen_preset(arguments)))

    def train_command(
        config: tyro.conf.OmitArgPrefixes[_TrainOptions] = defaults,
        *,
        out: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Train a model on a task of the paper, then evaluate it on the test splits.

        Args:
            config: The options of the run.
            out: Folder of the run; runs/TASK-MODEL-METHOD-SEED by default.
            resume: Go on with the run in that folder, with the same options.
        """
        options = TrainConfig(**vars(config))
        name = f"{options.task}-{options.model}-{options.method}-{options.seed}"
        folder = Path("runs") / name if out is None else out
        if resume and RunFolder(folder).config() is None:
            print(f"nothing to resume in {folder}; starting", file=sys.stderr)  # noqa: T201
        _show(train(options, folder, resume=resume))
        print(f"\nwritten to {folder}")  # noqa: T201

    commands: dict[str, Any] = {
        "train": train_command,
        "evaluate": _evaluate_command,
        "demo": _demo_command,
        "simulate": _simulate_command,
        "bench": _bench_command,
        "reproduce": reproduce_command,
    }
    try:
        tyro.extras.subcommand_cli_from_dict(commands, args=arguments, prog="pyg-remul")
        sys.stdout.flush()  # or a closed pipe would show at exit only
    except BrokenPipeError:  # the reader has seen enough; nothing is left to flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ValueError, TypeError, OSError, SimulationError, DivergenceError) as error:
        sys.exit(f"pyg-remul: {error}")
    except KeyboardInterrupt:
        print(_INTERRUPTED, file=sys.stderr)  # noqa: T201
        sys.exit(130)


def _evaluate_command(
    checkpoint: tyro.conf.Positional[Path],
    *,
    data: Path | None = None,
    num_samples: int = 100,
    num_graphs: int = 100,
) -> None:
    """Measure a checkpoint's test error, and its equivariance errors in float64.

    Args:
        checkpoint: File written by train, such as runs/NAME/checkpoints/best.ckpt.
        data: Folder of the datasets; that of the run by default.
        num_samples: Random rotations, M in Eq. 12 and 13.
        num_graphs: Test graphs for the equivariance errors.
    """
    _show(evaluate(checkpoint, data, num_samples=num_samples, num_graphs=num_graphs))


def _demo_command(config: tyro.conf.OmitArgPrefixes[_DemoOptions] = _DemoOptions()) -> None:
    """Compare plain training, augmentation and REMUL on N-body systems: a table and a figure."""
    run_demo(DemoConfig(**vars(config)))


def _simulate_command(
    config: tyro.conf.OmitArgPrefixes[_SimulationOptions] = _SimulationOptions(),
    *,
    out: Path | None = None,
) -> None:
    """Simulate a trajectory of a molecule by GFN2-xTB, in the recipe and the layout of MD17.

    The same command goes on with a simulation that was interrupted.

    Args:
        config: The options of the simulation.
        out: Folder of the trajectory; runs/NAME-xtb-SEED by default.
    """
    options = SimulationConfig(**vars(config))
    folder = Path("runs") / f"{options.name}-xtb-{options.seed}" if out is None else out
    try:
        path = simulate(options, folder)
    except ModuleNotFoundError as error:
        exit_without(error, "xtb")
    print(f"written to {path}")  # noqa: T201


def _bench_command(
    name: tyro.conf.Positional[BenchmarkName],
    timing: tyro.conf.OmitArgPrefixes[_BenchOptions] = _BenchOptions(),
) -> None:
    """Measure speed: as ratios of alternatives that run in turns, with median and deciles.

    Args:
        name: What to measure. attention: graphs of different sizes against padding all to the
            largest. complexity: time and memory of Transformers against batch size.
            messages: GNN and EGNN against the usual formulation of their layers. gatr, se3: their
            formulation against plainer ones. step: a REMUL step against a plain one. throughput:
            training against PyG's loader and transforms. training_step: steps a second at the
            paper's sizes. rotation: a batch against its graphs. loader: StackedLoader against
            PyG's. nbody, motion, trajectory, simulation: the data's makers and readers.
        timing: How to measure.
    """
    settings = Settings(**vars(timing))
    torch.set_num_threads(settings.threads)
    import_module(f"pyg_remul.benchmarks.{name}").main(settings)


def _chosen_preset(arguments: Sequence[str]) -> TrainConfig:
    """The preset that the arguments name, so that help shows its values as the defaults."""
    named = _option(arguments, "preset", get_args(PresetName)) or "small"
    tasks = [
        word
        for before, word in pairwise(arguments)
        if word in get_args(Task) and before not in ("--out", "--data", "--preset")
    ]
    task = tasks[0] if tasks else named if named in get_args(Task) else "nbody"
    usual = "mlp" if task == "mocap-run" else "transformer"
    model = _option(arguments, "model", get_args(ModelName)) or usual
    if task == "nbody" and model in FLAT_MODELS:  # the parser is to refuse it, not this
        model = usual
    return preset(task, model, named)  # type: ignore[arg-type]


def _option(arguments: Sequence[str], option: str, choices: Sequence[str]) -> str | None:
    """The last value that the arguments give to an option, if it is one of the choices."""
    values = [
        value or "".join(arguments[place + 1 : place + 2])
        for place, word in enumerate(arguments)
        for name, _, value in [word.partition("=")]
        if name == f"--{option}"
    ]
    return next((value for value in reversed(values) if value in choices), None)


def _show(results: dict[str, dict[str, float]]) -> None:
    """Prints the results of a run."""
    names = list(dict.fromkeys(name for values in results.values() for name in values))
    rows = [
        [name, *(f"{values[name]:.3g}" if name in values else "" for values in results.values())]
        for name in names
    ]
    print(markdown_table(["", *results], rows))  # noqa: T201


if __name__ == "__main__":
    main()
