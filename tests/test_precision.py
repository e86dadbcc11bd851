"""The precision of products."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pyg_remul.precision import full_precision, in_bfloat16, tf32


def test_products_keep_their_precision_under_autocast():
    x = torch.rand(3, 3)
    with torch.autocast("cpu", torch.bfloat16), full_precision(x.device):
        assert torch.equal(x @ x, x.mm(x))
        assert (x @ x).dtype == torch.float32


def test_device_without_values_has_no_autocast():
    with full_precision(torch.device("meta")):
        assert torch.empty(2, device="meta").is_meta


def test_model_in_bfloat16_predicts_in_float32():
    model, x = nn.Linear(3, 2), torch.rand(4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        expected = model(x)
    assert expected.dtype == torch.bfloat16
    assert torch.equal(in_bfloat16(model, x), expected.float())


class TestTF32:
    @pytest.fixture(autouse=True)
    def _restore(self):
        yield
        torch.backends.cuda.matmul.fp32_precision = "none"
        torch.backends.cudnn.conv.fp32_precision = "tf32"
        torch.set_float32_matmul_precision("highest")

    @pytest.mark.parametrize("precision", ["highest", "high", "medium"])
    def test_it_is_off_inside(self, precision):
        torch.set_float32_matmul_precision(precision)
        with tf32(allowed=False):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32

    def test_it_is_on_inside_where_it_is_allowed(self):
        with tf32(allowed=True):
            assert torch.get_float32_matmul_precision() == "high"
            assert torch.backends.cudnn.allow_tf32

    @pytest.mark.parametrize("precision", ["highest", "high", "medium"])
    def test_the_settings_are_restored(self, precision):
        torch.set_float32_matmul_precision(precision)
        with tf32(allowed=False):
            pass
        assert torch.get_float32_matmul_precision() == precision
        assert torch.backends.cudnn.allow_tf32

    def test_they_are_restored_after_an_error(self):
        torch.set_float32_matmul_precision("high")
        with pytest.raises(RuntimeError, match="fault"), tf32(allowed=False):
            raise RuntimeError("fault")
        assert torch.get_float32_matmul_precision() == "high"

    def test_the_newer_settings_are_heeded(self):
        matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn.conv
        matmul.fp32_precision = "tf32"
        with tf32(allowed=False):
            assert (matmul.fp32_precision, convolution.fp32_precision) == ("ieee", "ieee")
        assert (matmul.fp32_precision, convolution.fp32_precision) == ("tf32", "tf32")
