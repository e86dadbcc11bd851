"""Batches cut from a stack against PyG's own collation."""

from __future__ import annotations

import copy
from itertools import chain

import pytest
import torch
from helpers import assert_same, make_graph, make_hetero, snapshot
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from pyg_remul import RandomRotation
from pyg_remul.stacked_loader import StackedGraphs, StackedLoader


class Triangles(Data):
    """A graph whose corners and nodes are counted in several ways."""

    def __inc__(self, key, value, *args, **kwargs):
        if key == "pair":
            return torch.tensor([[self.num_nodes], [self.corners.size(0)]])
        if key.endswith("_index"):
            return self.num_nodes
        return self.corners.size(0) if key == "face_of" else super().__inc__(key, value)

    def __cat_dim__(self, key, value, *args, **kwargs):
        if key.endswith("_index"):
            return 0
        return -1 if key in ("face_of", "pair") else super().__cat_dim__(key, value)


class Graphwise(Data):
    """A graph with an attribute that a batch stacks along a new axis."""

    def __cat_dim__(self, key, value, *args, **kwargs):
        return None if key == "dipole" else super().__cat_dim__(key, value)


def ragged():
    return [make_graph(nodes, edges) for nodes, edges in ((3, 4), (1, 0), (5, 7), (2, 1))]


def triangles():
    return [
        Triangles(
            pos=torch.randn(nodes, 3),
            corners=torch.randn(corners, 2),
            face_of=torch.randint(corners, (3, corners)),
            pair=torch.stack([torch.arange(3) % nodes, torch.arange(3) % corners]),
            rows_index=torch.randint(nodes, (corners, 2)),
            root_index=nodes - 1,
        )
        for nodes, corners in ((3, 2), (2, 5), (4, 1), (1, 3))
    ]


def graphwise():
    return [Graphwise(pos=torch.randn(nodes, 3), dipole=torch.randn(3)) for nodes in (2, 3, 1, 4)]


def numbers():
    return [
        make_graph(nodes, energy=0.5 * nodes, count=nodes, even=nodes % 2 == 0)
        for nodes in (3, 2, 5, 1)
    ]


def tensors():
    """Attributes of every level and dtype."""
    return [
        Data(
            pos=torch.randn(nodes, 3, dtype=torch.float64),
            z=torch.randint(9, (nodes,)),
            fixed=torch.rand(nodes) > 0.5,
            energy=torch.tensor(float(nodes)),
            cell=torch.randn(1, 3, 3),
            edge_index=torch.randint(nodes, (2, 2 * nodes)),
            edge_attr=torch.randn(2 * nodes, 1),
        )
        for nodes in (4, 2, 3, 1)
    ]


def equal_sizes():
    return [make_graph(4, 6) for _ in range(4)]


def edgeless():
    return [make_graph(0, 0), *ragged()[:3]]


def hetero():
    return [make_hetero(atoms, beads) for atoms, beads in ((2, 3), (1, 1), (4, 2), (3, 5))]


KINDS = {
    kind.__name__: kind
    for kind in (ragged, triangles, graphwise, numbers, tensors, equal_sizes, edgeless, hetero)
}
SELECTIONS = {
    "all": [0, 1, 2, 3],
    "part": [1, 2],
    "one": [3],
    "reversed": [3, 2, 1, 0],
    "repeated": [2, 2, 0],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", SELECTIONS.values(), ids=SELECTIONS)
def test_selection_equals_the_collation_of_its_graphs(kind, index):
    graphs = KINDS[kind]()
    batch = StackedGraphs(graphs).select(torch.tensor(index))
    expected = Batch.from_data_list([graphs[place] for place in index])
    assert_same(snapshot(batch), snapshot(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_selection_falls_apart_into_its_graphs(kind):
    graphs, index = KINDS[kind](), [2, 0, 3]
    batch = StackedGraphs(graphs).select(torch.tensor(index))
    for actual, place in zip(batch.to_data_list(), index, strict=True):
        expected = Batch.from_data_list(graphs)[place]
        assert_same(*([dict(s.items()) for s in graph.stores] for graph in (actual, expected)))


def test_selection_knows_its_number_of_graphs():
    assert StackedGraphs(ragged()).select(torch.tensor([2, 2, 0])).num_graphs == 3


def test_selection_is_of_the_class_that_collation_gives():
    batch = StackedGraphs(triangles()).select(torch.tensor([0]))
    assert isinstance(batch, Batch)
    assert isinstance(batch, Triangles)


def test_selection_leaves_the_stack_alone():
    graphs = StackedGraphs(ragged())
    before = snapshot(graphs.batch)
    batch = graphs.select(torch.tensor([3, 1]))
    batch.pos.zero_()
    batch.edge_index.zero_()
    assert_same(snapshot(graphs.batch), before)


def test_transform_of_a_dataset_acts_once():
    class Dataset(list):
        calls = 0

        def __getitem__(self, index):
            self.calls += 1
            return super().__getitem__(index)

    dataset = Dataset(ragged())
    loader = StackedLoader(dataset, 2, steps=20)
    assert len(list(loader)) == 20
    assert dataset.calls == 4


def test_moved_stack_selects_the_same():
    graphs = StackedGraphs(ragged())
    index = torch.tensor([2, 0])
    assert_same(snapshot(graphs.to("cpu").select(index)), snapshot(graphs.select(index)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_stack_on_a_gpu_selects_there():
    graphs = StackedGraphs(ragged())
    batch = graphs.to("cuda").select(torch.tensor([2, 0]))
    assert {value.device.type for _, value in batch if isinstance(value, torch.Tensor)} == {"cuda"}
    expected = graphs.select(torch.tensor([2, 0]))
    assert_same(snapshot(copy.copy(batch).to("cpu")), snapshot(expected))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [1, 3, 4, 9])
def test_pass_equals_that_of_pyg(kind, batch_size):
    graphs = KINDS[kind]()
    batches = [snapshot(batch) for batch in StackedLoader(graphs, batch_size)]
    expected = [snapshot(batch) for batch in DataLoader(graphs, batch_size)]
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


def test_loader_repeats_itself():
    loader = StackedLoader(numbered(5), 2, shuffle=True, start=1, steps=4)
    first, second = ([batch.number.tolist() for batch in loader] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("steps", "length"), [(None, 3), (0, 0), (7, 7)])
def test_length_is_the_number_of_batches(steps, length):
    loader = StackedLoader(numbered(10), 4, start=2, steps=steps)
    assert len(loader) == length == len(list(loader))


def test_stacked_graphs_are_not_stacked_again():
    graphs = StackedGraphs(numbered(5))
    assert StackedLoader(graphs, 2).graphs is graphs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1, got 0."),
        ({"batch_size": 2, "start": -1}, "`start` must be at least 0, got -1."),
        ({"batch_size": 2, "steps": -3}, "`steps` must be at least 0, got -3."),
    ],
    ids=["batch_size", "start", "steps"],
)
def test_argument_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        StackedLoader(numbered(3), **options)


def test_empty_dataset_is_refused():
    with pytest.raises(ValueError, match="`dataset` must hold at least one graph, got none"):
        StackedLoader([], 2)


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("label", "text", "list"),
        ("parts", [torch.zeros(2), torch.zeros(1)], "list"),
        ("parts", {"a": torch.zeros(2)}, "dict"),
        ("edge_index", EdgeIndex([[0, 1], [1, 2]]), "EdgeIndex"),
        ("adj_t", torch.eye(3).to_sparse(), "Tensor"),
    ],
    ids=["string", "list", "mapping", "edge index", "sparse tensor"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_attribute_that_is_no_dense_tensor_is_refused(key, value, kind):
    graphs = [Data(pos=torch.zeros(3, 3), **{key: value}) for _ in range(2)]
    with pytest.raises(TypeError, match=f"`{key}` must be a plain dense tensor .*got {kind}"):
        StackedGraphs(graphs)


def test_number_of_nodes_without_a_node_attribute_is_refused():
    with pytest.raises(TypeError, match="`num_nodes` must follow from a node attribute"):
        StackedGraphs([Data(num_nodes=3), Data(num_nodes=2)])


def test_a_transform_acts_anew_on_every_batch():
    graphs = [Data(pos=torch.rand(4, 3)) for _ in range(3)]
    loader = StackedLoader(graphs, 3, transform=RandomRotation({"pos": "point"}))
    (first,), (second,) = loader, loader
    assert not torch.allclose(first.pos, second.pos)
