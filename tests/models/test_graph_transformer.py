from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.nn.functional import gelu, layer_norm
from torch_geometric.data import Batch, Data

from pyg_remul.models import GraphTransformer
from pyg_remul.models.graph_transformer import TransformerBlock
from pyg_remul.ops import RaggedLayout

both_norms = pytest.mark.parametrize("norm_axes", ["channels", "graph"])


def small(**options):
    return GraphTransformer(hidden_channels=16, num_layers=2, heads=4, **options).double()


def plain_block(block, x, axes):
    """The block on one graph [n, C], head by head."""
    channels = x.size(1)
    depth = channels // block.heads
    query, key, value = block.qkv(layer_norm(x, x.shape[axes:])).split(channels, dim=1)
    attended = []
    for head in range(block.heads):
        columns = slice(head * depth, (head + 1) * depth)
        logits = query[:, columns] @ key[:, columns].T / depth**0.5
        attended.append(logits.softmax(dim=1) @ value[:, columns])
    x = x + block.out(torch.cat(attended, dim=1))
    hidden, _, last = block.mlp
    return x + last(gelu(hidden(layer_norm(x, x.shape[axes:])), approximate="none"))


@pytest.mark.parametrize("sizes", [[5, 5, 5], [4, 1, 0, 6], [520, 2]], ids=str)
@pytest.mark.parametrize(("norm_axes", "axes"), [("channels", -1), ("graph", -2)])
def test_block_follows_the_formula(norm_axes, axes, sizes):
    block = TransformerBlock(channels=8, heads=2, norm_axes=norm_axes).double()
    x = torch.randn(sum(sizes), 8).double()
    expected = torch.cat([plain_block(block, graph, axes) for graph in x.split(sizes)])
    torch.testing.assert_close(block(x, RaggedLayout(sizes)), expected, rtol=1e-12, atol=1e-12)


@both_norms
@pytest.mark.parametrize("sizes", [(4, 4), (4, 6)], ids=["equal", "ragged"])
def test_graphs_of_a_batch_do_not_see_each_other(norm_axes, sizes, make_graph):
    model = small(norm_axes=norm_axes)
    batch = Batch.from_data_list([make_graph(size, seed=size) for size in sizes])
    batch.pos.requires_grad_()
    (gradient,) = torch.autograd.grad(model(batch)[:4].sum(), batch.pos)
    assert gradient[:4].any()
    assert not gradient[4:].any()


@both_norms
def test_ragged_batch_with_empty_graphs_gives_finite_gradients(norm_axes, make_graph):
    model = small(norm_axes=norm_axes)
    batch = Batch.from_data_list([make_graph(size, seed=size) for size in (0, 1, 4, 0)])
    model(batch).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@both_norms
@pytest.mark.parametrize("num_graphs", [1, 2])
def test_empty_graphs_alone_give_no_rows(norm_axes, num_graphs, make_graph):
    batch = Batch.from_data_list([make_graph(0)] * num_graphs)
    assert small(norm_axes=norm_axes)(batch).shape == (0, 3)


def test_norms_over_channels_and_graph_differ(make_graph):
    data, first = make_graph(), small()
    second = small(norm_axes="graph")
    second.load_state_dict(first.state_dict())
    assert (first(data) - second(data)).abs().max() > 1e-3


def test_boundaries_are_read_from_ptr_where_the_batch_has_no_slices(make_graph):
    model, batch = small(), Batch.from_data_list([make_graph(2), make_graph(3)])
    plain = Data(mass=batch.mass, pos=batch.pos, vel=batch.vel, ptr=batch.ptr)
    assert torch.equal(model(plain), model(batch))


def test_boundaries_are_read_from_ptr_for_an_attribute_added_after_collation(make_graph):
    model = small(inputs=("added", "pos", "vel"))
    batch = Batch.from_data_list([make_graph(2), make_graph(3)])
    batch.added = batch.mass
    expected = small()
    expected.load_state_dict(model.state_dict())
    assert torch.equal(model(batch), expected(batch))


def test_batch_vector_without_boundaries_is_refused(make_graph):
    data = make_graph()
    data.batch = torch.tensor([0, 0, 1, 1, 1])
    with pytest.raises(ValueError, match=r"`data\.ptr` must be present beside `data\.batch`"):
        small()(data)


def test_boundaries_that_do_not_cover_the_nodes_are_refused(make_graph):
    data = make_graph()
    data.ptr = torch.tensor([0, 2, 4])
    with pytest.raises(ValueError, match=r"`data\.ptr` must cover the 5 nodes .*, got 4\."):
        small()(data)


def test_compiled_model_is_not_compiled_anew_for_other_sizes(make_graph):
    def batch(*sizes):
        return Batch.from_data_list([make_graph(size, seed=size) for size in sizes])

    model, counter = small(), CompileCounter()
    compiled = torch.compile(model, backend=counter)
    counts = []
    for sizes in [(2, 3), (9, 20, 4, 11), (5, 17, 4), (7, 3), (30, 1, 2, 6, 3)]:
        data = batch(*sizes)
        torch.testing.assert_close(compiled(data), model(data), rtol=1e-12, atol=1e-12)
        counts.append(counter.frame_count)
    assert counts[2] == counts[3] == counts[4]


def test_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match=r"`hidden_channels` must be a multiple .* = 8, got 12\."):
        GraphTransformer(hidden_channels=12)


def test_number_of_heads_below_one_is_refused():
    with pytest.raises(ValueError, match=r"`heads` must be positive, got 0\."):
        GraphTransformer(heads=0)


def test_unknown_norm_axes_are_refused():
    with pytest.raises(ValueError, match="`norm_axes` must be 'channels' or 'graph', got 'nodes'"):
        GraphTransformer(norm_axes="nodes")
