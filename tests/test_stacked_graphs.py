"""Batches cut from a stack against PyG's own collation."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from helpers import assert_same, make_graph, make_hetero, snapshot
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Center

from pyg_remul.stacked_graphs import StackedGraphs


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


def ragged(sizes=(3, 1, 5, 2)):
    return [make_graph(nodes, 2 * nodes - 1) for nodes in sizes]


def triangles(sizes=(3, 2, 4, 1)):
    return [
        Triangles(
            pos=torch.randn(nodes, 3),
            corners=torch.randn(corners, 2),
            face_of=torch.randint(corners, (3, corners)),
            pair=torch.stack([torch.arange(3) % nodes, torch.arange(3) % corners]),
            rows_index=torch.randint(nodes, (corners, 2)),
            root_index=nodes - 1,
        )
        for nodes in sizes
        for corners in [1 + 7 * nodes % 5]
    ]


def graphwise(sizes=(2, 3, 1, 4)):
    return [Graphwise(pos=torch.randn(nodes, 3), dipole=torch.randn(3)) for nodes in sizes]


def numbers(sizes=(3, 2, 5, 1)):
    return [
        make_graph(nodes, energy=0.5 * nodes, count=nodes, even=nodes % 2 == 0) for nodes in sizes
    ]


def texts(sizes=(3, 2, 5, 1)):
    return [Data(pos=torch.randn(nodes, 3), name=f"molecule {nodes}") for nodes in sizes]


def counted(sizes=(3, 2, 5, 1)):
    """Graphs that know their number of nodes from nothing else."""
    return [
        Data(edge_index=torch.randint(nodes, (2, 4)), num_nodes=nodes, y=torch.randn(1, 2))
        for nodes in sizes
    ]


def tensors(sizes=(4, 2, 3, 1)):
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
            small_index=torch.randint(nodes, (2,), dtype=torch.int32),
            index_mask=torch.rand(nodes) > 0.5,
        )
        for nodes in sizes
    ]


def one_topology(sizes=(0, 0, 0, 0)):
    """Systems of the same bodies."""
    edges = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]])
    return [
        Data(pos=torch.randn(3, 3), z=torch.tensor([8, 1, 1]), edge_index=edges.clone())
        for _ in sizes
    ]


def one_size(sizes=(0, 0, 0, 0)):
    return [make_graph(4, 6, face=torch.randint(4, (3, 2)), energy=torch.rand(1)) for _ in sizes]


def edgeless(sizes=(0, 3, 1, 5)):
    return [make_graph(nodes, 0) for nodes in sizes]


def hetero(sizes=(2, 1, 4, 3)):
    return [make_hetero(nodes, 1 + 5 * nodes % 4) for nodes in sizes]


KINDS = {
    kind.__name__: kind
    for kind in (
        *(ragged, triangles, graphwise, numbers, texts, counted),
        *(tensors, one_topology, one_size, edgeless, hetero),
    )
}
SELECTIONS = {
    "all": [0, 1, 2, 3],
    "part": [1, 2],
    "one": [3],
    "reversed": [3, 2, 1, 0],
    "repeated": [2, 2, 0],
    "more than there are": [0, 1, 2, 3, 3, 2],
}


class Stored(InMemoryDataset):
    """Graphs in the storage of an in-memory dataset."""

    def __init__(self, graphs, transform=None):
        super().__init__(transform=transform)
        self._data, self.slices = self.collate(graphs)


def select(graphs, index, **options):
    return StackedGraphs(graphs, **options).select(torch.tensor(index))


def collate(graphs, index, **options):
    return Batch.from_data_list([graphs[place] for place in index], **options)


def contents(graphs):
    """The attributes of single graphs, copied."""
    return copy.deepcopy([[dict(store.items()) for store in graph.stores] for graph in graphs])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", SELECTIONS.values(), ids=SELECTIONS)
def test_selection_equals_the_collation_of_its_graphs(kind, index):
    graphs = KINDS[kind]()
    assert_same(snapshot(select(graphs, index)), snapshot(collate(graphs, index)))


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_any_selection_of_any_graphs_equals_their_collation(kind, data):
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    graphs = KINDS[kind](sizes)
    stack = StackedGraphs(graphs)
    places = st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=8)
    for index in data.draw(st.lists(places, min_size=1, max_size=3)):
        batch = stack.select(torch.tensor(index))
        assert_same(snapshot(batch), snapshot(collate(graphs, index)))


@pytest.mark.parametrize("kind", KINDS)
def test_selection_falls_apart_into_its_graphs(kind):
    graphs, index = KINDS[kind](), [2, 0, 3]
    expected = collate(graphs, index).to_data_list()
    assert_same(contents(select(graphs, index).to_data_list()), contents(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_selection_gives_each_of_its_graphs(kind):
    graphs, index = KINDS[kind](), [3, 1]
    expected = collate(graphs, index).get_example(1)
    assert_same(contents([select(graphs, index).get_example(1)]), contents([expected]))


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("ragged", ["pos", "edge_index"]),
        ("one_topology", ["z", "edge_index"]),
        ("hetero", ["pos", "dipole"]),
    ],
)
def test_followed_attributes_have_vectors_of_their_own(kind, keys):
    graphs, index = KINDS[kind](), [2, 0, 2]
    batch = select(graphs, index, follow_batch=keys)
    assert_same(snapshot(batch), snapshot(collate(graphs, index, follow_batch=keys)))


def test_selection_knows_its_number_of_graphs():
    assert select(ragged(), [2, 2, 0]).num_graphs == 3


def test_selection_is_of_the_class_that_collation_gives():
    batch = select(triangles(), [0])
    assert isinstance(batch, Batch)
    assert isinstance(batch, Triangles)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", [False, True], ids=["list", "dataset"])
def test_selection_may_be_changed_in_place(kind, stored):
    graphs = KINDS[kind]()
    graphs = Stored(graphs) if stored else graphs
    before = contents(graphs)
    stack, index = StackedGraphs(graphs), torch.tensor([3, 1, 1])
    batch = stack.select(index)
    expected = snapshot(batch)
    for store in batch.stores:
        for value in store.values():
            if isinstance(value, torch.Tensor):
                value.zero_()
    batch.pos = None
    batch._slice_dict.clear()
    assert_same(snapshot(stack.select(index)), expected)
    assert_same(contents(graphs), before)


def test_stack_is_of_the_graphs_as_they_were_before():
    graphs = ragged()
    stack, expected = StackedGraphs(graphs), snapshot(collate(graphs, [1, 0]))
    graphs[0].pos.zero_()
    assert_same(snapshot(stack.select(torch.tensor([1, 0]))), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "subset", [slice(None), [3, 1, 1, 2], slice(1, 2)], ids=["whole", "shuffled", "single graph"]
)
def test_stack_of_a_dataset_equals_that_of_its_graphs(kind, subset):
    dataset = Stored(KINDS[kind]())[subset]
    index = [*range(len(dataset)), 0]
    assert_same(snapshot(select(dataset, index)), snapshot(collate(list(dataset), index)))


@pytest.mark.parametrize("subset", [slice(None), [2, 0]], ids=["whole", "part"])
def test_stack_of_a_dataset_has_the_order_of_its_graphs_attributes(subset):
    dataset = Stored(tensors())
    dataset._data = Data(**dict(reversed(dataset._data.to_dict().items())))
    dataset = dataset[subset]
    assert_same(snapshot(select(dataset, [1, 0])), snapshot(collate(list(dataset), [1, 0])))


@pytest.fixture
def no_graphs(monkeypatch):
    """Lets datasets give no graphs away, but their storage."""

    def fail(*_):
        raise AssertionError("a loop over the graphs")

    monkeypatch.setattr(InMemoryDataset, "get", fail)


@pytest.mark.parametrize("kind", ["ragged", "tensors", "one_topology", "one_size", "edgeless"])
@pytest.mark.parametrize("subset", [slice(None), [2, 0]], ids=["whole", "part"])
@pytest.mark.usefixtures("no_graphs")
def test_storage_of_a_dataset_is_taken_without_a_loop_over_its_graphs(kind, subset):
    assert len(StackedGraphs(Stored(KINDS[kind]())[subset])) in (2, 4)


@pytest.mark.usefixtures("no_graphs")
def test_storage_of_a_dataset_is_not_copied():
    dataset = Stored(ragged())
    stack = StackedGraphs(dataset)
    dataset._data.pos.fill_(7)
    assert (stack.select(torch.tensor([1])).pos == 7).all()


def test_dataset_of_a_single_graph_is_stacked():
    graphs = ragged()[:1]
    assert_same(snapshot(select(Stored(graphs), [0, 0])), snapshot(collate(graphs, [0, 0])))


def test_dataset_that_makes_its_graphs_is_asked_for_them():
    class Made(Stored):
        def get(self, index):
            return Data(pos=torch.full((1, 3), float(index)))

    assert select(Made(ragged()), [2]).pos.tolist() == [[2, 2, 2]]


def test_transform_of_a_dataset_acts_on_its_graphs():
    dataset = Stored(ragged(), transform=Center())
    assert_same(snapshot(select(dataset, [2, 1])), snapshot(collate(list(dataset), [2, 1])))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_selection_equals_the_batch_of_pygs_loader(kind, batch_size):
    graphs = KINDS[kind]()
    expected = next(iter(DataLoader(graphs, batch_size)))
    assert_same(snapshot(select(graphs, range(batch_size))), snapshot(expected))


@pytest.mark.parametrize(("kind", "equal"), [("one_size", True), ("ragged", False)])
def test_stack_knows_whether_its_graphs_are_of_one_size(kind, equal):
    assert StackedGraphs(KINDS[kind]()).equal_sizes is equal


def test_moved_stack_selects_the_same():
    graphs = StackedGraphs(ragged())
    index = torch.tensor([2, 0])
    assert_same(snapshot(graphs.to("cpu").select(index)), snapshot(graphs.select(index)))


@pytest.mark.parametrize("kind", KINDS)
def test_selection_is_made_where_the_graphs_are(kind):
    batch = select(KINDS[kind](), [2, 0], device="meta")
    tensors = [x for store in batch.stores for x in store.values() if isinstance(x, torch.Tensor)]
    assert {value.device.type for value in tensors} == {"meta"}


def test_stack_stays_where_its_graphs_are():
    graphs = [Data(pos=torch.rand(2, 3, device="meta"), energy=1.0) for _ in range(3)]
    assert StackedGraphs(graphs).device == torch.device("meta")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_stack_on_a_gpu_selects_the_same(kind):
    graphs, index = KINDS[kind](), torch.tensor([2, 0, 2])
    batch = StackedGraphs(graphs, device="cuda").select(index)
    expected = StackedGraphs(graphs).select(index)
    assert_same(snapshot(copy.copy(batch).to("cpu")), snapshot(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_stack_survives_pickling(kind):
    stack, index = StackedGraphs(KINDS[kind]()), torch.tensor([1, 3])
    expected = snapshot(stack.select(index))
    assert_same(snapshot(pickle.loads(pickle.dumps(stack)).select(index)), expected)


def test_empty_dataset_is_refused():
    with pytest.raises(ValueError, match="`dataset` must hold at least one graph, got none"):
        StackedGraphs([])


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("parts", [torch.zeros(2), torch.zeros(1)], "list"),
        ("parts", {"a": torch.zeros(2)}, "dict"),
        ("edge_index", EdgeIndex([[0, 1], [1, 2]]), "EdgeIndex"),
        ("adj_t", torch.eye(3).to_sparse(), "Tensor"),
    ],
    ids=["list", "mapping", "edge index", "sparse tensor"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_attribute_of_another_kind_is_refused(key, value, kind):
    graphs = [Data(pos=torch.zeros(3, 3), **{key: value}) for _ in range(2)]
    with pytest.raises(TypeError, match=f"`{key}` must be a plain dense tensor, .*got {kind}"):
        StackedGraphs(graphs)


@pytest.mark.parametrize(
    "values",
    [(1, 2.5), (torch.rand(1), torch.rand(1, dtype=torch.float64)), (torch.eye(2), None)],
    ids=["numbers", "dtypes", "absent"],
)
def test_attributes_of_several_types_are_refused(values):
    graphs = [Data(pos=torch.rand(2, 3), value=value) for value in values]
    with pytest.raises(TypeError, match="`value` must be of one type in all graphs to be stacked"):
        StackedGraphs(graphs)
