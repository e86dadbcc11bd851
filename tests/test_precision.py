"""Where autocast reaches."""

from __future__ import annotations

import torch

from pyg_remul.precision import full_precision


def test_products_keep_their_precision_under_autocast():
    x = torch.rand(3, 3)
    with torch.autocast("cpu", torch.bfloat16), full_precision(x.device):
        assert torch.equal(x @ x, x.mm(x))
        assert (x @ x).dtype == torch.float32


def test_device_without_values_has_no_autocast():
    with full_precision(torch.device("meta")):
        assert torch.empty(2, device="meta").is_meta
