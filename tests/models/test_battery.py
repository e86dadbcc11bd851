"""What every model promises of its outputs: symmetry, batches, awkward graphs."""

from __future__ import annotations

import pytest
import torch
from cases import (
    CASES,
    both_stages,
    every_case,
    moved,
    moved_output,
    over,
    over_awkward_graphs,
    permuted,
    relative_error,
    rotations,
    train,
)
from torch_geometric.data import Batch

# Symmetry


@pytest.mark.parametrize(
    ("dtype", "bound"), [(torch.float64, 1e-10), (torch.float32, 1e-4)], ids=["float64", "float32"]
)
@both_stages
@over([case for case in CASES if case.symmetry == "exact"])
def test_exact_model_is_equivariant(case, num_steps, dtype, bound, make_graph, orthogonal):
    model, data = case.build().to(dtype), make_graph(dtype=dtype)
    train(model, data, num_steps)
    matrices = orthogonal(20) if case.reflections else rotations(orthogonal(20))
    assert relative_error(case, model, data, matrices, translate=case.translations) <= bound


@over([case for case in CASES if case.symmetry == "exact" and not case.reflections])
def test_model_of_rotations_alone_tells_mirror_images_apart(case, make_graph, orthogonal):
    model, data = case.build().double(), make_graph()
    train(model, data, 5)
    mirrored = -rotations(orthogonal(20))
    error = relative_error(case, model, data, mirrored, translate=False)
    assert error > 1e-9  # rounding is 1e-15


@over([case for case in CASES if case.symmetry == "exact" and not case.translations])
def test_model_without_translations_depends_on_the_origin(case, make_graph):
    model, data = case.build().double(), make_graph()
    train(model, data, 5)
    assert relative_error(case, model, data, torch.eye(3).expand(5, 3, 3)) > 1e-3


@both_stages
@over([case for case in CASES if case.symmetry == "none"])
def test_unconstrained_model_is_not_equivariant(case, num_steps, make_graph, orthogonal):
    model, data = case.build().double(), make_graph()
    train(model, data, num_steps)
    assert relative_error(case, model, data, orthogonal(20)) > 0.05


@both_stages
@over([case for case in CASES if case.symmetry == "soft"])
def test_soft_model_is_off_equivariance(case, num_steps, make_graph, orthogonal):
    model, data = case.build().double(), make_graph()
    train(model, data, num_steps)
    assert relative_error(case, model, data, rotations(orthogonal(20)), translate=False) > 1e-3


@over([case for case in CASES if not case.fixed_size])
def test_permuting_nodes_permutes_the_output(case, make_graph):
    model, data, order = case.build().double(), make_graph(), torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(
        model(permuted(data, order)), model(data)[order], rtol=1e-12, atol=1e-12
    )


@over([case for case in CASES if case.fixed_size])
def test_model_tied_to_node_order_is_not_permutation_equivariant(case, make_graph):
    model, data, order = case.build().double(), make_graph(), torch.tensor([3, 0, 4, 1, 2])
    assert (model(permuted(data, order)) - model(data)[order]).abs().max() > 1e-3


@every_case
def test_order_of_edges_does_not_matter(case, make_graph):
    model, data = case.build().double(), make_graph()
    order, shuffled = torch.randperm(data.num_edges), data.clone()
    shuffled.edge_index = data.edge_index[:, order]
    shuffled.edge_attr = data.edge_attr[order]
    torch.testing.assert_close(model(shuffled), model(data), rtol=1e-12, atol=1e-12)


@over([case for case in CASES if case.reads_edges])
def test_edges_matter_to_model_that_reads_them(case, make_graph):
    model, data = case.build().double(), make_graph()
    fewer = data.clone()
    fewer.edge_index, fewer.edge_attr = data.edge_index[:, :-3], data.edge_attr[:-3]
    assert (model(fewer) - model(data)).abs().max() > 1e-6


# Batches


@every_case
def test_lone_graph_equals_batch_of_one(case, make_graph):
    model, data = case.build().double(), make_graph()
    alone, batched = model(data), model(Batch.from_data_list([data]))
    torch.testing.assert_close(batched, alone, rtol=1e-12, atol=1e-12)


@every_case
def test_batch_equals_single_graphs(case, make_graph):
    model = case.build().double()
    graphs = [make_graph(seed=seed) for seed in range(3)]
    singles = torch.cat([model(graph) for graph in graphs])
    torch.testing.assert_close(model(Batch.from_data_list(graphs)), singles, rtol=1e-12, atol=1e-12)


@over([case for case in CASES if not case.fixed_size])
def test_ragged_batch_equals_single_graphs(case, make_graph):
    model = case.build().double()
    graphs = [make_graph(size, seed=size) for size in (3, 0, 5, 1, 1)]
    singles = torch.cat([model(graph) for graph in graphs])
    torch.testing.assert_close(model(Batch.from_data_list(graphs)), singles, rtol=1e-12, atol=1e-12)


# Awkward graphs


@over_awkward_graphs(CASES, torch.float32, torch.float64)
def test_awkward_graph_gives_finite_output_and_gradients(case, awkward, dtype, make_graph):
    model, data = case.build().to(dtype), awkward(make_graph(dtype=dtype))
    data.pos.requires_grad_()
    data.vel.requires_grad_()
    out = model(data)
    out.square().sum().backward()
    leaves = {**dict(model.named_parameters()), "input vel": data.vel}
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    gradients["input pos"] = data.pos.grad
    assert out.shape == (data.num_nodes, case.width)
    assert out.isfinite().all()
    assert [name for name, value in gradients.items() if not value.isfinite().all()] == []


@over([case for case in CASES if case.overflows])
def test_inputs_that_overflow_are_refused(case, make_graph):
    model, data = case.build(), make_graph(dtype=torch.float32)
    data.pos *= 1e30
    with pytest.raises(ValueError, match=r"`inputs` must .* overflow torch\.float32.*, got .* nan"):
        model(data)


@over_awkward_graphs([case for case in CASES if case.symmetry == "exact"], torch.float64)
def test_exact_model_is_equivariant_on_awkward_graph(case, awkward, dtype, make_graph, orthogonal):
    model, data = case.build().to(dtype), awkward(make_graph(dtype=dtype))
    train(model, make_graph(), 5)
    matrices = orthogonal(4) if case.reflections else rotations(orthogonal(4))
    shifts = torch.randn(4, 3, dtype=torch.float64) * case.translations
    with torch.no_grad():
        out = model(data)
        moves = list(zip(matrices, shifts, strict=True))
        expected = [moved_output(case, out, *move) for move in moves]
        found = [model(moved(data, *move)) for move in moves]
    # Coordinates of size s are rounded to 1e-16 s, however close together the nodes lie.
    size = max(1.0, float(data.pos.abs().max()), float(out.abs().max()))
    torch.testing.assert_close(found, expected, rtol=0, atol=case.rounding * size)
