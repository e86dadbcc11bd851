"""Paired comparisons."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from synthetic import ETHANOL, make_outcome

from pyg_remul.reproduction.statistics import clusters_of, compare, compare_outcomes


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def draw_errors(generator, num_clusters=40, size=1, shared=0.0):
    """Errors of two models on graphs that are hard or easy for both; true means 1.1 and 1."""
    hardness = torch.randn(num_clusters, size, generator=generator)
    advantage = torch.randn(num_clusters, 1, generator=generator).expand(-1, size)
    own = torch.randn(num_clusters, size, generator=generator)
    difference = 0.1 + shared * advantage + 0.1 * own
    second = 1 + 0.3 * hardness
    return (second + difference).flatten(), second.flatten()


def coverage(size, shared, *, clustered, trials=150):
    """How often the interval holds the true difference, 0.1."""
    generator = seeded()
    hits = 0
    for _ in range(trials):
        first, second = draw_errors(generator, size=size, shared=shared)
        clusters = torch.arange(len(first)) // size if clustered else None
        found = compare(first, second, clusters, generator=generator, num_resamples=400)
        hits += found.difference.low <= 0.1 <= found.difference.high
    return hits / trials


def width(interval):
    return interval.high - interval.low


def test_estimates_are_those_of_the_means():
    first, second = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([2.0, 2.0, 2.0])
    found = compare(first, second, generator=seeded())
    assert (found.difference.value, found.ratio.value) == (1.0, 1.5)


def test_seeds_are_averaged_graph_by_graph():
    first, second = torch.rand(3, 20), torch.rand(2, 20)
    expected = compare(first.double().mean(0), second.double().mean(0), generator=seeded())
    assert compare(first, second, generator=seeded()) == expected


@given(st.floats(0.1, 10.0))
def test_ratio_of_proportional_errors_is_certain(factor):
    second = torch.rand(30, generator=seeded(), dtype=torch.float64)
    ratio = compare(factor * second, second, generator=seeded(), num_resamples=50).ratio
    assert [ratio.value, ratio.low, ratio.high] == pytest.approx([factor] * 3, rel=1e-12)


def test_interval_covers_the_truth_in_most_samples():
    assert 0.89 <= coverage(1, 0.0, clustered=True) <= 0.99


def test_interval_over_clusters_covers_the_truth_where_their_graphs_depend_on_each_other():
    assert 0.88 <= coverage(10, 0.2, clustered=True) <= 0.99


def test_interval_over_graphs_does_not():
    assert coverage(10, 0.2, clustered=False) < 0.75


def test_pairing_narrows_the_interval():
    first, second = draw_errors(seeded(), num_clusters=200)
    paired = compare(first, second, generator=seeded())
    shuffled = second[torch.randperm(200, generator=seeded())]
    unpaired = compare(first, shuffled, generator=seeded())
    assert paired.difference.value == pytest.approx(unpaired.difference.value, rel=1e-9)
    assert width(paired.difference) < 0.5 * width(unpaired.difference)
    assert paired.difference.low > 0
    assert unpaired.difference.low < 0.06


def test_clusters_of_different_sizes_weigh_by_their_graphs():
    clusters = torch.tensor([7, 7, 7, 2])
    first, second = torch.tensor([1.0, 1.0, 1.0, 5.0]), torch.ones(4)
    found = compare(first, second, clusters, generator=seeded())
    assert found.difference.value == 1.0
    assert (found.difference.low, found.difference.high) == (0.0, 4.0)
    assert found.num_clusters == 2


def test_one_cluster_says_nothing_of_others():
    found = compare(torch.rand(5), torch.rand(5), torch.zeros(5), generator=seeded())
    assert width(found.ratio) == 0.0


def test_generator_decides_on_the_draws():
    errors = torch.rand(20), torch.rand(20)
    first, second, other = (compare(*errors, generator=seeded(seed)) for seed in (0, 0, 1))
    assert first == second
    assert first.ratio != other.ratio


def test_many_graphs_are_drawn_in_chunks(monkeypatch):
    errors = torch.rand(20), torch.rand(20)
    whole = compare(*errors, generator=seeded(), num_resamples=1000)
    monkeypatch.setattr("pyg_remul.reproduction.statistics._CHUNK", 64)
    chunked = compare(*errors, generator=seeded(), num_resamples=1000)
    assert chunked.ratio.value == whole.ratio.value
    assert chunked.ratio.low == pytest.approx(whole.ratio.low, abs=0.02)


@pytest.mark.parametrize("graphs", [3, 5], ids=["fewer", "more"])
def test_other_graphs_are_refused(graphs):
    with pytest.raises(ValueError, match=rf"`second` must .* the 4 graphs .* got {graphs}\."):
        compare(torch.rand(2, 4), torch.rand(graphs), generator=seeded())


def test_no_graphs_are_refused():
    with pytest.raises(ValueError, match=r"at least one, got 0\."):
        compare(torch.rand(0), torch.rand(0), generator=seeded())


def test_clusters_of_other_graphs_are_refused():
    with pytest.raises(ValueError, match=r"`clusters` must have shape \(4,\), got \(3,\)\."):
        compare(torch.rand(4), torch.rand(4), torch.zeros(3), generator=seeded())


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match=r"`num_resamples` must be positive, got 0\."):
        compare(torch.rand(4), torch.rand(4), generator=seeded(), num_resamples=0)


def test_trials_are_clusters():
    trials = torch.tensor([3, 3, 7])
    clusters, name = clusters_of({"trial": trials, "frame": torch.arange(3)})
    assert clusters.equal(trials)
    assert name == "trials"


def test_stretches_of_a_trajectory_are_clusters_of_equal_length():
    frames = torch.randperm(40_000, generator=seeded()) + 6000
    clusters, _ = clusters_of({"frame": frames})
    assert clusters.bincount().tolist() == [2000] * 20
    assert clusters[frames.argsort()].diff().min() == 0


def test_other_graphs_are_independent():
    assert clusters_of({}) == (None, "graphs")


@pytest.mark.parametrize(("clustered", "number"), [(True, 3), (False, 24)], ids=["trials", "all"])
def test_outcomes_are_compared_over_their_clusters(tmp_path, clustered, number):
    origins = {"trial": torch.arange(24) // 8}
    first = make_outcome(tmp_path / "a", ETHANOL, level=0.9, origins=origins)
    second = make_outcome(tmp_path / "b", ETHANOL, level=1.0, origins=origins)
    found = compare_outcomes(first, second, clustered=clustered, generator=seeded())
    assert found.num_clusters == number
    assert found.ratio.value == pytest.approx(0.9, rel=1e-6)
