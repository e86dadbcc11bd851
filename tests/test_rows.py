"""The graph of each row."""

from __future__ import annotations

import pytest
import torch
from helpers import make_batch, make_graph, make_hetero
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DenseDataLoader

from pyg_remul.rows import as_batch, row_graphs, set_graph_attribute, store_of


def graphs_of(batch, key):
    return row_graphs(batch, store_of(batch, key), key).tolist()


def test_rows_are_read_from_the_slices():
    batch = make_batch((2, 0, 3))
    assert graphs_of(batch, "pos") == [0, 0, 2, 2, 2]


def test_slices_tell_edges_from_as_many_nodes():
    graphs = [make_graph(n, e, attr=torch.rand(e, 3)) for n, e in ((2, 3), (3, 2))]
    batch = Batch.from_data_list(graphs)
    assert graphs_of(batch, "attr") == [0, 0, 0, 1, 1]


def test_slices_tell_a_row_a_graph():
    batch = Batch.from_data_list([make_graph(1, energy=torch.rand(2, 1)), make_graph(3)][:1] * 2)
    assert graphs_of(batch, "energy") == [0, 0, 1, 1]


def test_hetero_rows_are_read_from_their_types_slices():
    batch = Batch.from_data_list([make_hetero(2, 1), make_hetero(1, 3)])
    assert row_graphs(batch, batch["bead"], "pos").tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(2, [0, 1]), (5, [0, 0, 1, 1, 1]), (6, [0, 0, 0, 1, 1, 1])],
    ids=["graph", "node", "edge"],
)
def test_rows_added_later_are_told_by_their_number(rows, expected):
    batch = make_batch((2, 3), edges=3)
    batch.late = torch.rand(rows, 3)
    assert graphs_of(batch, "late") == expected


def test_the_name_tells_an_edge_attribute_among_as_many_edges_and_nodes():
    batch = Batch.from_data_list([make_graph(2, 3), make_graph(3, 2)])
    batch.edge_force = torch.rand(5, 3)
    assert graphs_of(batch, "edge_force") == [0, 0, 0, 1, 1]


def test_as_many_edges_as_nodes_are_not_guessed_between():
    batch = Batch.from_data_list([make_graph(2, 3), make_graph(3, 2)])
    batch.force = torch.rand(5, 3)
    with pytest.raises(ValueError, match=r"`force` must have one row for .* which is ambiguous"):
        graphs_of(batch, "force")


def test_an_attribute_replaced_by_one_of_another_size_is_told_by_its_number():
    batch = make_batch((2, 3), edges=3)
    batch.pos = torch.rand(6, 3)
    assert graphs_of(batch, "pos") == [0, 0, 0, 1, 1, 1]


def with_all_edges(*sizes):
    """A batch whose edges are replaced, after collation, by all pairs of nodes of a graph."""
    batch = Batch.from_data_list([make_graph(nodes, edges) for nodes, edges in sizes])
    other = ~torch.eye(batch.num_nodes, dtype=torch.bool)
    same = batch.batch[:, None] == batch.batch
    batch.edge_index = (same & other).nonzero().T
    return batch


# 6 and 12 edges instead: as many in all, fewer before, more before
SIZES = [((3, 12), (4, 6)), ((3, 2), (4, 5)), ((3, 20), (4, 50))]


@pytest.mark.parametrize("sizes", SIZES, ids=["as many", "fewer", "more"])
@pytest.mark.parametrize("key", ["edge_attr", "bond"])
def test_edges_replaced_after_collation_are_told_by_their_nodes(sizes, key):
    batch = with_all_edges(*sizes)
    batch[key] = torch.rand(18, 3)
    assert graphs_of(batch, key) == [0] * 6 + [1] * 12


@pytest.mark.parametrize("sizes", SIZES, ids=["as many", "fewer", "more"])
def test_nodes_are_told_whatever_became_of_the_edges(sizes):
    batch = with_all_edges(*sizes)
    batch.late = torch.rand(7, 3)
    assert graphs_of(batch, "late") == graphs_of(batch, "pos") == [0] * 3 + [1] * 4


def test_a_collated_edge_attribute_follows_the_replaced_edges():
    graphs = [make_graph(n, e, bond=torch.rand(e, 3)) for n, e in ((3, 12), (4, 6))]
    batch = Batch.from_data_list(graphs)
    batch.edge_index = with_all_edges((3, 12), (4, 6)).edge_index
    assert graphs_of(batch, "bond") == [0] * 6 + [1] * 12


def test_nodes_with_as_many_edges_in_every_graph_keep_their_slices():
    batch = Batch.from_data_list([make_graph(3, 3), make_graph(4, 4)])
    batch.edge_index = batch.edge_index.flip(1)  # the second graph's edges first
    assert graphs_of(batch, "pos") == [0] * 3 + [1] * 4
    batch.edge_attr = torch.rand(7, 3)
    assert graphs_of(batch, "edge_attr") == [1] * 4 + [0] * 3


def test_hetero_edges_are_told_by_their_source_nodes():
    batch = Batch.from_data_list([make_hetero(2, 1), make_hetero(1, 3)])
    store = next(store for store in batch.stores if isinstance(store._key, tuple))
    kind = store._key[0]
    source = batch[kind].batch
    store.edge_index = torch.stack([torch.arange(len(source)).flip(0), torch.zeros(len(source))])
    store.edge_index = store.edge_index.long()
    store.late = torch.rand(len(source), 3)
    assert row_graphs(batch, store, "late").tolist() == source.flip(0).tolist()


class Bipartite(Data):
    """Edges that count two sets of nodes, of which PyG's vector knows the sum."""

    def __inc__(self, key, value, *args, **kwargs):
        if key == "edge_index":
            return torch.tensor([[self.x_s.size(0)], [self.x_t.size(0)]])
        return super().__inc__(key, value, *args, **kwargs)


def test_edges_with_an_increment_of_their_own_are_told_by_their_slices():
    graphs = [
        Bipartite(
            x_s=torch.rand(1, 1),
            x_t=torch.rand(5, 1),
            edge_index=torch.zeros(2, edges, dtype=torch.long),
            edge_attr=torch.rand(edges, 3),
            num_nodes=6,
        )
        for edges in (2, 3)
    ]
    assert graphs_of(Batch.from_data_list(graphs), "edge_attr") == [0] * 2 + [1] * 3


def test_a_batch_that_tells_no_graphs_apart_is_refused():
    dense = next(iter(DenseDataLoader([Data(pos=torch.rand(4, 3))] * 2, batch_size=2)))
    with pytest.raises(TypeError, match=r"made by `Batch\.from_data_list` or PyG's DataLoader"):
        as_batch(dense)


def test_a_batch_without_attributes_is_empty():
    with pytest.raises(ValueError, match="`batch` must hold at least one graph, got a batch with"):
        as_batch(Batch())


def test_an_agreeing_guess_is_no_ambiguity():
    batch = make_batch((1, 1))
    batch.late = torch.rand(2, 3)
    assert graphs_of(batch, "late") == [0, 1]


def test_an_ambiguous_guess_is_refused():
    batch = make_batch((0, 2))
    batch.late = torch.rand(2, 3)
    with pytest.raises(ValueError, match=r"`late` must have .* got 2 rows, which is ambiguous"):
        graphs_of(batch, "late")


def test_a_batch_without_slices_is_read_from_its_batch_vector():
    batch = Batch(pos=torch.rand(3, 3), batch=torch.tensor([0, 0, 1]))
    assert graphs_of(batch, "pos") == [0, 0, 1]


def test_an_attribute_of_several_types_is_refused():
    with pytest.raises(ValueError, match=r"`pos` must be an attribute of one type, got one of"):
        store_of(make_hetero(), "pos")


def test_a_missing_attribute_has_no_store():
    assert store_of(make_graph(), "nothing") is None


def test_a_batch_stays_as_it_is():
    batch = make_batch()
    assert as_batch(batch) is batch


@pytest.mark.parametrize("make", [make_graph, make_hetero])
def test_a_lone_graph_becomes_a_batch_of_one(make):
    assert as_batch(make()).num_graphs == 1


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match="`batch` must hold at least one graph"):
        as_batch(Batch(_num_graphs=0))


def test_what_is_no_graph_is_refused():
    with pytest.raises(TypeError, match="`batch` must be a PyG Batch, Data or HeteroData, got lis"):
        as_batch([make_graph()])


def test_a_graph_attribute_added_to_a_batch_comes_out_with_each_graph():
    batch = make_batch((2, 3))
    set_graph_attribute(batch, "dipole", torch.tensor([[1.0, 2, 3], [4, 5, 6]]))
    assert batch[1].dipole.tolist() == [[4, 5, 6]]


def test_a_graph_attribute_leaves_the_bookkeeping_of_the_original_alone():
    batch = make_batch((2, 3))
    books = batch._slice_dict
    set_graph_attribute(batch, "dipole", torch.zeros(2, 3))
    assert "dipole" not in books


def test_a_graph_attribute_goes_to_a_lone_graph_too():
    data = Data(pos=torch.rand(2, 3))
    set_graph_attribute(data, "dipole", torch.ones(1, 3))
    assert data.dipole.tolist() == [[1, 1, 1]]
