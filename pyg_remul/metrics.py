"""How equivariant a model is: the two errors of REMUL."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.data.data import BaseData
from torchmetrics import Metric

from pyg_remul.action import GraphAction, Reps
from pyg_remul.checks import check_integers
from pyg_remul.element import GroupElement
from pyg_remul.evaluation import cast, device_of, evaluating
from pyg_remul.joining import concatenate
from pyg_remul.ops import Segments, segment_gather, segment_mean, segment_sum
from pyg_remul.precision import tf32
from pyg_remul.prediction import Forward, Model, call_model, check_shape, named_predictions
from pyg_remul.randomness import derive_generator
from pyg_remul.ranks import process_ranks
from pyg_remul.rows import as_batch
from pyg_remul.sampling import Group, check_group

__all__ = ["EquivarianceError", "equivariance_error"]

_GRAPHS_PER_PASS = 1024


class EquivarianceError(Metric):
    r"""Accumulates the two equivariance errors of `REMUL <https://arxiv.org/abs/2410.17878>`_.

    .. math::
        E &= \frac{1}{|D|} \sum_{x \in D} \Bigl\lVert \frac1M \sum_{i=1}^M
            \bigl(\rho(g_i) f(x) - f(\phi(g_i) x)\bigr) \Bigr\rVert_2 \quad (12) \\
        E' &= \frac{1}{|D|} \sum_{x \in D} \frac1M \sum_{i=1}^M
            \bigl\lVert f(\phi(g_i) x) - \rho(g_i) f(x) \bigr\rVert_2 \quad (13)

    The norm is that of a graph's whole output, in the output's unit. The relative errors divide the
    sum of the errors by the sum of the output norms :math:`\lVert f(x) \rVert_2`, which for an
    output of kind point are taken from the mean of the graph's rows; 0 / 0 is NaN. Always
    :math:`E \le E'`, and :math:`E = 0` alone does not make a model equivariant.

    Note:
        All graphs share the :math:`M` elements, drawn from the metric's own seed, so that the split
        into batches changes nothing; ``fresh=True`` draws :math:`M` for every graph. The model is
        evaluated without gradients, autocast and TF32, and if it is an ``nn.Module`` in its eval
        mode, which is restored; pass a module with its adapter, not a function around it.

    Args:
        group: Where the elements come from; Haar-distributed rotations are ``SO3()``.
        reps: The representation of each geometric attribute and of the target.
        target: The attribute that the model predicts; only its name and representation are needed.
        num_samples: The number :math:`M` of elements, 100 in the paper.
        seed: Seed of the elements.
        chunk_size: How many turned copies of a batch go through the model at once; by default as
            many as make about 1,000 graphs.
        fresh: Whether every graph gets elements of its own; a reset does not repeat them.
        dtype: Precision of the evaluation, by a copy of the model, such as ``torch.float64``; the
            model's and data's own by default.
        enable_grad: Leaves gradients on inside the model, for those whose output is a gradient.
        forward: Adapter ``(model, batch) -> prediction`` for models that do not take a batch.
        **kwargs: Options of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``num_samples`` or ``chunk_size`` is not positive, or a target is undeclared.

    Example:
        >>> from torch_geometric.data import Data
        >>> from pyg_remul import SO3
        >>> metric = EquivarianceError(SO3(), reps={"pos": "point", "y": "vector"})
        >>> metric.update(lambda batch: 2 * batch.pos, Data(pos=torch.rand(4, 3).double()))
        >>> float(metric.compute()["E_prime_relative"]) < 1e-12
        True
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    count: Tensor
    sums: Tensor
    squares: Tensor
    norms: Tensor

    def __init__(
        self,
        group: Group,
        reps: Reps,
        target: str = "y",
        *,
        num_samples: int = 100,
        seed: int = 0,
        chunk_size: int | None = None,
        fresh: bool = False,
        dtype: torch.dtype | None = None,
        enable_grad: bool = False,
        forward: Forward | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_group(group)
        if not isinstance(target, (str, tuple)):
            raise TypeError(f"`target` must name one attribute, got {target!r}.")
        check_integers(num_samples=num_samples)
        if chunk_size is not None:
            check_integers(chunk_size=chunk_size)
        self.group, self.action, self.target = group, GraphAction(reps), target
        self.representation = self.action[target]
        self.num_samples, self.seed, self.chunk_size = num_samples, seed, chunk_size
        self.fresh, self.precision, self.enable_grad = fresh, dtype, enable_grad
        self.adapter = forward
        self._drawn = 0  # no state: a batch's own value, which resets those, must not repeat draws
        for name, size in (("count", ()), ("sums", (2,)), ("squares", (2,)), ("norms", ())):
            zeros = torch.zeros(size, dtype=torch.float64)
            self.add_state(name, default=zeros, dist_reduce_fx="sum")

    def update(self, model: Model, batch: BaseData) -> None:
        """Adds the graphs of a batch.

        Args:
            model: Any callable of a batch.
            batch: A batch made by PyG's collation, or a lone graph.

        Raises:
            ValueError: If the prediction does not fit the target's shape or representation.
        """
        batch = cast(as_batch(batch), self.precision)
        grad = torch.enable_grad() if self.enable_grad else torch.no_grad()
        exact = torch.autocast(self.device.type, enabled=False)
        with grad, exact, evaluating(model, self.precision) as frozen, tf32(allowed=False):
            output, graphs = self._base(frozen, batch)
            errors = self._errors(frozen, batch, output, graphs).double()
        norms = _graph_norms(self._centred(output, graphs), graphs)
        self.count += batch.num_graphs
        self.sums += errors.sum(dim=1).to(self.sums)
        self.squares += errors.square().sum(dim=1).to(self.squares)
        self.norms += norms.double().sum().to(self.norms)

    def compute(self) -> dict[str, Tensor]:
        """Returns the errors of all graphs so far.

        Returns:
            0-dimensional float64 tensors ``E`` and ``E_prime``, ``E_relative`` and
            ``E_prime_relative``, and ``E_se`` and ``E_prime_se``, the standard errors of the means
            over graphs.
        """
        mean = self.sums / self.count
        variance = (self.squares - self.count * mean.square()).clamp(min=0) / (self.count - 1)
        relative, deviation = self.sums / self.norms, (variance / self.count).sqrt()
        columns = {"": mean, "_relative": relative, "_se": deviation}
        return {
            f"{name}{suffix}": values[row]
            for suffix, values in columns.items()
            for row, name in enumerate(("E", "E_prime"))
        }

    def _base(self, model: Model, batch: Batch) -> tuple[Tensor, Segments]:
        """The output for the plain graphs, and its rows by graph."""
        output = self._predict(model, batch)
        check_shape(self.target, output, batch)
        self.representation.check(output, self.group.dim, self.target)
        graphs = self.action.prediction_graphs(batch, self.target, output)
        return output, Segments(graphs, batch.num_graphs)

    def _predict(self, model: Model, batch: Batch) -> Tensor:
        output = call_model(model, batch, self.adapter)
        prediction = named_predictions(output, [self.target])[self.target].detach()
        return prediction.double()  # sums over many elements outgrow a half precision

    def _errors(self, model: Model, batch: Batch, output: Tensor, graphs: Segments) -> Tensor:
        """Both errors of each graph, shape ``[2, B]``."""
        num = batch.num_graphs
        size = self.chunk_size or max(1, _GRAPHS_PER_PASS // num)
        elements = self._elements(batch)
        total, norms = torch.zeros_like(output), output.new_zeros(num)
        for start in range(0, self.num_samples, size):
            chunk = elements[start : start + size]
            labels = [self.target]  # which no error depends on
            turned = [self.action(batch, g, optional=labels, unchecked=labels) for g in chunk]
            joint = self._predict(model, concatenate(turned) if len(chunk) > 1 else turned[0])
            if joint.shape != (len(chunk) * output.size(0), *output.shape[1:]):
                raise ValueError(
                    f"`model` must predict {list(output.shape)} for each copy of a batch, got "
                    f"{list(joint.shape)} for {len(chunk)} copies."
                )
            for prediction, element in zip(joint.tensor_split(len(chunk)), chunk, strict=True):
                difference = prediction - self.representation.transform(
                    output, element, None if len(element) == 1 else graphs.index
                )
                total += difference
                norms += _graph_norms(difference, graphs)
        return torch.stack([_graph_norms(total, graphs), norms]) / self.num_samples

    def _elements(self, batch: Batch) -> list[GroupElement]:
        """The :math:`M` elements, each one for the batch or, if fresh, one for each graph."""
        if not self.fresh:
            shared = self._draw(batch, derive_generator(self.seed, "equivariance"))
            return [shared[i : i + 1] for i in range(self.num_samples)]
        first, rank = self._drawn, process_ranks()[1]
        self._drawn += batch.num_graphs
        own = [
            self._draw(batch, derive_generator(self.seed, "equivariance", rank, first + graph))
            for graph in range(batch.num_graphs)
        ]
        matrices = torch.stack([element.matrix for element in own], dim=1)
        shifts = [element.translation for element in own if element.translation is not None]
        translations = torch.stack(shifts, dim=1) if shifts else [None] * self.num_samples
        return [GroupElement(*pair) for pair in zip(matrices, translations, strict=True)]

    def _draw(self, batch: Batch, generator: torch.Generator) -> GroupElement:
        return self.action.sample(batch, self.group, self.num_samples, generator)

    def _centred(self, output: Tensor, graphs: Segments) -> Tensor:
        if str(self.representation) != "point":
            return output
        return output - segment_gather(segment_mean(output, graphs), graphs)


def equivariance_error(
    model: Model,
    loader: Iterable[BaseData] | BaseData,
    group: Group,
    *,
    reps: Reps,
    target: str = "y",
    num_samples: int = 100,
    max_graphs: int | None = None,
    **options: Any,
) -> dict[str, float]:
    """Measures how far a model is from equivariant, by the errors of Eq. 12 and 13 of REMUL.

    Args:
        model: Any callable of a batch. Batches are moved to the device of its parameters.
        loader: Batches, or graphs; or one of them.
        group: Where the elements come from.
        reps: The representation of each geometric attribute and of the target.
        target: The attribute that the model predicts.
        num_samples: The number of elements.
        max_graphs: Stops after so many graphs.
        **options: Further options of :class:`EquivarianceError`, such as ``dtype``, ``seed``,
            ``fresh``, ``forward``, or ``enable_grad`` for a model that differentiates inside.

    Returns:
        ``E``, ``E_prime``, ``E_relative``, ``E_prime_relative``, ``E_se`` and ``E_prime_se``; see
        :meth:`EquivarianceError.compute`.

    Raises:
        ValueError: If the loader is empty, or as :class:`EquivarianceError` does.

    Example:
        >>> from torch_geometric.data import Data
        >>> from pyg_remul import SO3
        >>> graphs = [Data(pos=torch.rand(4, 3)) for _ in range(3)]
        >>> reps = {"pos": "point", "y": "vector"}
        >>> errors = equivariance_error(lambda batch: batch.pos.abs(), graphs, SO3(), reps=reps)
        >>> errors["E"] <= errors["E_prime"]
        True
    """
    if max_graphs is not None:
        check_integers(max_graphs=max_graphs)
    metric = EquivarianceError(group, reps, target, num_samples=num_samples, **options)
    device = device_of(model)
    metric = metric.to(device) if device is not None else metric
    with evaluating(model, metric.precision) as frozen:
        for batch in _limited([loader] if isinstance(loader, BaseData) else loader, max_graphs):
            # A copy, for PyG moves a batch in place.
            metric.update(frozen, batch if device is None else copy.copy(batch).to(device))
    if not int(metric.count):
        raise ValueError("`loader` must yield at least one graph, got none.")
    return {name: float(value) for name, value in metric.compute().items()}


def _limited(loader: Iterable[BaseData], limit: int | None) -> Iterator[Batch]:
    """Yields batches until ``limit`` graphs are reached, the last one cut to fit."""
    seen = 0
    for data in loader:
        batch = as_batch(data)
        if limit is not None and seen + batch.num_graphs > limit:
            batch = Batch.from_data_list(batch.index_select(range(limit - seen)))
        yield batch
        seen += batch.num_graphs
        if seen == limit:
            return


def _graph_norms(rows: Tensor, graphs: Segments) -> Tensor:
    """The Euclidean norm of each graph's rows, shape ``[B]``."""
    squares = rows.flatten(1).square().sum(dim=1) if rows.dim() > 1 else rows.square()
    return segment_sum(squares, graphs).sqrt()
