"""The kernels of messages, compiled for a GPU that need not be there."""

from __future__ import annotations

import os
import re

import pytest
import torch

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from pyg_remul.ops import EdgeNetwork  # noqa: E402
from pyg_remul.ops._message_backward_kernels import backward_kernel  # noqa: E402
from pyg_remul.ops._message_constants import _shared_bytes, constants, fits_kernels  # noqa: E402
from pyg_remul.ops._message_forward_kernels import forward_kernel  # noqa: E402
from pyg_remul.precision import tf32  # noqa: E402
from tests.ops.message_cases import make_case  # noqa: E402

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing"
)

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}
OTHERS = dict.fromkeys(("order", "pointer", "others"), "*i64") | {
    "num_nodes": "i32",
    "clamp": "fp32",
    "moved": "*fp32",
    "grad_moved": "*fp32",
    "grad_points": "*fp32",
    "partials": "*fp32",
}
KERNELS = {
    "forward": (forward_kernel, {}),
    "by-target": (backward_kernel, {"BY_TARGET": True, "ROWS": 84}),
    "by-source": (backward_kernel, {"BY_TARGET": False, "ROWS": 84}),
}
OPTIONS = ("num_warps", "num_stages", "enable_fp_fusion")
SHARED_BYTES = 232_448
"""Of a multiprocessor of compute capability 9.0, for one program."""


def make_wide_case(dtype):
    return make_case(variant="everything", channels=64, dtype=dtype, points_dtype=torch.float32)


def compile_kernel(kernel, own, network, options, *, edge_grad=False):
    """A kernel as the launcher asks for it, for compute capability 9.0."""
    known = constants(network, options, backward=kernel is backward_kernel) | own
    compiled = {name: known.pop(name) for name in OPTIONS}
    absent = [name for name, x in network._asdict().items() if x is None]
    known |= dict.fromkeys(absent if edge_grad else [*absent, "grad_edge_attr"])
    known = {name: x for name, x in known.items() if name in kernel.arg_names}
    types = dict.fromkeys(kernel.arg_names, TYPES[network.target.dtype]) | OTHERS
    types |= {"points": "*fp32"} | dict.fromkeys(known, "constexpr")
    source = ASTSource(
        fn=kernel,
        signature={name: types[name] for name in kernel.arg_names},
        constexprs={(kernel.arg_names.index(name),): x for name, x in known.items()},
        attrs={
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(kernel.arg_names)
            if types[name].startswith("*")
        },
    )
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=compiled)


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@pytest.mark.parametrize("dtype", TYPES, ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", KERNELS)
def test_kernel_compiles_without_atomics(name, dtype):
    _, network, options = make_wide_case(dtype)
    kernel = compile_kernel(*KERNELS[name], network, options, edge_grad=name == "by-target")
    assert not re.search(r"\b(atom|red)\.", kernel.asm["ptx"])
    assert kernel.metadata.shared <= _shared_bytes(network) <= SHARED_BYTES


def test_kernels_compile_without_what_layers_may_lack():
    _, network, options = make_case(variant="bare", channels=32, dtype=torch.bfloat16)
    for kernel in KERNELS.values():
        assert "mma" in compile_kernel(*kernel, network, options).asm["ptx"]


def test_little_shared_memory_leaves_wide_layers_to_blocks(monkeypatch):
    network = make_wide_case(torch.float32)[1]
    monkeypatch.setattr("pyg_remul.ops._message_constants._most_shared_bytes", lambda _: 99 * 1024)
    assert not fits_kernels(network)
    assert fits_kernels(EdgeNetwork(*network[:4]))
    assert fits_kernels(network.map(torch.Tensor.bfloat16))


@pytest.mark.parametrize(("allowed", "precision"), [(False, "tf32x3"), (True, "tf32")])
def test_products_of_floats_are_rounded_where_that_is_allowed(allowed, precision):
    _, network, options = make_wide_case(torch.float32)
    with tf32(allowed):
        assert constants(network, options, backward=False)["PRECISION"] == precision
