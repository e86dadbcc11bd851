"""Replayed steps against steps as they are, with a recorder that runs them."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers import REPS, NodeLinear, make_batch, make_graph, seeded
from recorders import EagerRecorder
from torch_geometric.data import Batch
from waiting import META, RefuseHost, RefuseWaiting

from pyg_remul import SE3, SO3, GradNorm, GroupElement, RemulLoss, StackedLoader
from pyg_remul.captured_step import CapturedStep, CudaRecorder
from pyg_remul.models import GNN, GraphTransformer
from pyg_remul.stacked_graphs import StackedGraphs

COLUMNS = {"in_channels": 6, "hidden_channels": 8, "num_layers": 2, "inputs": ("pos", "vel")}
MODELS = {
    "linear": lambda: NodeLinear(dtype=torch.float32),
    "GNN": lambda: GNN(edge_dim=0, **COLUMNS),
    "GraphTransformer": lambda: GraphTransformer(heads=2, **COLUMNS),
}


class MetaRecorder(EagerRecorder):
    """Refuses in a recording what a CUDA graph could not repeat."""

    def record(self, step):
        with RefuseWaiting(), RefuseHost():
            step()
        return super().record(step)


def make_graphs(num=5):
    return [make_graph(4, 6, dtype=torch.float32) for _ in range(num)]


def make_loss(model, weighting=None, group=None, **options):
    """The loss of a step, and the criterion that it comes from."""
    criterion = RemulLoss(group or SO3(), REPS, weighting=weighting, **options)
    return (lambda batch, element: criterion(model, batch, elements=element).loss), criterion


def train(model, captured, num_steps=12, *, gradnorm=False, graphs=None):
    """Losses, weights and GradNorm's state after steps on batches of two graphs and one."""
    weighting = GradNorm(model.head) if gradnorm else None
    loss, criterion = make_loss(model, weighting, num_samples=2)
    step = CapturedStep(loss, model.parameters(), recorder=EagerRecorder(*model.parameters()))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    batches = StackedLoader(graphs or make_graphs(), 2, shuffle=True, steps=num_steps)
    for number, batch in enumerate(batches):
        element = criterion.draw(batch, seeded(number))
        if captured:
            losses.append(step(batch, element).clone())
        else:
            optimizer.zero_grad()
            value = loss(batch, element)
            value.backward()
            losses.append(value.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return losses, [p.detach() for p in model.parameters()], criterion.state_dict()


@pytest.mark.parametrize("gradnorm", [False, True], ids=["constant weights", "GradNorm"])
@pytest.mark.parametrize("name", MODELS)
def test_captured_steps_equal_steps_as_they_are(name, gradnorm):
    model, graphs = MODELS[name](), make_graphs()
    results = [
        train(copy.deepcopy(model), captured, gradnorm=gradnorm, graphs=graphs)
        for captured in (True, False)
    ]
    torch.testing.assert_close(*results, rtol=0, atol=0)


@pytest.fixture
def model():
    return NodeLinear(dtype=torch.float32)


@pytest.fixture
def recorder(model):
    return EagerRecorder(*model.parameters())


@pytest.fixture
def step(model, recorder):
    loss, _ = make_loss(model)
    return CapturedStep(loss, model.parameters(), recorder=recorder, warm_up=2)


def element_for(batch, seed=1):
    return SO3().sample(batch.num_graphs, generator=seeded(seed), dtype=torch.float32)


def run(step, batch):
    return step(batch, element_for(batch))


def test_step_is_recorded_once_it_is_warm(step, recorder):
    batch = Batch.from_data_list(make_graphs(2))
    for _ in range(4):
        run(step, batch)
    assert recorder.calls == ["warm up", "warm up", "record", "replay", "replay"]


def test_each_number_of_graphs_is_recorded_on_its_own(step, recorder):
    for num in (2, 1) * 3:
        run(step, Batch.from_data_list(make_graphs(num)))
    assert recorder.calls.count("record") == 2


def test_recording_holds_on_to_no_batch(step, model):
    batches = [Batch.from_data_list(make_graphs(2)) for _ in range(4)]
    kept = [batch.clone() for batch in batches]
    for batch in batches:
        run(step, batch)
    expected = RemulLoss(SO3(), REPS)(model, kept[-1], elements=element_for(kept[-1])).loss
    assert torch.equal(run(step, batches[-1]), expected.detach())
    assert all(
        torch.equal(batch.pos, other.pos) for batch, other in zip(batches, kept, strict=True)
    )


def test_gradients_do_not_add_up(step, model):
    batch = Batch.from_data_list(make_graphs(2))
    found = []
    for _ in range(4):
        run(step, batch)
        found.append(model.head.weight.grad.clone())
    assert all(torch.equal(found[0], other) for other in found)


def test_gradients_that_were_dropped_come_back(step, model):
    batch = Batch.from_data_list(make_graphs(2))
    for _ in range(4):
        run(step, batch)
        model.zero_grad(set_to_none=True)
    run(step, batch)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_translations_are_copied_too(model, recorder):
    loss, criterion = make_loss(model, group=SE3())
    step = CapturedStep(loss, model.parameters(), recorder=recorder, warm_up=0)
    batch = Batch.from_data_list(make_graphs(2))
    for seed in (1, 2):
        element = criterion.draw(batch, seeded(seed))
        assert torch.equal(step(batch, element), loss(batch, element).detach())


def test_loss_may_take_no_elements(model, recorder):
    criterion = RemulLoss(SO3(), REPS)
    step = CapturedStep(
        lambda batch, _: criterion.supervise(model, batch), model.parameters(), recorder=recorder
    )
    batch = Batch.from_data_list(make_graphs(2))
    assert torch.equal(step(batch, None), criterion.supervise(model, batch).detach())


@pytest.mark.parametrize(
    ("sizes", "options", "fault"),
    [
        ((3, 4), {}, "another '"),
        ((5, 3), {}, "graphs of other sizes"),
        ((4, 4), {"extra": torch.ones(1)}, "another 'extra'"),
    ],
    ids=["fewer nodes", "other sizes", "another attribute"],
)
def test_batch_of_another_layout_is_refused(step, sizes, options, fault):
    run(step, make_batch((4, 4), dtype=torch.float32))
    with pytest.raises(ValueError, match=f"`cuda_graphs` must be False .* got {fault}"):
        run(step, make_batch(sizes, dtype=torch.float32, **options))


def test_names_of_graphs_may_differ(step):
    for name in ("a", "b"):
        assert run(step, make_batch((4, 4), dtype=torch.float32, name=name)).isfinite()


@pytest.mark.parametrize("gradnorm", [False, True], ids=["constant weights", "GradNorm"])
@pytest.mark.parametrize("name", MODELS)
def test_recording_reads_nothing_and_takes_nothing_from_the_host(name, gradnorm):
    model, graphs = MODELS[name](), make_graphs()
    weighting = GradNorm(model.head) if gradnorm else None
    loss, criterion = make_loss(model, weighting)
    batch = Batch.from_data_list(graphs)
    loss(batch, element_for(batch))  # GradNorm looks at its head once
    model.to(META), criterion.to(META)
    step = CapturedStep(loss, model.parameters(), recorder=MetaRecorder(), warm_up=1)
    stack = StackedGraphs(graphs).to(META)
    for batch in StackedLoader(stack, 2, steps=6):
        assert step(batch, criterion.draw(batch, seeded())).is_meta


def test_graphs_of_several_sizes_would_need_the_host():
    model = NodeLinear(dtype=torch.float32).to(META)
    loss, criterion = make_loss(model)
    criterion.to(META)
    step = CapturedStep(loss, model.parameters(), recorder=MetaRecorder(), warm_up=0)
    graphs = [make_graph(size, dtype=torch.float32) for size in (2, 3)]
    (batch,) = StackedLoader(StackedGraphs(graphs).to(META), 2)
    with pytest.raises(RuntimeError, match="copies from the host"):
        step(batch, criterion.draw(batch, seeded()))


def test_elements_of_another_number_are_refused(model):
    batch = Batch.from_data_list(make_graphs(2))
    with pytest.raises(ValueError, match="`elements` must hold `num_samples` = 1 for each of 2"):
        RemulLoss(SO3(), REPS)(model, batch, elements=GroupElement.identity(3, 3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("gradnorm", [False, True], ids=["constant weights", "GradNorm"])
@pytest.mark.parametrize("name", MODELS)
def test_cuda_graph_gives_what_the_steps_give(name, gradnorm):
    original, graphs = MODELS[name](), make_graphs(6)
    results = []
    for recorder in (CudaRecorder(), EagerRecorder()):
        model = copy.deepcopy(original).cuda()
        weighting = GradNorm(model.head) if gradnorm else None
        loss, criterion = make_loss(model, weighting)
        criterion.cuda()
        step = CapturedStep(loss, model.parameters(), recorder=recorder)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        losses = []
        for batch in StackedLoader(StackedGraphs(graphs).to("cuda"), 4, steps=12):
            losses.append(step(batch, criterion.draw(batch, seeded(len(losses)))).clone())
            optimizer.step()
        results.append((losses, list(model.parameters())))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
