"""Mini-batches cut from one collated batch of a whole dataset."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import count

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.data.data import BaseData

from pyg_remul.checks import check_integers
from pyg_remul.randomness import derive_generator
from pyg_remul.ranks import process_ranks
from pyg_remul.stacked_graphs import StackedGraphs

__all__ = ["StackedLoader"]


class StackedLoader:
    """A loader of real PyG batches without a Python loop over graphs.

    Its batches are a stream of steps, pass after pass through the data, and each is, before
    ``transform``, a pure function of its step and the options. One iteration takes ``steps`` of
    them, and the next one the ``steps`` that follow, with a new order if ``shuffle`` is set, also
    after one that was broken off. :meth:`state_dict` tells the step that follows the last batch,
    so that a training resumed in the middle of a pass sees what an unbroken one sees, bit for
    bit::

        while loader.step < num_steps:
            for batch in loader:
                ...

    Several processes that train one model share each step: rank :math:`r` of :math:`W` takes graphs
    :math:`[r b, (r + 1) b)` of a step's :math:`W b`, so that two ranks of batch size :math:`b` see
    together what one of :math:`2 b` sees. All of them have equally many batches, of equal sizes: as
    in PyTorch's ``DistributedSampler``, a pass that does not divide is filled up with its own
    first graphs, at most :math:`W - 1`.

    Args:
        dataset: Graphs, or graphs that are stacked already.
        batch_size: Graphs in a batch of one process; the last batch of a pass holds what is left.
        shuffle: Whether to draw a new order for each pass.
        seed: Seed of the orders.
        drop_last: Whether to leave out the last batch of a pass if it is smaller than the others.
        start: First step, counted from the first batch of the first pass.
        steps: How many batches an iteration yields; one pass by default.
        follow_batch: Attributes whose rows get a vector of graphs of their own, as in PyG's loader.
        device: Where to hold the graphs and make the batches, such as the device of the training;
            by default, where the graphs are.
        rank: The number of this process; that of ``torch.distributed`` by default.
        world_size: The number of processes; that of ``torch.distributed`` by default.
        transform: Applied to each batch, such as :class:`~pyg_remul.RandomRotation`. The dataset's
            own transform acts once, when the graphs are stacked.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range.

    Example:
        >>> from torch_geometric.data import Data
        >>> graphs = [Data(pos=torch.rand(4, 3)) for _ in range(5)]
        >>> [batch.num_graphs for batch in StackedLoader(graphs, batch_size=2)]
        [2, 2, 1]
    """

    def __init__(
        self,
        dataset: Sequence[BaseData] | StackedGraphs,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        start: int = 0,
        steps: int | None = None,
        follow_batch: Collection[str] = (),
        device: torch.device | str | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        transform: Callable[[Batch], Batch] | None = None,
    ) -> None:
        check_integers(batch_size=batch_size)
        check_integers("not negative", start=start, steps=0 if steps is None else steps)
        self.graphs = _stack(dataset, follow_batch, device)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.drop_last, self.start, self.transform = drop_last, start, transform
        self.rank, self.world_size = _ranks(rank, world_size)
        if not self.batches_per_pass:
            raise ValueError(
                f"`batch_size` must be at most {len(self.graphs) // self.world_size} with "
                f"`drop_last=True`, got {batch_size}."
            )
        self.steps = self.batches_per_pass if steps is None else steps
        self._begin = self._next = start  # of the current iteration, and of the rest of it
        self._resumed = False

    @property
    def batches_per_pass(self) -> int:
        """Batches that one pass through the data takes."""
        full, rest = divmod(len(self.graphs), self.batch_size * self.world_size)
        return full + (rest > 0 and not self.drop_last)

    @property
    def step(self) -> int:
        """The step that follows the last batch."""
        return self._next

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        first, end = self._next if self._resumed else self._begin, self._begin + self.steps
        self._resumed, self._begin = False, end  # an iteration within this one has steps of its own
        for step, batch in zip(range(first, end), self._batches(first), strict=False):
            # Before it is handed out: a state saved in the body of the loop counts this batch.
            self._next = step + 1
            yield batch if self.transform is None else self.transform(batch)

    def _batches(self, first: int) -> Iterator[Batch]:
        """The stream from a step on, without end."""
        orders: dict[int, Sequence[Tensor]] = {}
        for step in count(first):
            number, position = divmod(step, self.batches_per_pass)
            if number not in orders:
                orders = {number: self._order(number).split(self.batch_size * self.world_size)}
            yield self.graphs.select(orders[number][position].chunk(self.world_size)[self.rank])

    def _order(self, number: int) -> Tensor:
        """The graphs of one pass of all processes, filled up to a multiple of their number."""
        num = len(self.graphs)
        order = torch.arange(num)
        if self.shuffle:
            generator = derive_generator(self.seed, "order", number)
            order = torch.randperm(num, generator=generator)
        return order[torch.arange(num + -num % self.world_size) % num]

    def state_dict(self) -> dict[str, int]:
        """Tells the step that follows the last batch, and the options that the stream depends on.

        It is the same for all processes, and may be loaded by another number of them if they take
        as many graphs a step.
        """
        return {"step": self._next, **self._stream()}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Goes on from a state: the next iteration yields the rest of the one that was left.

        Args:
            state: What :meth:`state_dict` gave.

        Raises:
            ValueError: If the state is of a loader with other options or graphs.
        """
        for name, value in self._stream().items():
            if state.get(name) != value:
                raise ValueError(
                    f"`{name}` must be that of the loader, {value}, got a state with "
                    f"{state.get(name)}."
                )
        check_integers("not negative", step=state.get("step"))
        if state["step"] < self.start:
            raise ValueError(f"`step` must be at least {self.start}, got {state['step']}.")
        self._next, self._resumed = state["step"], True
        done = (self._next - self.start) // self.steps if self.steps else 0
        self._begin = self.start + done * self.steps

    def _stream(self) -> dict[str, int]:
        return {
            "num_graphs": len(self.graphs),
            "graphs_per_step": self.batch_size * self.world_size,
            "shuffle": int(self.shuffle),
            "seed": self.seed,
            "drop_last": int(self.drop_last),
        }


def _stack(
    dataset: Sequence[BaseData] | StackedGraphs,
    follow_batch: Collection[str],
    device: torch.device | str | None,
) -> StackedGraphs:
    if not isinstance(dataset, StackedGraphs):
        return StackedGraphs(dataset, follow_batch=follow_batch, device=device)
    if follow_batch:
        raise ValueError(
            "`follow_batch` must be given to StackedGraphs where these are stacked already, got "
            f"{sorted(follow_batch)}."
        )
    return dataset if device is None else dataset.to(device)


def _ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    known_size, known_rank = process_ranks()
    rank = known_rank if rank is None else rank
    world_size = known_size if world_size is None else world_size
    check_integers(world_size=world_size)
    check_integers("not negative", rank=rank)
    if rank >= world_size:
        raise ValueError(f"`rank` must be less than `world_size`, {world_size}, got {rank}.")
    return rank, world_size
