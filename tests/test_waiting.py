"""Training steps that never wait for the device: nothing is read from it, nor copied in step."""

from __future__ import annotations

import pytest
import torch
from helpers import REPS, NodeLinear, make_graph, make_hetero, seeded
from torch import nn
from torch_geometric.data import Batch
from waiting import META, RefuseWaiting, devices, train

from pyg_remul import E3, O3, SE3, SO2, SO3, GradNorm, RemulLoss, StackedLoader
from pyg_remul.presets import preset
from pyg_remul.stacked_graphs import StackedGraphs
from pyg_remul.training import RemulModule


def make_graphs(sizes=(2, 3)):
    """Graphs of which half of the labels count."""
    graphs = [make_graph(size, 2 * size, dtype=torch.float32) for size in sizes]
    for graph in graphs:
        graph.known = torch.arange(graph.num_nodes) % 2 == 0
    return graphs


@devices
@pytest.mark.parametrize("method", ["plain", "augmentation", "remul", "gradnorm"])
def test_step_of_every_method_waits_for_nothing(method, device):
    config = preset("nbody", "gnn", method=method, num_samples=2)
    module = RemulModule(config, NodeLinear(dtype=torch.float32), REPS)
    assert train(module, make_graphs((5, 3, 1)), device) >= 2


def evaluate(criterion, graphs, model):
    """The loss of a batch on the device without values."""
    model, criterion, stack = model.to(META), criterion.to(META), StackedGraphs(graphs).to(META)
    with RefuseWaiting():
        (batch,) = StackedLoader(stack, len(graphs))
        return criterion(model, batch, generator=seeded()).loss


@pytest.mark.parametrize("reference", ["label", "prediction", "detached"])
@pytest.mark.parametrize("passes", ["joint", "separate"])
@pytest.mark.parametrize("mask", [None, "known"], ids=["all rows", "mask"])
@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_loss_of_every_kind_waits_for_nothing(reference, passes, mask, loss):
    options = {"reference": reference, "passes": passes, "mask": mask, "objective": loss}
    criterion = RemulLoss(SO3(), REPS, penalty=loss, **options)
    assert evaluate(criterion, make_graphs(), NodeLinear(dtype=torch.float32)).is_meta


@pytest.mark.parametrize(
    "group", [SO3(10), SO3(10, euler=True), O3(), SE3(), E3(), SO2("y")], ids=str
)
def test_elements_of_every_group_are_sent_without_waiting(group):
    criterion = RemulLoss(group, REPS)
    assert evaluate(criterion, make_graphs(), NodeLinear(dtype=torch.float32)).is_meta


def test_as_many_edges_as_nodes_are_told_apart_without_waiting():
    graphs = [make_graph(size, size, dtype=torch.float32) for size in (3, 4)]
    assert evaluate(RemulLoss(SO3(), REPS), graphs, NodeLinear(dtype=torch.float32)).is_meta


@pytest.mark.parametrize("rep", ["pseudovector", "1o + 0e", "tensor"])
def test_representation_of_every_kind_is_turned_without_waiting(rep):
    graphs = make_graphs()
    for graph in graphs:
        shape = {"1o + 0e": (4,), "tensor": (3, 3)}.get(rep, (3,))
        graph.extra = torch.rand(graph.num_nodes, *shape)
    criterion = RemulLoss(O3(), {**REPS, "extra": rep})
    assert evaluate(criterion, graphs, NodeLinear(dtype=torch.float32)).is_meta


def test_graphs_of_several_types_are_joined_without_waiting():
    reps = {"pos": "point", "y": "point", "dipole": "vector"}
    graphs = [make_hetero(dtype=torch.float32) for _ in range(3)]
    for graph in graphs:
        graph["atom"].y = graph["atom"].pos
    criterion = RemulLoss(SO3(), reps, forward=lambda _, b: b["atom"].pos)
    assert evaluate(criterion, graphs, nn.Identity()).is_meta


def test_weights_by_a_last_layer_wait_for_nothing():
    model = NodeLinear(dtype=torch.float32).to(META)
    criterion = RemulLoss(SO3(), REPS, weighting=GradNorm(last_layer=model.head.weight))
    assert evaluate(criterion, make_graphs(), model).is_meta


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x.tolist(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x[x > 0],
        lambda _: torch.ones(2).to(META),
    ],
    ids=["item", "bool", "tolist", "cpu", "nonzero", "unique", "mask", "copy"],
)
def test_what_waits_is_refused(waiting):
    with RefuseWaiting(), pytest.raises((RuntimeError, NotImplementedError), match=r"meta|waits"):
        waiting(torch.empty(3, device=META))


def test_batch_on_the_cpu_is_not_watched():
    batch = Batch.from_data_list(make_graphs())
    with RefuseWaiting():
        assert RemulLoss(SO3(), REPS)(NodeLinear(dtype=torch.float32), batch).loss.item() > 0
