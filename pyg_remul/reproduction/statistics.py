"""Paired comparisons over test graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_remul.checks import check_integers
from pyg_remul.reproduction.outcomes import Outcome

__all__ = ["Comparison", "Interval", "clusters_of", "compare", "compare_outcomes"]

NUM_STRETCHES = 20
"""Parts of a trajectory that count as independent."""
_ENDS = (0.025, 0.975)
_CHUNK = 2**22


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    """The estimate."""
    low: float
    """The 2.5th percentile."""
    high: float
    """The 97.5th percentile."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The errors of one model beside those of another, on the same test graphs."""

    difference: Interval
    """The first mean error less the second."""
    ratio: Interval
    """The first mean error over the second: below 1, the first model is better."""
    num_clusters: int
    """How many groups of graphs were resampled."""


def compare(
    first: Tensor,
    second: Tensor,
    clusters: Tensor | None = None,
    *,
    generator: torch.Generator,
    num_resamples: int = 10_000,
) -> Comparison:
    r"""Compares the mean errors of two models by a paired bootstrap over clusters of graphs.

    Each resample draws as many clusters as there are, with replacement, and takes from both models
    the errors of the same graphs. Intervals run from the 2.5th to the 97.5th percentile (`Efron and
    Tibshirani, 1993 <https://doi.org/10.1201/9780429246593>`_, chapter 13). Of errors of several
    seeds, the mean is taken graph by graph: the interval tells what other test graphs would
    change, not what other seeds would.

    Note:
        With few clusters the bootstrap is coarse: three trials have ten distinct resamples, and its
        interval is then little more than the range of the trials, and rather too narrow.

    Args:
        first: Errors of the first model, shape ``[B]``, or ``[seeds, B]``.
        second: Errors of the second, on the same graphs.
        clusters: Which cluster each graph belongs to, integers of shape ``[B]``; graphs of a
            cluster may depend on each other. Every graph is a cluster by default.
        generator: Draws the resamples.
        num_resamples: How many.

    Raises:
        ValueError: If the errors are not those of equally many graphs, or there are no graphs.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> second = torch.rand(100, generator=generator)
        >>> compare(0.5 * second, second, generator=generator).ratio
        Interval(value=0.5, low=0.5, high=0.5)
    """
    check_integers(num_resamples=num_resamples)
    errors = [torch.atleast_2d(x.double()).mean(dim=0) for x in (first, second)]
    if errors[0].shape != errors[1].shape or len(errors[0]) == 0:
        raise ValueError(
            f"`second` must have the errors of the {len(errors[0])} graphs of `first`, at least "
            f"one, got {len(errors[1])}."
        )
    clusters = torch.arange(len(errors[0])) if clusters is None else clusters
    if clusters.shape != errors[0].shape:
        raise ValueError(
            f"`clusters` must have shape {tuple(errors[0].shape)}, got {tuple(clusters.shape)}."
        )
    _, index = clusters.unique(return_inverse=True)
    columns = torch.stack([*errors, torch.ones_like(errors[0])], dim=1)
    sums = columns.new_zeros(int(index.max()) + 1, 3).index_add_(0, index, columns)
    # the estimate from all clusters comes first
    totals = torch.cat([sums.sum(dim=0, keepdim=True), _resample(sums, num_resamples, generator)])
    means, others = (totals[:, model] / totals[:, 2] for model in (0, 1))
    return Comparison(
        difference=_interval(means - others),
        ratio=_interval(means / others),
        num_clusters=len(sums),
    )


def compare_outcomes(
    outcome: Outcome,
    other: Outcome,
    *,
    split: str = "test",
    clustered: bool = True,
    generator: torch.Generator,
) -> Comparison:
    """Compares two outcomes on the same case; see :func:`compare`.

    Args:
        outcome: The first, with finished runs.
        other: The second, with finished runs.
        split: Of which test graphs.
        clustered: Resample the groups of :func:`clusters_of`, not single graphs.
        generator: Draws the resamples.
    """
    clusters = clusters_of(outcome.graph_origins(split))[0] if clustered else None
    first, second = outcome.graph_errors(split), other.graph_errors(split)
    return compare(first, second, clusters, generator=generator)


def clusters_of(origins: Mapping[str, Tensor]) -> tuple[Tensor | None, str]:
    """Groups test graphs such that those of different groups are as good as independent.

    Frames of one recording are not independent, so its trials are the groups. Nor are frames
    of one trajectory, whose errors change over thousands of frames only; so it is cut into 20
    stretches of equal length in time.

    Args:
        origins: ``trial`` and ``frame`` of each graph, as far as they are known, shape ``[B]``.

    Returns:
        The group of each graph, shape ``[B]``, and what the groups are. ``None`` if every graph is
        a group.

    Example:
        >>> clusters_of({"frame": torch.tensor([0, 999, 49, 50])})
        (tensor([ 0, 19,  0,  1]), 'stretches of the trajectory')
    """
    if "trial" in origins:
        return origins["trial"], "trials"
    if "frame" in origins:
        frames = origins["frame"] - origins["frame"].min()
        return frames * NUM_STRETCHES // (frames.max() + 1), "stretches of the trajectory"
    return None, "graphs"


def _resample(sums: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """Sums over drawn clusters, shape ``[num, 3]``, in chunks that bound the memory."""
    size = max(1, _CHUNK // len(sums))
    parts = []
    for start in range(0, num, size):
        shape = (min(size, num - start), len(sums))
        parts.append(sums[torch.randint(len(sums), shape, generator=generator)].sum(dim=1))
    return torch.cat(parts)


def _interval(values: Tensor) -> Interval:
    """The first of the values with the percentiles of the others."""
    ends = torch.quantile(values[1:], values.new_tensor(_ENDS))
    return Interval(float(values[0]), *ends.tolist())
