"""Joined batches against PyG's own collation of all graphs."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers import assert_same, make_batch, make_graph, make_hetero, snapshot
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data

from pyg_remul.joining import concatenate


class Pair(Data):
    """Two node sets in one graph, with increments and a batch axis of its own."""

    def __inc__(self, key, value, *args, **kwargs):
        if key == "edge_index":
            return torch.tensor([[self.x_s.size(0)], [self.x_t.size(0)]])
        return super().__inc__(key, value, *args, **kwargs)

    def __cat_dim__(self, key, value, *args, **kwargs):
        if key == "whole":
            return None
        return 1 if key == "wide" else super().__cat_dim__(key, value, *args, **kwargs)


def make_pair(sources, targets):
    return Pair(
        x_s=torch.rand(sources, 1),
        x_t=torch.rand(targets, 1),
        whole=torch.rand(3),
        wide=torch.rand(2, sources),
        edge_index=torch.tensor([[0, sources - 1], [targets - 1, 0]]),
        num_nodes=sources + targets,
    )


def make_nested(nodes, name):
    return make_graph(
        nodes,
        name=name,
        count=nodes,
        value=nodes / 2,
        tags=[nodes] * nodes,
        maps={"a": torch.rand(nodes), "b_index": torch.tensor([nodes - 1])},
        tensors=[torch.rand(2), torch.rand(nodes)],
    )


def make_bare(nodes):
    return Data(num_nodes=nodes, edge_index=torch.tensor([[0], [nodes - 1]]))


CASES = {
    "data": ([(4, 3), (2, 6), (3, 0)], make_graph, {}),
    "one graph": ([(4, 3)], make_graph, {}),
    "empty graphs": ([(2, 3), (0, 1), (3, 5), (0, 0)], make_graph, {}),
    "follow_batch": ([(2, 3), (4, 1)], make_graph, {"follow_batch": ["edge_index"]}),
    "nested attributes": ([(2, "a"), (4, "b")], make_nested, {}),
    "follow nested": ([(2, "a"), (4, "b")], make_nested, {"follow_batch": ["maps"]}),
    "excluded keys": ([(2, 3), (4, 1)], make_graph, {"exclude_keys": ["vel"]}),
    "num_nodes only": ([(3,), (2,)], make_bare, {}),
    "custom increments": ([(2, 3), (1, 4)], make_pair, {"follow_batch": ["x_s", "x_t"]}),
    "hetero": ([(2, 3), (4, 1)], make_hetero, {}),
    "hetero follow_batch": ([(2, 3), (4, 1)], make_hetero, {"follow_batch": ["pos"]}),
}


def build(case):
    sizes, make, options = CASES[case]
    return [make(*size) for size in sizes], options


def stores_of(data):
    return [dict(store.items()) for store in data.stores]


@pytest.fixture(params=CASES)
def case(request):
    return build(request.param)


@pytest.fixture(params=[1, 2, 3])
def joined(request, case):
    """What joining gives and what PyG's collation of the repeated list gives."""
    graphs, options = case
    batch = Batch.from_data_list(graphs, **options)
    expected = Batch.from_data_list(graphs * request.param, **options)
    return concatenate([batch] * request.param), expected


def test_attributes_equal_those_of_collation(joined):
    actual, expected = joined
    assert_same(stores_of(actual), stores_of(expected))


def test_slices_equal_those_of_collation(joined):
    actual, expected = joined
    assert_same(actual._slice_dict, expected._slice_dict)


def test_increments_equal_those_of_collation(joined):
    actual, expected = joined
    assert_same(actual._inc_dict, expected._inc_dict)


def test_graphs_can_be_taken_out_again(joined):
    actual, expected = joined
    for one, other in zip(actual.to_data_list(), expected.to_data_list(), strict=True):
        assert_same(stores_of(one), stores_of(other))


def test_numbers_of_graphs_and_nodes_equal_those_of_collation(joined):
    actual, expected = joined
    assert actual.num_graphs == expected.num_graphs
    assert actual.num_nodes == expected.num_nodes


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=5))
def test_any_sizes_are_joined_as_collation_does(sizes):
    graphs = [make_graph(nodes, edges, weight=torch.rand(edges)) for nodes, edges in sizes]
    batch = Batch.from_data_list(graphs)
    expected = Batch.from_data_list(graphs * 2)
    assert_same(stores_of(concatenate([batch, batch])), stores_of(expected))


def test_a_joined_batch_can_be_joined_again(case):
    graphs, options = case
    pair = concatenate([Batch.from_data_list(graphs, **options)] * 2)
    again = concatenate([pair, pair])
    expected = Batch.from_data_list(graphs * 4, **options)
    assert_same(snapshot(again), snapshot(expected))


def test_each_part_keeps_its_own_values():
    batch = make_batch((2, 3))
    moved = copy.copy(batch)
    moved.pos = batch.pos + 1
    joined = concatenate([batch, moved, batch])
    assert torch.equal(joined.pos, torch.cat([batch.pos, batch.pos + 1, batch.pos]))


def test_edge_attributes_follow_their_edges_with_as_many_edges_as_nodes():
    graphs = [make_graph(n, e, edge_attr=torch.rand(e, 3)) for n, e in ((2, 4), (4, 2))]
    batch = Batch.from_data_list(graphs)
    last = concatenate([batch, batch])[3]
    assert torch.equal(last.edge_attr, graphs[1].edge_attr)


def test_joining_writes_nothing_to_its_arguments(case):
    graphs, options = case
    batch = Batch.from_data_list(graphs, **options)
    before = snapshot(batch)
    concatenate([batch, batch])
    assert_same(snapshot(batch), before)


def test_joined_bookkeeping_is_its_own():
    batch = make_batch()
    joined = concatenate([batch])
    joined._slice_dict["pos"] = None
    assert batch._slice_dict["pos"] is not None


@pytest.mark.parametrize("rows", [3, 9, 12], ids=["graph", "edge", "node"])
def test_rows_added_after_collation_are_joined(rows):
    batch = make_batch((4, 3, 5), edges=3)
    batch.late = torch.rand(rows, 2)
    assert torch.equal(concatenate([batch, batch]).late, batch.late.repeat(2, 1))


def test_ambiguous_rows_added_after_collation_are_refused():
    batch = make_batch((0, 3, 1, 0))
    batch.late = torch.rand(4, 2)
    with pytest.raises(ValueError, match=r"`late` must have one row .* got 4 rows, .* ambiguous"):
        concatenate([batch, batch])


def test_rows_of_no_level_added_after_collation_are_refused():
    batch = make_batch()
    batch.late = torch.rand(7, 2)
    with pytest.raises(ValueError, match=r"`late` must have one row .* got 7 rows, .* fits none"):
        concatenate([batch, batch])


def test_an_index_added_after_collation_is_refused():
    batch = make_batch()
    batch.pair_index = torch.zeros(2, 4, dtype=torch.long)
    with pytest.raises(TypeError, match="`pair_index` was added to the batch after collation"):
        concatenate([batch, batch])


@pytest.mark.parametrize(
    "value",
    [[torch.zeros(3)], {"a": torch.zeros(3)}, 1.0, torch.tensor(1.0)],
    ids=["list", "mapping", "float", "0-dimensional tensor"],
)
def test_other_values_added_after_collation_are_refused(value):
    batch = make_batch()
    batch.late = value
    with pytest.raises(TypeError, match="`late`"):
        concatenate([batch, batch])


@pytest.mark.parametrize("value", ["a name", 3], ids=["string", "integer"])
def test_constants_added_after_collation_are_kept(value):
    batch = make_batch()
    batch.late = value
    assert concatenate([batch, batch]).late == value


def test_a_sparse_adjacency_is_refused():
    with torch.sparse.check_sparse_tensor_invariants(enable=False):
        adjacency = torch.eye(3).to_sparse_coo()
    batch = Batch.from_data_list([Data(x=torch.rand(3, 1), adj_t=adjacency)] * 2)
    with pytest.raises(TypeError, match=r"`adj_t` must be a dense .* got sparse tensor"):
        concatenate([batch, batch])


def test_an_edge_index_with_metadata_is_refused():
    edges = EdgeIndex([[0, 1], [1, 2]], sparse_size=(3, 3), sort_order="row")
    batch = Batch.from_data_list([Data(x=torch.rand(3, 1), edge_index=edges)] * 2)
    with pytest.raises(TypeError, match=r"`edge_index` must be .* joined, got EdgeIndex"):
        concatenate([batch, batch])


def test_a_batch_without_slices_is_refused():
    batch = Batch(pos=torch.rand(3, 3), batch=torch.tensor([0, 0, 1]))
    with pytest.raises(ValueError, match=r"`batch` must come from `Batch.from_data_list`"):
        concatenate([batch, batch])


@pytest.mark.parametrize("edges", [(2, 5), (12, 6), (20, 50)], ids=["fewer", "as many", "more"])
def test_edges_replaced_after_collation_are_joined(edges):
    batch = Batch.from_data_list([make_graph(n, e) for n, e in zip((3, 4), edges, strict=True)])
    same = batch.batch[:, None] == batch.batch
    batch.edge_index = (same & ~torch.eye(7, dtype=torch.bool)).nonzero().T
    batch.edge_vec = batch.pos[batch.edge_index[0]]
    joined = concatenate([batch, batch])
    assert torch.equal(joined.edge_index[:, 18:], batch.edge_index + 7)
    assert torch.equal(joined.edge_vec, torch.cat([batch.edge_vec] * 2))
    if edges != (12, 6):  # which PyG itself would cut where the former edges were
        assert joined.get_example(2).edge_index.size(1) == 6
