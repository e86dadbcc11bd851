"""The options of a training run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from pyg_remul.checks import check_choice, check_integers, check_numbers
from pyg_remul.precision import Precision

__all__ = ["MethodName", "ModelName", "PresetName", "Task", "TrainConfig"]

Task: TypeAlias = Literal["nbody", "mocap-run", "mocap-walk", "md17"]
ModelName: TypeAlias = Literal[
    "transformer", "gnn", "egnn", "se3", "gatr", "mlp", "emlp", "rpp", "per"
]
MethodName: TypeAlias = Literal["plain", "augmentation", "remul", "gradnorm"]
PresetName: TypeAlias = Literal["small", "paper", "nbody", "mocap-run", "mocap-walk", "md17"]

FLAT_MODELS = ("mlp", "emlp", "rpp", "per")
"""The models that take the nodes of a graph side by side."""

_COUNTS = (
    *("hidden_channels", "num_layers", "heads", "hidden_scalars", "num_degrees"),
    *("steps", "batch_size", "val_every", "num_samples", "patience", "num_train", "num_eval"),
    *("delta", "hops", "rotation_pool"),
)
_CHOICES: dict[str, tuple[object, ...]] = {
    "task": get_args(Task),
    "preset": get_args(PresetName),
    "model": get_args(ModelName),
    "method": get_args(MethodName),
    "source": ("md17", "xtb"),
    "precision": get_args(Precision),
    "compile": (False, True),
    "cuda_graphs": (False, True),
}
NEUTRAL = ("preset", "data", "compile", "cuda_graphs")
"""Options that change how a run is executed, or what it is called, but not its result."""

_TURNING = ("reference", "degrees", "num_samples", "rotation_pool")
_UNREAD = {
    "plain": ("alpha", "beta", "eta", "gamma", *_TURNING),
    "augmentation": ("alpha", "beta", "eta", "gamma"),
    "remul": ("eta", "gamma"),
}
_PENALISED = ("gatr", "rpp", "per")
_POSITIVE = ("lr", "lr_final", "eta", "clip", "scale")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All that a run depends on; see :func:`preset` for the sizes that go together.

    Raises:
        ValueError: If an option is out of range or a combination is impossible.
    """

    task: Task
    """The data: simulated N-body systems, motion capture of running or walking, or a molecule."""
    preset: PresetName = "small"
    """Which sizes the other options start from: `small` trains in minutes on a CPU, `paper` is the
    published protocol of the task, the name of a task its published model on this one."""
    model: ModelName = "transformer"
    """The architecture; `mlp`, `emlp`, `rpp` and `per` take graphs of one size and order only, such
    as motion capture."""
    method: MethodName = "remul"
    """`plain`: the objective alone. `augmentation`: turned graphs alone. `remul`: both, with
    constant weights. `gradnorm`: both, with weights that GradNorm adapts."""
    alpha: float = 1.0
    """Weight of the objective (remul; the initial weight for gradnorm)."""
    beta: float = 1.0
    """Weight of the equivariance loss (remul; the initial weight for gradnorm)."""
    eta: float = 0.025
    """Learning rate of GradNorm's weights."""
    gamma: float = 1.5
    """GradNorm's exponent: how strongly the two losses are pulled to the same rate."""
    reference: Literal["label", "prediction", "detached"] = "label"
    """What predictions for turned graphs are compared with."""
    degrees: float | None = None
    """Bound of the rotation angle in training, about a random axis; all rotations by default."""
    num_samples: int = 1
    """Turned copies of each graph in a step."""
    rotation_pool: int | None = None
    """Draw the rotations of training from so many only, which the seed fixes; from all in the range
    by default."""
    hidden_channels: int = 64
    """Width of the model."""
    num_layers: int = 4
    """Depth of the model."""
    heads: int = 4
    """Attention heads (transformer, se3, gatr)."""
    hidden_scalars: int = 128
    """Scalar channels beside the multivectors (gatr)."""
    num_degrees: int = 4
    """Degrees of the hidden irreps, 0 to one less than this (se3)."""
    scale: float = 1.0
    """Length by which positions and velocities are divided before the model, and its predictions
    multiplied after it; for models that need inputs of order one."""
    prior: float | None = None
    """Weight of the model's own penalty (gatr, per; rpp on its unconstrained weights, not biases),
    which is added to every method's loss; the model's default if None."""
    steps: int = 1500
    """Optimiser steps."""
    batch_size: int = 64
    """Graphs in a step."""
    lr: float = 1e-3
    """Initial learning rate of Adam."""
    lr_final: float = 0.01096
    """Fraction of the learning rate left at the end of its exponential decay in 50 stages."""
    clip: float | None = 10.0
    """Bound of the gradient's norm, which does not grow with the weights of the loss: a large beta
    is clipped more often than a small one. None clips nothing."""
    val_every: int = 150
    """Steps between validations; each writes a checkpoint. Must divide the number of steps."""
    patience: int | None = None
    """Validations without improvement after which training stops; never by default."""
    equivariance_graphs: int = 32
    """Validation graphs on which each validation measures the equivariance errors; 0 for none."""
    error_graphs: int = 100
    """Test graphs on which the final evaluation measures the equivariance errors."""
    precision: Precision = "float32"
    """Of the model's products in training and validation: `tf32` rounds their factors on GPUs, and
    `bf16` runs the model under autocast. Losses, weights and the final evaluation do not change."""
    compile: bool = False
    """Compile the tensor core of the model by torch.compile."""
    cuda_graphs: bool = False
    """Replay the step as a CUDA graph; for graphs of one size, on a GPU."""
    num_train: int | None = None
    """Training graphs; the dataset's own number by default."""
    num_eval: int | None = None
    """Validation and test graphs of the simulated data; 5,000 of each by default."""
    data_seed: int = 0
    """Seed of the simulated data."""
    molecule: str = "ethanol"
    """The molecule (md17)."""
    source: Literal["md17", "xtb"] = "md17"
    """The published trajectories, or those that `pyg-remul simulate` makes (md17)."""
    delta: int | None = None
    """Frames from input to target; 3000 for md17 and 30 for motion capture by default."""
    hops: int | None = None
    """Largest number of bones between joints that share an edge (motion capture); 2 by default."""
    seed: int = 0
    """Seed of the weights, the order of the graphs and the rotations."""
    data: Path = Path("data")
    """Folder of the datasets."""

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        given = {name: value for name, value in vars(self).items() if value is not None}
        check_integers(**{name: given[name] for name in _COUNTS if name in given})
        check_numbers(**{name: given[name] for name in _POSITIVE if name in given})
        check_integers("not negative", equivariance_graphs=self.equivariance_graphs)
        check_integers(error_graphs=self.error_graphs)
        if self.steps % self.val_every:
            raise ValueError(
                f"`val_every` must divide `steps`, {self.steps}, got {self.val_every}; give both."
            )
        if self.prior is not None:
            check_numbers("not negative", prior=self.prior)
            if self.model not in _PENALISED:
                raise ValueError(
                    f"`prior` must be None for a model without a penalty, {self.model!r}, got "
                    f"{self.prior}."
                )
        if self.model in FLAT_MODELS and self.task == "nbody":
            raise ValueError(
                f"`model` must not be {self.model!r} for the task 'nbody', whose bodies have no "
                f"order, got {self.model!r}."
            )

    def to_dict(self) -> dict[str, Any]:
        """The options as JSON values."""
        return dataclasses.asdict(self) | {"data": str(self.data)}

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> TrainConfig:
        """Reads what :meth:`to_dict` wrote; options that were unknown then have their defaults.

        Raises:
            ValueError: If an option is unknown, or the task is missing.
        """
        unknown = set(options) - {field.name for field in dataclasses.fields(cls)}
        if unknown or "task" not in options:
            raise ValueError(
                f"`options` must be those of this version, got unknown {sorted(unknown)} and "
                f"{'a' if 'task' in options else 'no'} task."
            )
        return cls(**{**options, "data": Path(options.get("data", "data"))})

    def identity(self) -> dict[str, Any]:
        """The options that the result depends on, as far as they are not the defaults.

        What the method does not read, such as the weights in plain training, is left out.

        Two runs of equal identity give the same but for rounding, wherever their data lie and
        however their steps are executed.
        """
        unread = (*NEUTRAL, *_UNREAD.get(self.method, ()))
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if field.name not in unread and (value := getattr(self, field.name)) != field.default
        }
