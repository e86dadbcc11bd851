from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from pyg_remul.ops import RaggedLayout, ragged_attention
from pyg_remul.ops import attention as module

SIZES = {
    "none": [],
    "empty": [0, 0],
    "one-node": [1],
    "one-graph": [7],
    "equal": [5, 5, 0, 5],
    "few": [3, 0, 5, 1, 1],
    "5-to-31": list(range(5, 32)),
    "large": [140, 3, 0, 1],
    "not-packed": [520, 3, 0, 1],
    "large-equal": [130, 130],
}
HEADS = {"one-head": (1, 1), "heads": (4, 4), "shared": (4, 1), "grouped": (4, 2)}
by_sizes = pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
by_heads = pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
by_few_sizes = pytest.mark.parametrize("sizes", [[3, 3], [3, 0, 2, 1]], ids=["equal", "ragged"])


@pytest.fixture(params=["products", "fused"])
def path(request, monkeypatch):
    """Both ways through the operation, wherever the shapes would lead it."""
    products = request.param == "products"
    monkeypatch.setattr(module, "_prefers_products", lambda *_: products)
    return request.param


def draw(sizes, heads=(4, 4), width=6, value_width=3, dtype=torch.float64):
    rows, (query_heads, key_heads) = sum(sizes), heads
    shapes = [(query_heads, width), (key_heads, width), (key_heads, value_width)]
    return [torch.randn(rows, *shape, dtype=torch.float64).to(dtype) for shape in shapes]


def graph_by_graph(query, key, value, sizes):
    """Attention of each graph and head by itself."""
    shared = query.size(1) // max(key.size(1), 1)
    out = [query.new_zeros(0, query.size(1), value.size(2))]
    for q, k, v in zip(query.split(sizes), key.split(sizes), value.split(sizes), strict=True):
        heads = []
        for head in range(query.size(1)):
            logits = q[:, head] @ k[:, head // shared].T / query.size(2) ** 0.5
            heads.append(logits.softmax(dim=1) @ v[:, head // shared])
        out.append(torch.stack(heads, dim=1))
    return torch.cat(out)


def close(x, y, tolerance=1e-12):
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


# Values


@by_sizes
@by_heads
def test_batch_equals_its_graphs(sizes, heads, path):
    operands = draw(sizes, heads)
    expected = graph_by_graph(*operands, sizes)
    close(ragged_attention(*operands, RaggedLayout(sizes)), expected)


@given(st.lists(st.integers(0, 20), max_size=12))
def test_any_batch_equals_its_graphs(sizes):
    operands = draw(sizes)
    expected = graph_by_graph(*operands, sizes)
    close(ragged_attention(*operands, RaggedLayout(sizes)), expected)


@pytest.mark.parametrize("kind", [kind for kind in SIZES if kind != "none"])
def test_gradients_are_those_of_the_graphs(kind, path):
    sizes = SIZES[kind]
    operands = [x.requires_grad_() for x in draw(sizes, (4, 2))]
    found = ragged_attention(*operands, RaggedLayout(sizes))
    expected = graph_by_graph(*operands, sizes)
    weight = torch.randn_like(found)
    close(
        torch.autograd.grad(found, operands, weight),
        torch.autograd.grad(expected, operands, weight),
    )


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 2e-3)],
    ids=["float32", "bfloat16", "float16"],
)
@pytest.mark.parametrize("kind", ["equal", "few", "5-to-31"])
def test_lower_precision_stays_close_to_double(kind, dtype, tolerance):
    rounded = [x.requires_grad_() for x in draw(SIZES[kind], dtype=dtype, value_width=6)]
    exact = [x.detach().double().requires_grad_() for x in rounded]
    layout = RaggedLayout(SIZES[kind])
    found, expected = ragged_attention(*rounded, layout), ragged_attention(*exact, layout)
    assert found.dtype == dtype
    close(found.double(), expected, tolerance)
    found.sum().backward()
    expected.sum().backward()
    for x, y in zip(rounded, exact, strict=True):
        close(x.grad.double(), y.grad, 2 * tolerance)


@by_few_sizes
def test_autocast_computes_in_its_dtype(sizes):
    operands = draw(sizes, dtype=torch.float32)
    layout = RaggedLayout(sizes)
    with torch.autocast("cpu", torch.bfloat16):
        found = ragged_attention(*operands, layout)
    assert found.dtype == torch.bfloat16
    close(found.float(), ragged_attention(*operands, layout), 2e-2)


def test_autocast_leaves_double_precision_alone():
    operands, layout = draw([3, 2]), RaggedLayout([3, 2])
    with torch.autocast("cpu", torch.bfloat16):
        found = ragged_attention(*operands, layout)
    assert torch.equal(found, ragged_attention(*operands, layout))


@by_few_sizes
def test_huge_logits_give_finite_outputs_and_gradients(sizes, path):
    operands = [(1e15 * x).requires_grad_() for x in draw(sizes, dtype=torch.float32)]
    out = ragged_attention(*operands, RaggedLayout(sizes))
    grads = torch.autograd.grad(out.sum(), operands)
    assert all(x.isfinite().all() for x in (out, *grads))


# Graphs apart


@pytest.mark.parametrize("kind", ["equal", "few", "large", "not-packed"])
def test_graphs_do_not_see_each_other(kind, path):
    sizes = SIZES[kind]
    operands = [x.requires_grad_() for x in draw(sizes)]
    out = ragged_attention(*operands, RaggedLayout(sizes))
    grads = torch.autograd.grad(out[: sizes[0]].square().sum(), operands)
    assert all(grad[: sizes[0]].any() and not grad[sizes[0] :].any() for grad in grads)


def test_order_of_graphs_does_not_matter(path):
    sizes, operands = [3, 9, 1, 5], draw([3, 9, 1, 5])
    turned = [torch.cat(x.split(sizes)[::-1]) for x in operands]
    out = ragged_attention(*turned, RaggedLayout(sizes[::-1]))
    expected = ragged_attention(*operands, RaggedLayout(sizes))
    close(torch.cat(out.split(sizes[::-1])[::-1]), expected)


def test_repeats_are_equal_bit_by_bit(path):
    operands = [x.requires_grad_() for x in draw(SIZES["5-to-31"], dtype=torch.float32)]
    layout = RaggedLayout(SIZES["5-to-31"])

    def run():
        out = ragged_attention(*operands, layout)
        return out, *torch.autograd.grad(out.square().sum(), operands)

    first = run()
    for _ in range(19):
        assert all(torch.equal(x, y) for x, y in zip(run(), first, strict=True))


# Derivatives


@by_few_sizes
def test_derivatives_agree_with_finite_differences(sizes, path):
    operands = [x.requires_grad_() for x in draw(sizes, (2, 1), 2, 2)]
    layout = RaggedLayout(sizes)
    assert gradcheck(lambda *x: ragged_attention(*x, layout), operands)


@by_few_sizes
def test_second_derivatives_agree_with_finite_differences(sizes, path):
    operands = [x.requires_grad_() for x in draw(sizes, (2, 1), 2, 2)]
    layout = RaggedLayout(sizes)
    assert gradgradcheck(lambda *x: ragged_attention(*x, layout), operands)


@by_few_sizes
def test_operands_may_depend_on_each_other(sizes, path):
    query, *_ = draw(sizes, value_width=6)
    query.requires_grad_()
    layout = RaggedLayout(sizes)

    def second(attention):
        key = query.sin()
        (grad,) = torch.autograd.grad(
            attention(query, key, key * query).square().sum(), query, create_graph=True
        )
        return torch.autograd.grad(grad.square().sum(), query)

    close(
        second(lambda *x: ragged_attention(*x, layout)),
        second(lambda *x: graph_by_graph(*x, sizes)),
    )


@by_few_sizes
def test_operands_without_gradient_are_left_alone(sizes, path):
    query, key, value = draw(sizes)
    ragged_attention(query, key, value.requires_grad_(), RaggedLayout(sizes)).sum().backward()
    assert value.grad.any()
    assert query.grad is None
    assert key.grad is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_functional_gradient_equals_that_of_autograd(dtype, path):
    query, key, value = draw([3, 2], dtype=dtype, value_width=6)
    layout = RaggedLayout([3, 2])

    def loss(query):
        return ragged_attention(query, key, value, layout).square().sum()

    found = torch.func.grad(loss)(query)
    (expected,) = torch.autograd.grad(loss(query.requires_grad_()), query)
    close(found, expected, 1e-12 if dtype == torch.float64 else 5e-2)


# Paths


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_small_graphs_on_a_cpu_go_without_the_fused_kernels(dtype, monkeypatch):
    monkeypatch.setattr(module, "_fused_attention", None)
    ragged_attention(*draw([3, 128], dtype=dtype), RaggedLayout([3, 128]))


@pytest.mark.parametrize(
    ("sizes", "dtype"), [([3, 129], torch.float32), ([3, 4], torch.bfloat16)], ids=["large", "half"]
)
def test_large_graphs_and_half_precision_go_through_the_fused_kernels(sizes, dtype, monkeypatch):
    monkeypatch.setattr(module, "_plain_attention", None)
    ragged_attention(*draw(sizes, dtype=dtype), RaggedLayout(sizes))


@by_heads
def test_kernel_for_ragged_batches_is_given_what_it_asks_for(heads, monkeypatch):
    """With a stand-in of its interface, as the kernel itself runs on GPUs alone."""

    def varlen(query, key, value, query_ends, key_ends, longest_query, longest_key, scale):
        assert query.size(2) == key.size(2) == value.size(2) == 24
        assert query.size(1) == key.size(1) == value.size(1)
        assert query_ends.dtype == key_ends.dtype == torch.int32
        assert longest_query == query_ends.diff().max()
        assert longest_key == key_ends.diff().max()
        query = query * scale * query.size(2) ** 0.5
        operands = (
            x.tensor_split(ends[1:-1].long())
            for x, ends in ((query, query_ends), (key, key_ends), (value, key_ends))
        )
        parts = [[x.transpose(0, 1) for x in graph] for graph in zip(*operands, strict=True)]
        attended = [torch.nn.functional.scaled_dot_product_attention(*part) for part in parts]
        return torch.cat(attended, dim=1).transpose(0, 1)

    monkeypatch.setattr(module, "_prefers_products", lambda *_: False)
    monkeypatch.setattr(module, "_fits_varlen", lambda *_: True)
    monkeypatch.setattr(module, "varlen_attn", varlen)
    sizes = SIZES["few"]
    operands = [x.requires_grad_() for x in draw(sizes, heads, 21, 17)]
    found = ragged_attention(*operands, RaggedLayout(sizes))
    expected = graph_by_graph(*operands, sizes)
    close(found, expected)
    weight = torch.randn_like(found)
    close(
        torch.autograd.grad(found, operands, weight),
        torch.autograd.grad(expected, operands, weight),
    )


@by_few_sizes
def test_attention_needs_no_value_from_the_device(sizes):
    operands = [x.to("meta").requires_grad_() for x in draw(sizes, (4, 1), dtype=torch.float32)]
    ragged_attention(*operands, RaggedLayout(sizes, "meta")).sum().backward()
    assert [x.grad.shape for x in operands] == [x.shape for x in operands]


def test_compiled_equals_eager(path):
    sizes = [3, 0, 2]
    operands = [x.requires_grad_() for x in draw(sizes, (4, 1))]
    layout = RaggedLayout(sizes)
    compiled = torch.compile(ragged_attention, backend="aot_eager", fullgraph=True)
    found, expected = compiled(*operands, layout), ragged_attention(*operands, layout)
    close(found, expected)
    close(
        torch.autograd.grad(found.square().sum(), operands),
        torch.autograd.grad(expected.square().sum(), operands),
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
class TestOnGPU:
    @by_heads
    @pytest.mark.parametrize("width", [8, 21, 48, 80])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    def test_kernel_for_ragged_batches_stays_close_to_double(self, dtype, width, heads):
        sizes = SIZES["5-to-31"]
        cpu = [x.requires_grad_() for x in draw(sizes, heads, width, width + 16, dtype)]
        gpu = [x.detach().cuda().requires_grad_() for x in cpu]
        exact = [x.detach().double().requires_grad_() for x in cpu]
        assert module._fits_varlen(gpu[0], gpu[2])
        found = ragged_attention(*gpu, RaggedLayout(sizes, "cuda"))
        expected = ragged_attention(*exact, RaggedLayout(sizes))
        close(found.double().cpu(), expected, 2e-2)
        found.sum().backward()
        expected.sum().backward()
        for x, y in zip(gpu, exact, strict=True):
            close(x.grad.double().cpu(), y.grad, 4e-2)

    @by_sizes
    def test_full_precision_equals_the_cpu(self, sizes):
        operands = draw(sizes, (4, 1))
        found = ragged_attention(*(x.cuda() for x in operands), RaggedLayout(sizes, "cuda"))
        close(found.cpu(), ragged_attention(*operands, RaggedLayout(sizes)), 1e-10)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_nothing_waits_for_the_device(self, dtype):
        sizes = SIZES["5-to-31"]
        operands = [x.cuda().requires_grad_() for x in draw(sizes, dtype=dtype, value_width=6)]
        torch.cuda.set_sync_debug_mode("error")
        try:
            ragged_attention(*operands, RaggedLayout(sizes, "cuda")).sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_second_derivatives_exist(self, dtype):
        operands = [x.cuda().requires_grad_() for x in draw([3, 5], dtype=dtype, value_width=6)]
        out = ragged_attention(*operands, RaggedLayout([3, 5], "cuda"))
        first = torch.autograd.grad(out.square().sum(), operands, create_graph=True)
        second = torch.autograd.grad(sum(x.square().sum() for x in first), operands)
        assert all(x.isfinite().all() for x in second)


# Mistakes


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            [(4, 2, 3), (5, 2, 3), (5, 2, 3)],
            r"`query` must have shape \[5, heads, width\], one row",
        ),
        ([(5, 2, 3), (5, 2), (5, 2, 3)], r"`key` must have shape .* of `layout`, got \[5, 2\]\."),
        ([(5, 2, 3), (5, 2, 3), (6, 2, 3)], r"`value` must have shape .*, got \[6, 2, 3\]\."),
        ([(5, 2, 3), (5, 2, 4), (5, 2, 3)], r"`key` must have the width of `query`, 3, got 4\."),
        ([(5, 2, 3), (5, 2, 3), (5, 1, 3)], r"`value` must have the heads of `key`, 2, got 1\."),
        ([(5, 3, 3), (5, 2, 3), (5, 2, 3)], r"`key` must have a number of heads .*, 3, got 2\."),
    ],
    ids=["rows", "axes", "value-rows", "width", "value-heads", "heads"],
)
def test_shapes_that_do_not_fit_are_refused(shapes, message):
    with pytest.raises(ValueError, match=message):
        ragged_attention(*(torch.ones(shape) for shape in shapes), RaggedLayout([2, 3]))
