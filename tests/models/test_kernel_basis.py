"""Equivariant kernels against their laws."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from pyg_remul import SO3
from pyg_remul.irreps import wigner_matrices
from pyg_remul.lengths import direction_and_length
from pyg_remul.models._kernel_basis import EquivariantKernels, num_kernels

DEGREES = range(4)
pairs = pytest.mark.parametrize(
    ("degree_out", "degree_in"), [(i, k) for i in DEGREES for k in DEGREES]
)


def directions(num=5, dtype=torch.float64):
    return direction_and_length(torch.randn(num, 3, dtype=torch.float64).to(dtype))[0]


def kernels_of_pair(direction, degree_out, degree_in, num_degrees=4):
    """Shape [E, 2l + 1, kernels, 2k + 1]."""
    basis = EquivariantKernels(num_degrees).to(direction.dtype)(direction)
    return basis.between([degree_in], degree_out).unflatten(-1, (-1, 2 * degree_in + 1))


def turned(kernels, rotation, degree_out, degree_in):
    left, right = (wigner_matrices(rotation, d)[-1] for d in (degree_out, degree_in))
    return torch.einsum("exa,eajb,eyb->exjy", left, kernels, right)


@pairs
@pytest.mark.parametrize(
    ("dtype", "atol"), [(torch.float64, 1e-14), (torch.float32, 1e-6)], ids=["float64", "float32"]
)
def test_turning_the_direction_turns_the_kernels(degree_out, degree_in, dtype, atol):
    rotation, direction = SO3().sample(5, dtype=dtype).matrix, directions(dtype=dtype)
    actual = kernels_of_pair((rotation @ direction.unsqueeze(-1))[..., 0], degree_out, degree_in)
    kernels = kernels_of_pair(direction, degree_out, degree_in)
    expected = turned(kernels, rotation, degree_out, degree_in)
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)


@pairs
def test_kernels_of_a_pair_are_orthogonal_and_of_equal_norm(degree_out, degree_in):
    kernels = kernels_of_pair(directions(), degree_out, degree_in)
    gram = torch.einsum("eajb,eakb->ejk", kernels, kernels)
    number = num_kernels(degree_out, degree_in)
    expected = torch.eye(number, dtype=torch.float64).expand(5, -1, -1) / (4 * math.pi)
    torch.testing.assert_close(gram, expected, rtol=0, atol=1e-14)


@pairs
def test_direction_zero_leaves_multiples_of_the_identity(degree_out, degree_in):
    kernels = kernels_of_pair(torch.zeros(1, 3, dtype=torch.float64), degree_out, degree_in)[0]
    first, others = kernels[:, 0], kernels[:, 1:]
    expected = torch.zeros_like(first)
    if degree_out == degree_in:
        expected = torch.eye(len(first)).double() / (4 * math.pi * len(first)) ** 0.5
    torch.testing.assert_close(first.abs(), expected, rtol=0, atol=1e-15)
    assert not others.any()


def test_kernel_from_scalars_to_vectors_points_along_the_direction():
    direction = directions()
    kernel = kernels_of_pair(direction, 1, 0).flatten(1)
    expected = direction / (4 * math.pi) ** 0.5
    torch.testing.assert_close(kernel.abs(), expected.abs(), rtol=0, atol=1e-15)
    torch.testing.assert_close(
        kernel * kernel[:, :1].sign() * direction[:, :1].sign(), expected, rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("degrees", [(0, 1, 2, 3), (1,), (0, 3)], ids=str)
def test_kernels_from_some_degrees_stand_side_by_side(degrees):
    basis = EquivariantKernels(4).double()(directions())
    single = torch.cat([basis.between([k], 2) for k in degrees], dim=-1)
    assert torch.equal(basis.between(degrees, 2), single)


@pytest.mark.parametrize("num_degrees", range(1, 7))
def test_number_of_degrees_changes_none_of_the_kernels(num_degrees):
    direction, degree = directions(), num_degrees - 1
    kernels = kernels_of_pair(direction, degree, degree, num_degrees)
    torch.testing.assert_close(
        kernels, kernels_of_pair(direction, degree, degree, 6), rtol=0, atol=1e-14
    )


def test_changes_of_dtype_leave_the_precision():
    module, direction = EquivariantKernels(4).double(), directions()
    expected = module(direction).kernels
    there_and_back = copy.deepcopy(module).float().half().double()(direction).kernels
    assert all(torch.equal(*pair) for pair in zip(there_and_back, expected, strict=True))


def test_tables_are_no_part_of_the_state():
    assert not EquivariantKernels(2).state_dict()


@pytest.mark.parametrize(
    "mode", [torch.inference_mode(), torch.device("meta")], ids=["inference", "meta"]
)
def test_kernels_built_in_another_mode_can_be_used(mode):
    with mode:
        module = EquivariantKernels(3)
    module.to_empty(device="cpu").double()
    direction = directions().requires_grad_()
    sum(kernels.square().sum() for kernels in module(direction).kernels).backward()
    assert direction.grad.isfinite().all()
