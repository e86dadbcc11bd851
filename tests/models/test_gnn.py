from __future__ import annotations

import torch
from torch.nn.utils.parametrizations import weight_norm

from pyg_remul.models import GNN
from pyg_remul.models.gnn import GNNLayer


def test_layer_sums_messages_from_sources_at_targets():
    layer = GNNLayer(channels=4, edge_dim=2).double()
    h, edge_attr = torch.randn(3, 4).double(), torch.randn(4, 2).double()
    edges = [(0, 1), (2, 1), (2, 1), (1, 0)]
    total = torch.zeros(3, 4).double()
    for (source, target), attribute in zip(edges, edge_attr, strict=True):
        total[target] += layer.edge_mlp(torch.cat([h[target], h[source], attribute]))
    expected = h + layer.node_mlp(torch.cat([h, total], dim=1))
    out = layer(h, torch.tensor(edges).T, edge_attr)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)


def test_node_feels_its_neighbours_within_as_many_hops_as_layers(make_graph):
    data = make_graph(4)
    data.edge_index = torch.tensor([[0, 1, 2], [1, 2, 3]])
    data.edge_attr = data.edge_attr[:3]
    model = GNN(hidden_channels=8, num_layers=2).double()
    data.pos.requires_grad_()
    (gradient,) = torch.autograd.grad(model(data)[3].sum(), data.pos)
    assert gradient.any(dim=1).tolist() == [False, True, True, True]


def test_weights_may_be_parametrised():
    layer, edges = GNNLayer(channels=4).double(), torch.tensor([[0, 1], [1, 2]])
    h = torch.randn(3, 4).double()
    expected = layer(h, edges)
    for linear in (layer.edge_mlp[0], layer.edge_mlp[2]):
        weight_norm(linear)
    torch.testing.assert_close(layer(h, edges), expected, rtol=1e-12, atol=1e-12)


def test_edge_attribute_is_read_by_its_name(make_graph):
    data = make_graph()
    model = GNN(hidden_channels=8, edge_attr="bond").double()
    expected = GNN(hidden_channels=8).double()
    expected.load_state_dict(model.state_dict())
    renamed = data.clone()
    renamed.bond = renamed.edge_attr
    del renamed.edge_attr
    assert torch.equal(model(renamed), expected(data))


def test_edge_attributes_matter(make_graph):
    data, model = make_graph(), GNN(hidden_channels=8).double()
    other = data.clone()
    other.edge_attr = data.edge_attr + 1
    assert (model(other) - model(data)).abs().max() > 1e-4


def test_integer_edge_attribute_is_promoted(make_graph):
    data, model = make_graph(), GNN(hidden_channels=8, edge_dim=1).double()
    hops, floats = data.clone(), data.clone()
    hops.edge_attr = torch.ones(data.num_edges, dtype=torch.long)
    floats.edge_attr = torch.ones(data.num_edges, 1, dtype=torch.float64)
    assert torch.equal(model(hops), model(floats))


def test_head_sees_the_hidden_layer_of_the_decoder(make_graph):
    assert GNN(hidden_channels=8).double().features(make_graph()).shape == (5, 8)
