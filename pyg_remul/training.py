"""Training with Lightning."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch
from torchmetrics import MeanMetric

from pyg_remul.captured_step import CapturedStep
from pyg_remul.config import TrainConfig
from pyg_remul.element import GroupElement
from pyg_remul.element_pool import ElementPool
from pyg_remul.groups import SO3, Group
from pyg_remul.loss import RemulLoss, RemulOutput
from pyg_remul.metrics import equivariance_error
from pyg_remul.precision import in_bfloat16
from pyg_remul.randomness import derive_generator
from pyg_remul.stacked_graphs import StackedGraphs
from pyg_remul.stacked_loader import StackedLoader
from pyg_remul.tasks import TaskData
from pyg_remul.weighting import ConstantWeighting, GradNorm, Weighting

__all__ = ["RemulDataModule", "RemulModule", "build_criterion"]

_STAGES = 50
_TERMS = ("loss", "objective", "equivariance", "alpha", "beta")


def build_criterion(config: TrainConfig, model: nn.Module, reps: dict[str, str]) -> RemulLoss:
    """Builds the loss of a configuration.

    Args:
        config: Names the method and its weights.
        model: The model to train; GradNorm watches its ``head``.
        reps: The representation of each attribute.

    Raises:
        ValueError: If GradNorm is asked for and the model has no linear head.
    """
    weighting: Weighting
    match config.method:
        case "augmentation":
            weighting = ConstantWeighting(alpha=0.0, beta=1.0)
        case "gradnorm":
            head = getattr(model, "head", None)
            if not isinstance(head, nn.Linear):
                raise ValueError(
                    "`method` must not be 'gradnorm' for a model without a linear head, got "
                    f"{type(model).__name__}."
                )
            weighting = GradNorm(
                head, alpha=config.alpha, beta=config.beta, eta=config.eta, gamma=config.gamma
            )
        case _:
            weighting = ConstantWeighting(config.alpha, config.beta)
    group: Group = SO3(config.degrees)
    if config.rotation_pool is not None:
        group = ElementPool(group, config.rotation_pool, seed=config.seed)
    return RemulLoss(
        group,
        reps,
        weighting=weighting,
        reference=config.reference,
        num_samples=config.num_samples,
        forward=in_bfloat16 if config.precision == "bf16" else None,
    )


class RemulModule(lightning.LightningModule):
    """A model with its loss, optimiser and schedule.

    The rotations of a step depend on the seed and the step's number alone, so that a resumed run
    repeats those of an unbroken one.

    Args:
        config: The options of the run.
        model: The model to train.
        reps: The representation of each attribute.
    """

    def __init__(self, config: TrainConfig, model: nn.Module, reps: dict[str, str]) -> None:
        super().__init__()
        self.config, self.model, self.reps = config, model, reps
        self.criterion = build_criterion(config, model, reps)
        self.val_loss = MeanMetric(nan_strategy=math.inf)  # by default NaN is left out
        self.register_buffer("_sums", torch.zeros(len(_TERMS)), persistent=False)
        self.save_hyperparameters({"config": config.to_dict()})
        if config.compile:
            model.compile()
        self._captured: CapturedStep | None = None

    def forward(self, batch: Batch) -> Tensor:
        """Predicts the targets of a batch."""
        return self.model(batch)

    def on_train_start(self) -> None:
        """Prepares the recording of steps, if they are to be replayed."""
        if self.config.cuda_graphs:
            self._captured = CapturedStep(self._step_loss, self.model.parameters())

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """One step of the configured method, with the penalty of a model that has its own."""
        elements = None
        if self.config.method != "plain":
            generator = derive_generator(self.config.seed, "rotation", self.global_step)
            elements = self.criterion.draw(batch, generator)
        return (self._captured or self._step_loss)(batch, elements)

    def optimizer_zero_grad(self, *args: Any) -> None:
        """Leaves the gradients of a captured step, which has set them already."""
        if self._captured is None:
            super().optimizer_zero_grad(*args)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Differentiates the loss, unless a captured step has done it."""
        if self._captured is None:
            super().backward(loss, *args, **kwargs)

    def _step_loss(self, batch: Batch, elements: GroupElement | None) -> Tensor:
        loss = self._method_loss(batch, elements)
        penalty = getattr(self.model, "regularisation", None)
        return loss if penalty is None else loss + penalty()

    def _method_loss(self, batch: Batch, elements: GroupElement | None) -> Tensor:
        if elements is None:
            objective = self.criterion.supervise(self.model, batch)
            self._note(objective, objective)
            return objective
        out: RemulOutput = self.criterion(self.model, batch, elements=elements)
        self._note(out.loss, out.objective, out.equivariance, out.alpha, out.beta)
        return out.loss

    def _note(self, *terms: Tensor | None) -> None:
        """Adds the terms up on the device; a log call for each in each step would cost more."""
        missing = self._sums.new_full((), torch.nan)
        rows = [missing if term is None else term.detach() for term in terms]
        self._sums += torch.stack(rows + [missing] * (len(_TERMS) - len(rows)))

    def validation_step(self, batch: Batch, _: int) -> None:
        """Adds a batch to the validation loss."""
        self.val_loss.update(self.criterion.supervise(self.model, batch), batch.num_nodes)

    def on_validation_epoch_end(self) -> None:
        """Logs the validation loss, the equivariance errors and the means of the loss terms."""
        self.log("val/loss", self.val_loss.compute())
        self.val_loss.reset()
        for name, value in zip(_TERMS, self._sums / self.config.val_every, strict=True):
            self.log(f"train/{name}", value)
        self._sums.zero_()
        if self.config.equivariance_graphs:
            loader = self.trainer.val_dataloaders
            errors = equivariance_error(
                self.model,
                loader,
                SO3(),
                reps=self.reps,
                num_samples=20,
                max_graphs=self.config.equivariance_graphs,
            )
            self.log("val/E", errors["E"])
            self.log("val/E_prime", errors["E_prime"])

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam in one kernel, with the learning rate decaying in 50 stages."""
        config = self.config
        optimizer = torch.optim.Adam(self.model.parameters(), lr=config.lr, fused=True)

        def factor(step: int) -> float:
            stage = min(_STAGES * step // config.steps, _STAGES - 1)
            return config.lr_final ** (stage / (_STAGES - 1))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class RemulDataModule(lightning.LightningDataModule):
    """Stacked loaders over a task's datasets.

    One Lightning epoch is the ``val_every`` steps between two validations, whatever the number of
    passes through the data that they take. The graphs are held on the device of the training.

    Args:
        config: The options of the run.
        data: The task's datasets.

    Raises:
        ValueError: If ``cuda_graphs`` is asked for without a GPU, or for graphs of several sizes.
    """

    def __init__(self, config: TrainConfig, data: TaskData) -> None:
        super().__init__()
        self.config = config
        self.train_graphs, self.val_graphs = StackedGraphs(data.train), StackedGraphs(data.val)
        if config.cuda_graphs and not torch.cuda.is_available():
            raise ValueError("`cuda_graphs` must be False without a CUDA device, got True.")
        if config.cuda_graphs and not self.train_graphs.equal_sizes:
            raise ValueError("`cuda_graphs` must be False for graphs of several sizes, got True.")

    def setup(self, stage: str) -> None:  # noqa: ARG002
        """Moves the graphs to the device of the training, once."""
        device = self.trainer.strategy.root_device
        self.train_graphs = self.train_graphs.to(device)
        self.val_graphs = self.val_graphs.to(device)

    def train_dataloader(self) -> StackedLoader:
        """The batches of the steps until the next validation."""
        config, trainer = self.config, self.trainer
        start = 0 if trainer is None else trainer.current_epoch * config.val_every
        return StackedLoader(
            self.train_graphs,
            config.batch_size,
            shuffle=True,
            seed=config.seed,
            start=start,
            steps=config.val_every,
        )

    def val_dataloader(self) -> StackedLoader:
        """The validation graphs in order."""
        return StackedLoader(self.val_graphs, 500)
