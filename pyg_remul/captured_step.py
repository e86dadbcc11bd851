"""Training steps that are recorded once and replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from pyg_remul.element import GroupElement

__all__ = ["CapturedStep", "CudaRecorder", "Recorder"]

StepLoss: TypeAlias = Callable[[Batch, GroupElement | None], Tensor]
"""The loss of a batch, whose elements are drawn already."""


class _Gradients(NamedTuple):
    """What a step gives: its loss, and the gradient of each parameter."""

    loss: Tensor
    gradients: list[Tensor | None]


class Recorder(Protocol):
    """Makes a function of static tensors repeatable."""

    def warm_up(self, step: Callable[[], _Gradients]) -> _Gradients:
        """Runs a function as it is, before it is recorded."""

    def record(self, step: Callable[[], _Gradients]) -> Callable[[], _Gradients]:
        """Returns what repeats the function, which itself is not run."""


class CudaRecorder:
    """Records `CUDA graphs <https://pytorch.org/docs/stable/notes/cuda.html#cuda-graphs>`_.

    A graph launches all kernels of a function at once, with the tensors that it was recorded with,
    so that small steps no longer wait for Python. What it does must be the same every time, and it
    must not wait for the device. All graphs of a recorder share their memory.

    Raises:
        RuntimeError: If there is no CUDA device.
    """

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError("CudaRecorder needs a CUDA device, and there is none.")
        self._pool: Any = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()

    def warm_up(self, step: Callable[[], _Gradients]) -> _Gradients:
        """Runs the function beside the current stream, as the recording will."""
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = step()
        current.wait_stream(self._stream)
        return result

    def record(self, step: Callable[[], _Gradients]) -> Callable[[], _Gradients]:
        """Records the kernels that the function launches."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = step()

        def replay() -> _Gradients:
            graph.replay()
            return result

        return replay


class CapturedStep:
    """Forward and backward pass of a step, recorded and replayed on static copies of the batch.

    The first steps for a number of graphs run as they are, and warm up what a recording must find
    ready; the next one is recorded. All of them are steps of the training, equal to steps without a
    recording. What the loss changes beside the gradients, such as the weights of GradNorm and sums
    for a log, has to be tensors that are written in place. Random elements are drawn outside and
    copied like the batch; neither the optimiser nor clipping takes part.

    Args:
        loss: The loss of a batch.
        parameters: What to differentiate it by.
        recorder: How steps are recorded, :class:`CudaRecorder` by default.
        warm_up: Steps before the recording, for every number of graphs.

    Example:
        >>> step = CapturedStep(loss, model.parameters())  # doctest: +SKIP
        >>> step(batch, element), optimizer.step()  # doctest: +SKIP
    """

    def __init__(
        self,
        loss: StepLoss,
        parameters: Iterable[nn.Parameter],
        *,
        recorder: Recorder | None = None,
        warm_up: int = 3,
    ) -> None:
        self._loss, self._parameters = loss, list(parameters)
        self._recorder = CudaRecorder() if recorder is None else recorder
        self._warm_up = warm_up
        self._recordings: dict[int, _Recording] = {}

    def __call__(self, batch: Batch, element: GroupElement | None) -> Tensor:
        """Sets the gradients of the parameters to those of a batch.

        Args:
            batch: Graphs of the same sizes every time; batches may differ in their number.
            element: The elements that turn them; ``None`` for a loss without.

        Returns:
            The loss, without gradient, in a tensor that the next step may overwrite.

        Raises:
            ValueError: If a batch is not laid out as an earlier one with as many graphs.
        """
        known = self._recordings.get(batch.num_graphs)
        if known is None:
            known = self._recordings[batch.num_graphs] = _Recording(batch, element)
        known.fill(batch, element)

        def step() -> _Gradients:
            return self._differentiate(known.batch, known.element)

        if known.replay is None and known.steps < self._warm_up:
            known.steps += 1
            result = self._recorder.warm_up(step)
        else:
            known.replay = known.replay or self._recorder.record(step)
            result = known.replay()
        for parameter, gradient in zip(self._parameters, result.gradients, strict=True):
            parameter.grad = gradient
        return result.loss

    def _differentiate(self, batch: Batch, element: GroupElement | None) -> _Gradients:
        for parameter in self._parameters:
            parameter.grad = None  # else it would be added to
        loss = self._loss(batch, element)
        loss.backward()
        return _Gradients(loss.detach(), [parameter.grad for parameter in self._parameters])


class _Recording:
    """The static inputs of a step, and what repeats it."""

    def __init__(self, batch: Batch, element: GroupElement | None) -> None:
        self.batch: Batch = batch.clone()
        self.element = element
        if element is not None:
            shift = element.translation
            self.element = GroupElement(
                element.matrix.clone(), None if shift is None else shift.clone()
            )
        self.steps = 0
        self.replay: Callable[[], _Gradients] | None = None

    def fill(self, batch: Batch, element: GroupElement | None) -> None:
        """Copies other graphs of the same layout."""
        static, given = _contents(self.batch, self.element), _contents(batch, element)
        for name in static | given:
            if _kind(static.get(name)) != _kind(given.get(name)):
                _refuse(f"another '{name}'", batch)
        if not _equal(_layout(self.batch), _layout(batch)):
            _refuse("graphs of other sizes", batch)
        for name, value in static.items():
            if isinstance(value, Tensor):
                value.copy_(given[name], non_blocking=True)


def _refuse(fault: str, batch: Batch) -> NoReturn:
    raise ValueError(
        "`cuda_graphs` must be False for batches that differ in more than the values of their "
        f"tensors, got {fault} in a batch of {batch.num_graphs} graphs."
    )


def _contents(batch: Batch, element: GroupElement | None) -> dict[Any, Any]:
    """All attributes of the graphs, by name or (type, name), and the parts of the elements."""
    contents = {
        key if store._key is None else (store._key, key): value
        for store in batch.stores
        for key, value in store.items()
    }
    if element is not None:
        contents |= {"matrix": element.matrix, "translation": element.translation}
    return contents


def _kind(value: object) -> object:
    """What must not change: all of a value, but not those of a tensor, nor names of the graphs."""
    if isinstance(value, Tensor):
        return value.shape, value.dtype
    names = isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    )
    return str if names else value


def _layout(batch: Batch) -> list[Any]:
    """Where each graph lies in the batch, as the host knows it."""
    return [getattr(batch, name, None) for name in ("_slice_dict", "_inc_dict")]


def _equal(first: Any, second: Any) -> bool:
    """Compares tensors that are nested in mappings and lists."""
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(_equal(first[k], second[k]) for k in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_equal, first, second))
    return bool(first == second)
