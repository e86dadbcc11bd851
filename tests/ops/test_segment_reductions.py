"""Sums, means and softmax of rows by segment."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segment_cases import (
    LARGE,
    REDUCTIONS,
    SMALL,
    TOLERANCES,
    WIDTHS,
    by_hand,
    draw,
    make_rows,
    make_segments,
    objective,
)

from pyg_remul.ops import Segments, segment_gather, segment_mean, segment_softmax, segment_sum

HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
all_reductions = pytest.mark.parametrize("name", REDUCTIONS)
all_small = pytest.mark.parametrize("case", SMALL)


def assert_by_hand(name, x, segments, tolerance=None):
    out = REDUCTIONS[name](x, segments)
    assert out.dtype == x.dtype
    rtol = TOLERANCES[x.dtype] if tolerance is None else tolerance
    expected = by_hand(name, x, segments)
    torch.testing.assert_close(out.double().cpu(), expected, rtol=rtol, atol=min(rtol, 1e-5))


@all_reductions
@all_small
def test_reduction_is_that_of_a_loop(exact, name, case):
    segments = make_segments(case)
    assert_by_hand(name, make_rows(segments, dtype=exact), segments)


@all_reductions
@pytest.mark.parametrize("case", LARGE)
def test_large_reduction_is_that_of_a_loop(name, case):
    segments = make_segments(case)
    assert_by_hand(name, make_rows(segments), segments)


@all_reductions
@pytest.mark.parametrize("width", WIDTHS)
def test_rows_may_have_any_width(exact, name, width):
    segments = make_segments("isolated segments")
    assert_by_hand(name, make_rows(segments, WIDTHS[width], exact), segments)


@all_reductions
@HALVES
def test_half_precision_is_rounded_only_at_the_end(exact, name, dtype):
    segments = make_segments("hub")
    # Triton's interpreter cuts the digits off.
    tolerance = (2 if exact == torch.float32 else 1) * TOLERANCES[dtype]
    assert_by_hand(name, make_rows(segments, dtype=dtype), segments, tolerance)


@HALVES
def test_half_precision_is_summed_in_single(exact, dtype):
    ones, segments = torch.ones(300, dtype=dtype), Segments(torch.zeros(300).long(), 1)
    assert segment_sum(ones, segments).item() == 300


def test_mean_does_not_overflow_where_its_sum_would(exact):
    rows, segments = torch.full((200,), 1000.0).half(), Segments(torch.zeros(200).long(), 1)
    assert segment_mean(rows, segments).item() == 1000


def test_mean_of_no_rows_is_zero(exact):
    out = segment_mean(torch.ones(2, dtype=exact), Segments(torch.tensor([2, 0]), 4))
    assert out.tolist() == [1, 0, 1, 0]


def test_softmax_of_large_numbers_is_that_of_their_differences(exact):
    segments = make_segments("hub")
    x = make_rows(segments, dtype=exact).mul(8).round()
    out = segment_softmax(x + 10_000, segments)
    torch.testing.assert_close(out, segment_softmax(x, segments), rtol=0, atol=0)


def test_row_of_minus_infinity_weighs_nothing(exact):
    x = torch.tensor([-torch.inf, 1, -torch.inf, 1, 5], dtype=exact)
    out = segment_softmax(x, Segments(torch.tensor([0, 0, 0, 0, 1]), 2))
    assert out.tolist() == [0, 0.5, 0, 0.5, 1]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of Triton's interpreter
def test_softmax_of_minus_infinity_alone_is_nan_in_its_segment_only(exact):
    x = torch.tensor([-torch.inf, -torch.inf, 5], dtype=exact)
    out = segment_softmax(x, Segments(torch.tensor([0, 0, 1]), 2))
    assert out.isnan().tolist() == [True, True, False]


def test_long_run_of_minus_infinity_before_a_number_weighs_nothing(exact):
    x = torch.full((100,), -torch.inf, dtype=exact)
    x[-1] = 3
    out = segment_softmax(x, Segments(torch.zeros(100).long(), 1))
    assert out.tolist() == [0] * 99 + [1]


def test_gathering_hands_out_what_the_segments_have(exact):
    segments = make_segments("unsorted")
    x = torch.randn(segments.num_segments, 2, dtype=exact)
    assert torch.equal(segment_gather(x, segments), x[segments.index])


@all_reductions
def test_strides_do_not_matter(exact, name):
    index = torch.stack([draw(60, 7), draw(60, 7, seed=2)], dim=1)
    segments = Segments(index[:, 1], 7)
    x = make_rows(segments, (4, 3), exact).transpose(1, 2)
    expected = REDUCTIONS[name](x.contiguous(), Segments(index[:, 1].contiguous(), 7))
    assert torch.equal(REDUCTIONS[name](x, segments), expected)


@all_reductions
def test_repeats_are_equal_to_the_bit(exact, name):
    segments, x = make_segments("one segment"), make_rows(make_segments("one segment"), dtype=exact)
    first = REDUCTIONS[name](x, segments)
    assert all(torch.equal(REDUCTIONS[name](x, segments), first) for _ in range(20))


def test_repeated_gradients_are_equal_to_the_bit(exact):
    segments = make_segments("one segment")
    x = make_rows(segments, dtype=exact).requires_grad_()
    first, *others = (torch.autograd.grad(objective(x, segments), x)[0] for _ in range(20))
    assert all(torch.equal(first, other) for other in others)


@given(st.lists(st.integers(0, 4), max_size=20), st.integers(0, 3))
def test_weights_of_a_segment_sum_to_one(index, width):
    segments = Segments(torch.tensor(index, dtype=torch.long), 5)
    weights = segment_softmax(torch.randn(len(index), width).double(), segments)
    total = segment_sum(weights, segments)
    expected = (segments.counts > 0).double().unsqueeze(1).expand_as(total)
    torch.testing.assert_close(total, expected, rtol=0, atol=1e-12)


@all_reductions
def test_integers_are_refused(name):
    with pytest.raises(TypeError, match=r"`x` must be of floating point, got torch\.int64"):
        REDUCTIONS[name](torch.ones(2).long(), Segments(torch.tensor([0, 1]), 2))


@all_reductions
@pytest.mark.parametrize("shape", [(), (3,), (3, 2)], ids=str)
def test_other_number_of_rows_is_refused(name, shape):
    with pytest.raises(ValueError, match=r"`x` must have 2 rows, got shape \["):
        REDUCTIONS[name](torch.ones(shape), Segments(torch.tensor([0, 1]), 2))


def test_gathering_refuses_another_number_of_segments():
    with pytest.raises(ValueError, match=r"`x` must have 3 rows, got shape \[2\]"):
        segment_gather(torch.ones(2), Segments(torch.tensor([0, 1]), 3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
class TestOnGPU:
    @all_reductions
    @pytest.mark.parametrize("case", SMALL | LARGE)
    @pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
    def test_reduction_is_that_of_a_loop(self, name, case, dtype):
        segments = to_gpu(make_segments(case))
        assert_by_hand(name, make_rows(segments, (5,), dtype, "cuda"), segments)

    @all_reductions
    @pytest.mark.parametrize("width", WIDTHS)
    def test_rows_may_have_any_width(self, name, width):
        segments = to_gpu(make_segments("segment of 5,000"))
        assert_by_hand(name, make_rows(segments, WIDTHS[width], torch.float32, "cuda"), segments)

    @all_reductions
    def test_million_rows_in_one_segment_are_summed_in_pieces(self, name):
        segments = Segments(torch.zeros(1_000_003, dtype=torch.long, device="cuda"), 1)
        x = make_rows(segments, (2,), torch.float32, "cuda")
        assert_by_hand(name, x, segments, tolerance=1e-4)

    def test_offsets_may_need_more_than_32_bits(self):
        index = torch.arange(2**17, device="cuda") // 2
        x = torch.ones(2**17, 2**14 + 1, dtype=torch.bfloat16, device="cuda")
        assert segment_sum(x, Segments(index, 2**16)).eq(2).all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
    def test_repeated_gradients_are_equal_to_the_bit(self, dtype):
        segments = to_gpu(make_segments("segment of 5,000"))
        x = make_rows(segments, (64,), dtype, "cuda").requires_grad_()
        first, *others = (torch.autograd.grad(objective(x, segments), x)[0] for _ in range(20))
        assert all(torch.equal(first, other) for other in others)

    def test_nothing_waits_for_the_device(self):
        segments = to_gpu(make_segments("hub"))
        x = make_rows(segments, (8,), torch.float32, "cuda").requires_grad_()
        objective(x, segments).backward()  # compiles the kernels
        torch.cuda.set_sync_debug_mode("error")
        try:
            objective(x, Segments(segments.index, segments.num_segments)).backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


def to_gpu(segments):
    return Segments(segments.index.cuda(), segments.num_segments)
