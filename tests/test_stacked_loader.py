"""The stream of batches: its order, its position and its shares."""

from __future__ import annotations

import copy
from itertools import chain

import lightning
import pytest
import torch
from helpers import (
    REPS,
    NodeLinear,
    assert_same,
    make_graph,
    make_hetero,
    pretend_rank,
    snapshot,
)
from lightning.pytorch.callbacks import ModelCheckpoint
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from pyg_remul import SO3, RandomRotation, RemulLoss
from pyg_remul.randomness import derive_generator
from pyg_remul.stacked_graphs import StackedGraphs
from pyg_remul.stacked_loader import StackedLoader

KINDS = {
    "one size": lambda: [make_graph(4, 6) for _ in range(7)],
    "many sizes": lambda: [make_graph(1 + place % 4, place) for place in range(7)],
    "hetero": lambda: [make_hetero(1 + place % 4, 2) for place in range(7)],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 1},
        {"batch_size": 3},
        {"batch_size": 7, "drop_last": True},
        {"batch_size": 3, "drop_last": True},
        {"batch_size": 9},
        {"batch_size": 3, "follow_batch": ["pos"]},
    ],
    ids=str,
)
def test_pass_equals_that_of_pyg(kind, options):
    graphs = KINDS[kind]()
    batches = [snapshot(batch) for batch in StackedLoader(graphs, **options)]
    expected = [snapshot(batch) for batch in DataLoader(graphs, **options)]
    assert_same(batches, expected)


def numbered(num):
    return [Data(pos=torch.full((1, 3), float(number)), number=number) for number in range(num)]


def orders(num=10, **options):
    loader = StackedLoader(numbered(num), 4, **options)
    return [batch.number.tolist() for batch in loader]


def test_last_batch_of_a_pass_holds_what_is_left():
    assert [len(batch) for batch in orders(steps=6)] == [4, 4, 2, 4, 4, 2]


def test_order_is_that_of_the_data_by_default():
    assert orders() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("number", [0, 1, 4])
def test_each_shuffled_pass_shows_every_graph_once(number):
    batches = orders(shuffle=True, start=3 * number, steps=3)
    assert sorted(chain(*batches)) == list(range(10))


def test_passes_are_ordered_differently():
    batches = orders(shuffle=True, steps=9)
    passes = {tuple(chain(*batches[start : start + 3])) for start in (0, 3, 6)}
    assert len(passes) == 3


def test_same_seed_gives_the_same_order():
    first = orders(shuffle=True, seed=5, steps=7)
    torch.rand(3)
    assert orders(shuffle=True, seed=5, steps=7) == first


def test_other_seed_gives_another_order():
    assert orders(shuffle=True, seed=1) != orders(shuffle=True, seed=2)


def test_order_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    orders(shuffle=True)
    assert torch.equal(torch.get_rng_state(), state)


def test_order_does_not_depend_on_the_batch_size():
    small, large = (
        torch.cat([batch.number for batch in StackedLoader(numbered(10), size, shuffle=True)])
        for size in (2, 5)
    )
    assert torch.equal(small, large)


@pytest.mark.parametrize("cut", range(9))
def test_stream_cut_anywhere_equals_the_whole(cut):
    whole = orders(shuffle=True, seed=3, steps=8)
    head = orders(shuffle=True, seed=3, steps=cut)
    tail = orders(shuffle=True, seed=3, start=cut, steps=8 - cut)
    assert head + tail == whole[:cut] + whole[cut:]
    assert len(head) == cut


@pytest.mark.parametrize(("steps", "length"), [(None, 3), (0, 0), (7, 7)])
def test_length_is_the_number_of_batches(steps, length):
    loader = StackedLoader(numbered(10), 4, start=2, steps=steps)
    assert len(loader) == length == len(list(loader))


def test_a_transform_acts_anew_on_every_batch():
    graphs = [Data(pos=torch.rand(4, 3)) for _ in range(3)]
    loader = StackedLoader(graphs, 3, transform=RandomRotation({"pos": "point"}))
    (first,), (second,) = loader, loader
    assert not torch.allclose(first.pos, second.pos)


def test_transform_of_a_dataset_acts_once():
    class Dataset(list):
        calls = 0

        def __getitem__(self, index):
            self.calls += 1
            return super().__getitem__(index)

    dataset = Dataset(numbered(4))
    loader = StackedLoader(dataset, 2, steps=20)
    assert len(list(loader)) == 20
    assert dataset.calls == 4


def read(loader):
    """The graphs of each batch of one iteration."""
    return [batch.number.tolist() for batch in loader]


def test_iterations_go_through_the_stream():
    loader = StackedLoader(numbered(10), 4, shuffle=True, start=2, steps=4)
    assert [*read(loader), *read(loader)] == orders(shuffle=True, start=2, steps=8)


def test_each_iteration_is_in_a_new_order():
    loader = StackedLoader(numbered(10), 4, shuffle=True)
    assert sorted(chain(*read(loader))) == list(range(10))
    assert read(loader) != orders(shuffle=True)


def test_iteration_after_a_broken_one_has_a_pass_of_its_own():
    loader = StackedLoader(numbered(10), 4, shuffle=True)
    firsts = [next(iter(loader)).number.tolist() for _ in range(3)]
    assert firsts == [orders(shuffle=True, start=3 * number, steps=1)[0] for number in range(3)]


def test_state_after_a_broken_iteration_is_that_of_its_last_batch():
    loader, resumed = (StackedLoader(numbered(10), 4, shuffle=True) for _ in range(2))
    next(iter(loader))
    resumed.load_state_dict(loader.state_dict())
    assert read(resumed) == orders(shuffle=True, start=1, steps=2)


def test_nested_iterations_have_passes_of_their_own():
    loader = StackedLoader(numbered(10), 4, shuffle=True)
    inner = [read(loader) for _ in loader]
    assert inner == [orders(shuffle=True, start=3 * number, steps=3) for number in (1, 2, 3)]
    assert read(loader) == orders(shuffle=True, start=12, steps=3)


def test_iteration_that_ended_with_its_last_batch_is_done():
    loader = StackedLoader(numbered(10), 4, shuffle=True)
    for _ in zip(range(3), loader, strict=False):
        pass
    assert read(loader) == orders(shuffle=True, start=3, steps=3)


def test_step_counts_the_batches_handed_out():
    loader = StackedLoader(numbered(10), 4, start=1, steps=2)
    assert loader.step == 1
    assert [loader.step for _ in loader] == [2, 3]


@pytest.mark.parametrize("cut", range(9))
def test_stream_goes_on_from_a_state(cut):
    options = {"shuffle": True, "seed": 3, "steps": 4}
    loader = StackedLoader(numbered(10), 4, **options)
    state, seen = loader.state_dict(), []
    while loader.step < cut:
        for batch in loader:
            seen.append(batch.number.tolist())
            state = copy.deepcopy(loader.state_dict())
            if loader.step == cut:
                break
    resumed = StackedLoader(numbered(10), 4, **options)
    resumed.load_state_dict(state)
    while resumed.step < 12:
        seen += read(resumed)
    assert seen == orders(shuffle=True, seed=3, steps=12)


def test_resumed_iteration_yields_the_rest_and_the_next_a_whole_one():
    loader = StackedLoader(numbered(10), 2)
    loader.load_state_dict(loader.state_dict() | {"step": 3})
    assert [len(read(loader)) for _ in range(3)] == [2, 5, 5]


def test_resumed_iteration_that_is_broken_off_is_begun_anew():
    loader = StackedLoader(numbered(10), 2)
    loader.load_state_dict(loader.state_dict() | {"step": 3})
    next(iter(loader))
    assert read(loader)[0] == [0, 1]


def test_state_waits_for_the_first_batch():
    loader = StackedLoader(numbered(10), 2)
    loader.load_state_dict(loader.state_dict() | {"step": 3})
    iter(loader)
    assert read(loader) == [[6, 7], [8, 9]]


def test_state_loads_without_pickled_code(tmp_path):
    state = StackedLoader(numbered(3), 2, shuffle=True).state_dict()
    torch.save(state, tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True) == state


@pytest.mark.parametrize(
    "options",
    [{"seed": 1}, {"shuffle": False}, {"drop_last": True}, {"batch_size": 3}, {"num": 9}],
    ids=str,
)
def test_state_of_another_stream_is_refused(options):
    given = {"num": 10, "batch_size": 4, "shuffle": True}
    first, second = given, given | options
    loaders = [StackedLoader(numbered(o.pop("num")), **o) for o in (dict(first), dict(second))]
    name = {"batch_size": "graphs_per_step", "num": "num_graphs"}.get(*options, *options)
    with pytest.raises(ValueError, match=f"`{name}` must be that of the loader, .* got a state"):
        loaders[1].load_state_dict(loaders[0].state_dict())


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (4, ValueError, "`step` must be at least 5, got 4"),
        (-1, ValueError, "`step` must not be negative, got -1"),
        (None, TypeError, "`step` must be an integer, got None"),
    ],
)
def test_state_without_a_step_of_the_stream_is_refused(step, error, message):
    loader = StackedLoader(numbered(3), 2, start=5)
    with pytest.raises(error, match=message):
        loader.load_state_dict(loader.state_dict() | {"step": step})


def train(num_steps, state=None):
    """Trains a model in a plain loop, and returns all that a checkpoint would hold."""
    graphs = [make_graph(1 + place % 4, 3, dtype=torch.float32) for place in range(10)]
    loader = StackedLoader(graphs, 3, shuffle=True)
    model = NodeLinear(hidden=4, dtype=torch.float32)
    optimizer = torch.optim.Adam(model.parameters())
    parts = {"loader": loader, "model": model, "optimizer": optimizer}
    for name, part in parts.items() if state else ():
        part.load_state_dict(state[name])
    criterion = RemulLoss(SO3(), REPS)
    while loader.step < num_steps:
        for batch in loader:
            generator = derive_generator(0, "rotation", loader.step)
            optimizer.zero_grad()
            criterion(model, batch, generator=generator).loss.backward()
            optimizer.step()
            if loader.step == num_steps:
                break
    return copy.deepcopy({name: part.state_dict() for name, part in parts.items()})


@pytest.mark.parametrize("cut", [1, 4, 6, 7])
def test_training_resumed_within_a_pass_continues_bit_for_bit(cut):
    torch.manual_seed(0)
    whole = train(10)
    torch.manual_seed(0)
    broken = train(cut)
    torch.manual_seed(0)
    assert_same(train(10, broken), whole)


class Numbers(lightning.LightningModule):
    """Notes what it sees."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(3, 1), []

    def training_step(self, batch, _):
        self.seen.append(batch.number.tolist())
        return self.layer(batch.pos).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


@pytest.mark.parametrize("cut", [1, 3, 4])
@pytest.mark.filterwarnings("ignore:.*:Warning:lightning")
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_lightning_resumes_within_a_pass(tmp_path, cut):
    def fit(checkpoint=None):
        module = Numbers()
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=2,
            logger=False,
            callbacks=[ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = StackedLoader(numbered(10), 4, shuffle=True)
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
        return module

    whole = fit()
    resumed = fit(tmp_path / f"step={cut}.ckpt")
    assert resumed.seen == whole.seen[cut:]
    assert torch.equal(resumed.layer.weight, whole.layer.weight)


def shares(num, batch_size, world_size, **options):
    """What each rank sees in one pass."""
    return [
        read(StackedLoader(numbered(num), batch_size, rank=rank, world_size=world_size, **options))
        for rank in range(world_size)
    ]


def test_ranks_share_each_step_of_a_lone_process():
    together = [list(chain(*parts)) for parts in zip(*shares(12, 2, 3, shuffle=True), strict=True)]
    assert together == read(StackedLoader(numbered(12), 6, shuffle=True))


@pytest.mark.parametrize("num", [1, 2, 5, 7, 12, 13])
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [False, True], ids=["in order", "shuffled"])
def test_ranks_have_equal_batches_that_cover_the_data(num, world_size, shuffle):
    ranks = shares(num, 2, world_size, shuffle=shuffle)
    sizes = [[len(batch) for batch in batches] for batches in ranks]
    seen = list(chain(*chain(*ranks)))
    assert all(other == sizes[0] for other in sizes)
    assert set(seen) == set(range(num))
    assert len(seen) - num == -num % world_size


def test_pass_of_several_ranks_is_filled_up_with_its_first_graphs():
    assert shares(4, 1, 3) == [[[0], [3]], [[1], [0]], [[2], [1]]]


def test_last_batch_of_several_ranks_may_be_dropped():
    assert shares(7, 2, 2, drop_last=True) == [[[0, 1]], [[2, 3]]]


def test_ranks_are_those_of_the_process_group(monkeypatch):
    pretend_rank(monkeypatch, rank=1, world_size=2)
    loader = StackedLoader(numbered(4), 1)
    assert read(loader) == [[1], [3]]


def test_ranks_have_the_same_state():
    first, second = (StackedLoader(numbered(4), 1, rank=rank, world_size=2) for rank in (0, 1))
    assert first.state_dict() == second.state_dict()


def test_state_may_go_to_another_number_of_ranks():
    lone = StackedLoader(numbered(12), 4, shuffle=True)
    next(iter(lone))
    second = StackedLoader(numbered(12), 2, shuffle=True, rank=1, world_size=2)
    second.load_state_dict(lone.state_dict())
    assert read(second) == [
        batch[2:] for batch in read(StackedLoader(numbered(12), 4, shuffle=True))[1:]
    ]


def test_batches_are_made_on_the_device_asked_for():
    loader = StackedLoader(numbered(4), 2, device="meta")
    assert {batch.pos.device.type for batch in loader} == {"meta"}


def test_stacked_graphs_are_not_stacked_again():
    graphs = StackedGraphs(numbered(5))
    assert StackedLoader(graphs, 2).graphs is graphs


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be positive, got 0"),
        ({"batch_size": 2.0}, TypeError, "`batch_size` must be an integer, got 2.0"),
        ({"start": -1}, ValueError, "`start` must not be negative, got -1"),
        ({"steps": -3}, ValueError, "`steps` must not be negative, got -3"),
        ({"rank": 2, "world_size": 2}, ValueError, "`rank` must be less than .*, 2, got 2"),
        ({"rank": -1}, ValueError, "`rank` must not be negative, got -1"),
        ({"world_size": 0}, ValueError, "`world_size` must be positive, got 0"),
        (
            {"batch_size": 4, "drop_last": True},
            ValueError,
            "`batch_size` must be at most 3 with `drop_last=True`, got 4",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_argument_out_of_range_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        StackedLoader(numbered(3), **{"batch_size": 2, **options})


def test_followed_attributes_of_stacked_graphs_are_refused():
    with pytest.raises(ValueError, match=r"`follow_batch` must be given to StackedGraphs .*'pos'"):
        StackedLoader(StackedGraphs(numbered(3)), 2, follow_batch=["pos"])
