"""The kernels of segment reductions, compiled for a GPU that need not be there."""

from __future__ import annotations

import os
import re

import pytest

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from pyg_remul.ops._segment_kernels import (  # noqa: E402
    chunk_kernel,
    normalize_kernel,
    segment_kernel,
)

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing"
)

CONSTANTS = {"CHUNK": 1024, "SEGMENTS": 1, "ROWS": 16, "FEATURES": 64}
INDICES = ("index", "order", "pointer")


def compile_kernel(kernel, dtype, softmax):
    """The code of a kernel for 64 features on compute capability 9.0."""
    constants = {name: CONSTANTS[name] for name in kernel.arg_names if name in CONSTANTS}
    if "SOFTMAX" in kernel.arg_names:
        constants["SOFTMAX"] = softmax
    types = dict.fromkeys(INDICES, "*i64") | {"x": f"*{dtype}", "out": f"*{dtype}"}
    types |= {"num_rows": "i32", "num_segments": "i32", "num_features": "i32"}
    signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
    signature |= dict.fromkeys(constants, "constexpr")
    aligned = [name for name in kernel.arg_names if signature[name] not in ("i32", "constexpr")]
    places = [kernel.arg_names.index(name) for name in [*aligned, "num_features"]]
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(kernel.arg_names.index(name),): x for name, x in constants.items()},
        attrs={(place,): [["tt.divisibility", 16]] for place in places},
    )
    target, options = GPUTarget("cuda", 90, 32), {"enable_fp_fusion": True}
    return triton.compile(source, target=target, options=options).asm["ptx"]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("kernel", "softmax"),
    [
        pytest.param(chunk_kernel, False, id="sum of chunks"),
        pytest.param(chunk_kernel, True, id="softmax of chunks"),
        pytest.param(segment_kernel, False, id="sum of segments"),
        pytest.param(segment_kernel, True, id="softmax of segments"),
        pytest.param(normalize_kernel, True, id="normalisation"),
    ],
)
def test_kernel_compiles_without_atomics_and_with_wide_loads(
    monkeypatch, tmp_path, kernel, softmax, dtype
):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    code = compile_kernel(kernel, dtype, softmax)
    assert not re.search(r"\b(atom|red)\.", code)
    assert re.search(r"ld\.global\S*\.v4\.b32", code)
