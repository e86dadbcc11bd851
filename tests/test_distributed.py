"""Two processes with half of the graphs each, against one process with all of them."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import pytest
import torch
from helpers import REPS, NodeLinear, Recorder, close, make_batch, seeded
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel
from torch_geometric.data import Batch

from pyg_remul import SE3, SO3, EquivarianceError, GradNorm, RemulLoss

RANKS = 2
TIMEOUT = 60.0

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="needs torch.distributed with gloo",
)


def make_share(rank, ranks):
    """A rank's part of four graphs of one size, over which means of means are means."""
    graphs = make_batch((4, 4, 4, 4)).to_data_list()
    share = len(graphs) // ranks
    return Batch.from_data_list(graphs[rank * share : (rank + 1) * share])


def measure(rank=0, ranks=1):
    """What a process finds that trains on its share for three steps."""
    torch.manual_seed(0)
    batch, model = make_share(rank, ranks), NodeLinear(hidden=5)
    network = DistributedDataParallel(model) if ranks > 1 else model
    metric = EquivarianceError(SE3(), REPS, num_samples=5)
    metric.update(model, batch)

    weighting = GradNorm(head=model.head, eta=0.3, renormalise=False)
    criterion = RemulLoss(SO3(), REPS, weighting=weighting, num_samples=2)
    optimiser, recorder = torch.optim.SGD(network.parameters(), lr=0.1), Recorder(network)
    generator, penalties, weights = seeded(), [], []
    for _ in range(3):
        optimiser.zero_grad()
        out = criterion(recorder, batch, generator=generator)
        out.loss.backward()
        optimiser.step()
        penalties.append(out.equivariance.detach())
        weights.append(weighting.weights.clone())
    return {
        "penalty": penalties[0],
        "initial": weighting.initial_losses,
        "weights": torch.stack(weights),
        "parameters": torch.cat([value.detach().flatten() for value in model.parameters()]),
        "graphs": recorder.batches[0].pos.unflatten(0, (3, -1)),
        "errors": metric.compute(),
    }


def run_rank(rank, folder):
    """The main function of a process."""
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    os.environ["GLOO_SOCKET_IFNAME"] = loopback[0]
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=(folder / "meeting").as_uri(),
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=TIMEOUT),
    )
    torch.save(measure(rank, RANKS), folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of the processes found."""
    folder = tmp_path_factory.mktemp("ranks")
    context = multiprocessing.spawn(run_rank, (folder,), nprocs=RANKS, join=False)
    try:  # each call waits for one process
        finished = any(context.join(timeout=TIMEOUT) for _ in range(RANKS))
    finally:
        for process in context.processes:
            process.kill()
    assert finished, f"the processes took more than {TIMEOUT} s"
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]


@pytest.fixture(scope="module")
def alone():
    """What one process finds."""
    return measure()


def test_ranks_turn_their_graphs_as_one_process_does(ranks, alone):
    together = torch.cat([rank["graphs"] for rank in ranks], dim=1)
    close(together, alone["graphs"], atol=1e-14)


def test_the_mean_penalty_of_the_ranks_is_that_of_one_process(ranks, alone):
    mean = torch.stack([rank["penalty"] for rank in ranks]).mean()
    close(mean, alone["penalty"], atol=1e-12)


def test_ranks_have_the_same_weights_of_the_terms(ranks):
    first, second = (rank["weights"] for rank in ranks)
    assert torch.equal(first, second)


def test_the_weights_of_the_terms_are_those_of_one_process(ranks, alone):
    close(ranks[0]["weights"], alone["weights"], atol=1e-6)


def test_the_initial_losses_are_those_of_one_process(ranks, alone):
    for rank in ranks:
        close(rank["initial"], alone["initial"], atol=1e-6)


def test_the_trained_model_is_that_of_one_process(ranks, alone):
    for rank in ranks:
        close(rank["parameters"], alone["parameters"], atol=1e-6)


def test_every_rank_has_the_equivariance_errors_of_one_process(ranks, alone):
    for rank in ranks:
        for name, value in alone["errors"].items():
            close(rank["errors"][name], value, atol=1e-12)
