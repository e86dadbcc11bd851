"""The projection onto equivariant maps, against the laws of a projection and a direct solution."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pyg_remul import SO3
from pyg_remul.models._projection import Projection
from pyg_remul.models._tensor_representation import TensorRepresentation, TensorTerm

terms = st.builds(TensorTerm, st.integers(0, 2), st.sampled_from([1, -1]), st.integers(1, 2))
representations = st.lists(terms, min_size=1, max_size=3).map(
    lambda parts: TensorRepresentation(tuple(parts))
)
TENSORS = TensorRepresentation.evenly(33, "SO3")


def matrix_of(representation, rotation, sign=1):
    """How a rotation, times the inversion where the sign is -1, acts on the components."""
    blocks = []
    for term in representation.terms:
        block = torch.ones(1, 1, dtype=torch.float64)
        for _ in range(term.rank):
            block = torch.kron(block, rotation)
        factor = term.parity if sign < 0 else 1
        blocks += [factor * block] * term.multiplicity
    return torch.block_diag(*blocks)


def draw(source, target):
    weight = torch.randn(target.size, source.size, dtype=torch.float64)
    return weight, torch.randn(target.size, dtype=torch.float64)


def close(actual, expected, atol=1e-12):
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


@given(representations, representations)
def test_projecting_twice_is_projecting_once(source, target):
    project = Projection(source, target).double()
    once = project(*draw(source, target))
    close(project(*once), once)


@given(representations, representations)
def test_projection_is_symmetric(source, target):
    project = Projection(source, target).double()
    (w, b), (v, c) = draw(source, target), draw(source, target)
    (pw, pb), (pv, pc) = project(w, b), project(v, c)
    close((pw * v).sum() + (pb * c).sum(), (w * pv).sum() + (b * pc).sum())


@given(representations, representations, st.sampled_from([1, -1]))
def test_projected_maps_commute_with_the_group(source, target, sign):
    project = Projection(source, target).double()
    weight, bias = project(*draw(source, target))
    rotation = SO3().sample(1, dtype=torch.float64).matrix[0]
    before, after = matrix_of(source, rotation, sign), matrix_of(target, rotation, sign)
    close(weight @ before, after @ weight)
    close(after @ bias, bias)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ([TensorTerm(0, 1, 2), TensorTerm(1, 1, 1)], [TensorTerm(1, 1, 2), TensorTerm(2, 1, 1)]),
        ([TensorTerm(1, -1, 1), TensorTerm(1, 1, 1)], [TensorTerm(1, -1, 1), TensorTerm(2, 1, 1)]),
        ([TensorTerm(2, 1, 1)], [TensorTerm(2, 1, 1)]),
    ],
    ids=["rotations", "parities", "rank-4"],
)
def test_projection_is_onto_all_solutions_of_the_constraint(source, target, orthogonal):
    source, target = TensorRepresentation(tuple(source)), TensorRepresentation(tuple(target))
    size = target.size * source.size
    identity = torch.eye(size, dtype=torch.float64)
    rows = []
    for matrix in orthogonal(4):
        sign = int(torch.linalg.det(matrix).round())
        before, after = (matrix_of(r, sign * matrix, sign) for r in (source, target))
        rows.append(torch.kron(after, before) - identity)
    *_, right = torch.linalg.svd(torch.cat(rows))
    rank = torch.linalg.matrix_rank(torch.cat(rows), atol=1e-9)
    solutions = right[rank:]
    project = Projection(source, target).double()
    units = identity.view(size, target.size, source.size)
    columns = [project(unit, torch.zeros(target.size).double())[0].flatten() for unit in units]
    close(torch.stack(columns), solutions.T @ solutions, atol=1e-10)


def test_map_that_is_equivariant_stays_as_it_is():
    vectors = TensorRepresentation((TensorTerm(1, 1, 2),))
    weight = torch.kron(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.eye(3))
    close(Projection(vectors, vectors)(weight, torch.zeros(6))[0], weight, atol=1e-6)


def test_cross_product_with_a_constant_is_no_equivariant_map():
    vectors = TensorRepresentation((TensorTerm(1, 1, 1),))
    cross = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 0]])
    assert not Projection(vectors, vectors)(cross, torch.ones(3))[0].any()


def test_gradient_is_that_of_finite_differences():
    tensor = TensorRepresentation((TensorTerm(0, 1, 1), TensorTerm(2, 1, 1)))
    project = Projection(tensor, tensor).double()
    weight, bias = (value.requires_grad_() for value in draw(tensor, tensor))
    assert torch.autograd.gradcheck(project, (weight, bias))


def test_compiled_projection_has_the_same_gradient():
    project = Projection(TENSORS, TENSORS).double()
    weight, bias = (value.requires_grad_() for value in draw(TENSORS, TENSORS))
    upstream, _ = draw(TENSORS, TENSORS)
    compiled = torch.compile(project, backend="aot_eager", fullgraph=True)
    expected = torch.autograd.grad((project(weight, bias)[0] * upstream).sum(), weight)
    found = torch.autograd.grad((compiled(weight, bias)[0] * upstream).sum(), weight)
    close(found, expected)


def test_tables_are_no_part_of_the_state():
    assert not Projection(TENSORS, TENSORS).state_dict()


def test_projection_is_exact_after_a_detour_through_single_precision():
    project = Projection(TENSORS, TENSORS)
    maps = draw(TENSORS, TENSORS)
    once = project.half().float().double()(*maps)
    close(project(*once), once, atol=1e-14)


def test_projection_made_without_memory_works_once_it_has_some():
    with torch.device("meta"):
        project = Projection(TENSORS, TENSORS)
    maps = draw(TENSORS, TENSORS)
    expected = Projection(TENSORS, TENSORS).double()(*maps)
    assert {buffer.device.type for buffer in project.buffers()} == {"meta"}
    close(project.to_empty(device="cpu").double()(*maps), expected)


def test_shapes_can_be_had_without_memory():
    with torch.device("meta"):
        project, maps = Projection(TENSORS, TENSORS), (torch.empty(33, 33), torch.empty(33))
        assert [value.shape for value in project(*maps)] == [(33, 33), (33,)]


def test_copy_works_on_its_own():
    project, maps = Projection(TENSORS, TENSORS).double(), draw(TENSORS, TENSORS)
    close(copy.deepcopy(project)(*maps), project(*maps))


def test_mixed_precision_does_not_round_the_projection():
    project = Projection(TENSORS, TENSORS)
    maps = [value.float() for value in draw(TENSORS, TENSORS)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = project(*maps)
    assert torch.equal(rounded[0], project(*maps)[0])


def test_tables_move_with_the_module_that_holds_them():
    module = nn.Sequential(Projection(TENSORS, TENSORS)).double()
    assert {buffer.dtype for buffer in module.buffers()} == {torch.int32, torch.float64}
