"""Models whose core is compiled, here by a backend that runs what was traced."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from pyg_remul import SO3, GradNorm, RemulLoss
from pyg_remul.models import GNN

REPS = {"pos": "point", "force": "vector", "vel": "vector", "edge_attr": "scalar", "y": "vector"}

CHEAP = ("FlatMLP", "GNN", "EGNN", "GraphTransformer")


@pytest.fixture
def compiled():
    """A compiled network, and one that is not."""
    plain = GNN(in_channels=4, hidden_channels=8, num_layers=1)
    model = copy.deepcopy(plain)
    model.compile(backend="eager")
    return model, plain


def test_output_is_that_of_the_model(compiled, make_graph):
    model, plain = compiled
    data = make_graph(dtype=torch.float32)
    torch.testing.assert_close(model(data), plain(data))


def test_state_does_not_know_of_it(compiled):
    model, plain = compiled
    assert list(model.state_dict()) == list(plain.state_dict())


def test_graphs_of_other_numbers_take_one_more_compilation(compiled, make_graph):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    for size in (3, 4, 5, 6, 7):
        compiled[0](make_graph(size, dtype=torch.float32))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"]
)
def test_duplicate_has_weights_of_its_own(compiled, duplicate, make_graph):
    model, data = compiled[0], make_graph(dtype=torch.float32)
    expected = model(data)
    other = duplicate(model)
    torch.nn.init.zeros_(model.embedding.weight)
    assert torch.equal(other(data), expected)


def test_gradnorm_still_sees_the_head(compiled, make_graph):
    model, plain = compiled
    graph = make_graph(dtype=torch.float32)
    graph.y = graph.force
    weights = []
    for network in (model, plain):
        weighting = GradNorm(network.head)
        criterion = RemulLoss(SO3(), REPS, weighting=weighting)
        criterion(network, graph, generator=torch.Generator().manual_seed(0))
        weights.append(weighting.weights)
    torch.testing.assert_close(*weights)
    assert weights[0].ne(1).all()
