"""Every model under autocast, as runs in bfloat16 have it."""

from __future__ import annotations

import torch
from cases import every_case

from pyg_remul.precision import in_bfloat16


@every_case
def test_output_in_bfloat16_is_near_that_in_float32(case, make_graph):
    model, data = case.build(), make_graph(dtype=torch.float32)
    torch.testing.assert_close(in_bfloat16(model, data), model(data), rtol=0.1, atol=0.1)


@every_case
def test_gradients_in_bfloat16_are_finite_and_in_float32(case, make_graph):
    model, data = case.build(), make_graph(dtype=torch.float32)
    in_bfloat16(model, data).square().mean().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    assert all(gradient.isfinite().all() for gradient in gradients)
