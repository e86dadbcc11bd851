"""The REMUL loss over PyG batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.data.data import BaseData

from pyg_remul.action import GraphAction, Reps
from pyg_remul.checks import check_choice, check_integers
from pyg_remul.criteria import Choice, Criteria, Target, label_of, target_weights
from pyg_remul.element import GroupElement
from pyg_remul.joining import concatenate
from pyg_remul.prediction import Forward, Model, call_model, check_shape, named_predictions
from pyg_remul.ranks import process_ranks
from pyg_remul.rows import Key, as_batch
from pyg_remul.sampling import Group, check_group
from pyg_remul.weighting import ConstantWeighting, Weighting

__all__ = ["RemulLoss", "RemulOutput"]

Reference: TypeAlias = Literal["label", "prediction", "detached"]
Passes: TypeAlias = Literal["joint", "separate"]


@dataclass(frozen=True)
class RemulOutput:
    """What a step of :class:`RemulLoss` gives.

    Attributes:
        loss: The total loss to differentiate, 0-dimensional.
        objective: The objective, 0-dimensional; ``None`` where its pass was skipped.
        equivariance: The equivariance loss, 0-dimensional.
        alpha: The weight of the objective in this step, without gradient.
        beta: The weight of the equivariance loss in this step, without gradient.
        prediction: The model's prediction for the plain graphs, a tensor or a mapping as the model
            returns it; ``None`` where their pass was skipped.
    """

    loss: Tensor
    objective: Tensor | None
    equivariance: Tensor
    alpha: Tensor
    beta: Tensor
    prediction: Tensor | dict[Key, Tensor] | None


class RemulLoss(nn.Module):
    r"""Relaxed equivariance as a multitask loss (`REMUL <https://arxiv.org/abs/2410.17878>`_).

    .. math::
        L = \alpha \, L(f(x), y) + \beta \, \ell\bigl(f(\phi(g) x), \rho(g) y\bigr),
        \qquad g \sim G

    (Eq. 6 to 8), with a fresh element :math:`g` for every graph at every step. Both terms are means
    over the rows and columns of the batch. The plain and the turned graphs go through the model as
    one batch.

    Note:
        In one batch, dropout draws differently for the two halves, and batch statistics mix them;
        ``passes="separate"`` evaluates the halves one after the other. With several processes, an
        explicit ``generator`` that all of them seed alike gives each its part of one global draw,
        so that two processes with :math:`b` graphs each step as one with :math:`2b`; without one,
        each process must seed torch differently.

    Args:
        group: Where the elements come from.
        reps: The representation of each geometric attribute and of every target; see
            :class:`~pyg_remul.RandomRotation`.
        target: The attribute to predict; several by a sequence of names, or by a mapping of names
            to weights such as ``{"energy": 1.0, "force": 100.0}``. For several, the model returns a
            mapping of names to tensors.
        weighting: How the two terms are weighted, ``ConstantWeighting(1, 1)`` by default.
        objective: The loss :math:`L`: ``"mse"``, ``"l1"``, ``"huber"``, a function of prediction
            and target, of one shape, that returns a mean, or a mapping of target names to these.
        penalty: The loss :math:`\ell`, likewise; the mean squared error whatever ``objective`` is.
        reference: What the prediction for turned graphs is compared with: the turned ``"label"``
            :math:`\rho(g) y` of the paper; the turned ``"prediction"`` :math:`\rho(g) f(x)`, of
            which an equivariant model has no difference and which, with ``alpha=0``, needs no
            labels; or the same ``"detached"`` from the gradient. A constant 0 has none either, so
            that unlabelled graphs train well beside labelled ones only.
        num_samples: Turned copies of each graph in a step, :math:`K \ge 1`.
        mask: A boolean attribute, one entry for each row of the target, that selects the rows that
            count, so that labels of others may be NaN; or a mapping of target names to these.
        passes: ``"joint"`` or ``"separate"``; see the note.
        forward: Adapter ``(model, batch) -> prediction`` for models that do not take a batch.

    Raises:
        ValueError: If an option is not one of these or a target is not declared.

    Example:
        >>> from torch_geometric.data import Data
        >>> from pyg_remul import SO3
        >>> graph = Data(pos=torch.rand(4, 3), y=torch.rand(4, 3))
        >>> batch = Batch.from_data_list([graph, graph])
        >>> criterion = RemulLoss(SO3(), reps={"pos": "point", "y": "point"}, target="y")
        >>> out = criterion(lambda batch: 2 * batch.pos, batch)  # equivariant, hence no difference
        >>> torch.allclose(out.objective, out.equivariance)
        True
    """

    def __init__(
        self,
        group: Group,
        reps: Reps,
        target: Target = "y",
        *,
        weighting: Weighting | None = None,
        objective: Choice = "mse",
        penalty: Choice = "mse",
        reference: Reference = "label",
        num_samples: int = 1,
        mask: str | Mapping[Any, str] | None = None,
        passes: Passes = "joint",
        forward: Forward | None = None,
    ) -> None:
        super().__init__()
        check_choice("reference", reference, get_args(Reference))
        check_choice("passes", passes, get_args(Passes))
        check_group(group)
        check_integers(num_samples=num_samples)
        if not isinstance(weighting, Weighting | None):
            raise TypeError(
                f"`weighting` must be one such as ConstantWeighting(1.0, 0.5), got {weighting!r}."
            )
        self.group, self.action = group, GraphAction(reps)
        self.targets = target_weights(target)
        for name in self.targets:
            self.action[name]  # refuses an undeclared target now rather than at the first step
        self.weighting = ConstantWeighting() if weighting is None else weighting
        self.objective = Criteria("objective", objective, self.targets, mask)
        self.penalty = Criteria("penalty", penalty, self.targets, mask)
        self.reference, self.num_samples, self.passes = reference, num_samples, passes
        self.adapter = forward

    def forward(
        self,
        model: Model,
        batch: BaseData,
        *,
        generator: torch.Generator | None = None,
        elements: GroupElement | None = None,
    ) -> RemulOutput:
        """Evaluates the model on plain and turned graphs.

        Args:
            model: Any callable of a batch.
            batch: A batch made by PyG's collation, or a lone graph; it is not written to.
            generator: Source of the group elements, torch's global generator by default.
            elements: What :meth:`draw` gave for such a batch, instead of a draw now.

        Returns:
            The loss with its terms. Where the weight of the objective is fixed at 0, as for
            augmentation, the plain graphs are not evaluated for it and ``objective`` is ``None``;
            so is ``prediction``, unless ``reference`` needs it.

        Raises:
            ValueError: If the batch is empty, an attribute is absent or does not fit its
                representation, a prediction does not have its target's shape, or there is not an
                element for every turned copy.
        """
        batch = as_batch(batch)
        supervised = self.weighting.uses_objective or self.reference == "label"
        plain = self.weighting.uses_objective or self.reference != "label"
        drawn = self.draw(batch, generator) if elements is None else elements
        parts = self._split_elements(drawn, batch)
        optional = () if supervised else tuple(self.targets)
        masked = self.penalty.masks  # labels that do not count may be missing
        turned = [
            self.action(batch, element, optional=optional, unchecked=masked) for element in parts
        ]
        with self.weighting.recording():
            outputs = self._evaluate(model, [batch, *turned] if plain else turned)
        predictions = self._split(outputs, batch, plain + len(turned))
        base, moved = (predictions[0], predictions[1:]) if plain else (None, predictions)

        objective = self._objective(base, batch) if self.weighting.uses_objective else None
        penalties = map(self._penalty, moved, parts, turned, [base] * len(moved))
        equivariance = torch.stack(list(penalties)).mean()
        alpha, beta = self.weighting.weights.clone()
        loss = self.weighting(objective, equivariance, outputs)
        prediction: Tensor | dict[Key, Tensor] | None = base
        if base is not None and not isinstance(outputs[0], Mapping):
            (prediction,) = base.values()
        return RemulOutput(loss, objective, equivariance, alpha, beta, prediction)

    def supervise(self, model: Model, batch: BaseData) -> Tensor:
        """Evaluates the objective alone, as for validation or plain training.

        Args:
            model: Any callable of a batch.
            batch: A batch made by PyG's collation, or a lone graph.

        Returns:
            The objective, 0-dimensional, with its gradient.
        """
        batch = as_batch(batch)
        (prediction,) = self._split([call_model(model, batch, self.adapter)], batch, 1)
        return self._objective(prediction, batch)

    def draw(self, batch: Batch, generator: torch.Generator | None = None) -> GroupElement:
        """Draws the elements of a step, for loops that separate it from the model's passes.

        Args:
            batch: The graphs.
            generator: As for the loss; a process takes its part of the global draw.

        Returns:
            ``num_samples`` elements for each graph, those of one graph side by side.
        """
        num = batch.num_graphs * self.num_samples
        ranks, rank = process_ranks() if generator is not None else (1, 0)
        drawn = self.action.sample(batch, self.group, num * ranks, generator)
        return drawn[rank * num : (rank + 1) * num]

    def _split_elements(self, drawn: GroupElement, batch: Batch) -> list[GroupElement]:
        """The elements of each turned copy of the batch."""
        num = batch.num_graphs * self.num_samples
        if len(drawn) != num:
            raise ValueError(
                f"`elements` must hold `num_samples` = {self.num_samples} for each of "
                f"{batch.num_graphs} graphs, got {len(drawn)}."
            )
        return [drawn[sample :: self.num_samples] for sample in range(self.num_samples)]

    def _evaluate(self, model: Model, parts: list[Batch]) -> list[Any]:
        if self.passes == "joint" and len(parts) > 1:
            parts = [concatenate(parts)]
        return [call_model(model, part, self.adapter) for part in parts]

    def _split(self, outputs: list[Any], batch: Batch, num: int) -> list[dict[Key, Tensor]]:
        """The predictions of each part, checked against the targets' shapes."""
        named = [named_predictions(output, self.targets) for output in outputs]
        if len(named) < num:
            chunks = {key: self._chunk(key, value, num) for key, value in named[0].items()}
            named = [{key: chunks[key][part] for key in chunks} for part in range(num)]
        for name, prediction in named[0].items():
            check_shape(name, prediction, batch)
        return named

    @staticmethod
    def _chunk(name: Key, prediction: Tensor, num: int) -> tuple[Tensor, ...]:
        if prediction.dim() == 0 or prediction.size(0) % num:
            raise ValueError(
                f"`model` must predict '{name}' with one row for each node, edge or graph, got "
                f"shape {list(prediction.shape)} for {num} copies of the batch."
            )
        return prediction.tensor_split(num)

    def _objective(self, prediction: dict[Key, Tensor] | None, batch: Batch) -> Tensor:
        """Eq. 6, as a mean."""
        return self.objective(prediction or {}, self._labels(batch), batch)

    def _penalty(
        self,
        prediction: dict[Key, Tensor],
        element: GroupElement,
        turned: Batch,
        base: dict[Key, Tensor] | None,
    ) -> Tensor:
        """Eq. 8, as a mean."""
        if self.reference == "label" or base is None:
            return self.penalty(prediction, self._labels(turned), turned)
        if self.reference == "detached":
            base = {name: value.detach() for name, value in base.items()}
        reference = {
            name: self.action.turn_prediction(name, value, element, turned)
            for name, value in base.items()
        }
        return self.penalty(prediction, reference, turned)

    def _labels(self, batch: Batch) -> dict[Key, Tensor]:
        return {name: label_of(batch, name) for name in self.targets}

    def extra_repr(self) -> str:
        """The options, for ``repr``."""
        return (
            f"group={self.group}, reps={self.action.reps}, target={self.targets}, "
            f"reference={self.reference!r}, num_samples={self.num_samples}, passes={self.passes!r}"
        )
