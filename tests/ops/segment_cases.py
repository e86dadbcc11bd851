"""Segments, and reductions by hand, that the tests of the reductions share."""

from __future__ import annotations

import torch

from pyg_remul.ops import Segments, segment_gather, segment_mean, segment_softmax, segment_sum

TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 4e-3, torch.float16: 5e-4}
"""Relative, of one rounding in half precision and of several in the others."""

REDUCTIONS = {"sum": segment_sum, "mean": segment_mean, "softmax": segment_softmax}


def draw(num_rows, num_segments, *, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(max(1, num_segments), (num_rows,), generator=generator)


def with_hub(num_rows, num_segments, size):
    """One segment in the middle has so many rows, scattered among the others."""
    index = draw(num_rows, num_segments)
    index[:size] = num_segments // 2
    return index[torch.randperm(num_rows, generator=torch.Generator().manual_seed(2))]


SMALL = {
    "no rows": (draw(0, 5), 5),
    "no segments": (draw(0, 0), 0),
    "one row": (draw(1, 1), 1),
    "one segment": (draw(100, 1), 1),
    "isolated segments": (3 * draw(60, 20) + 1, 60),
    "sorted": (draw(150, 12).sort().values, 12),
    "unsorted": (draw(150, 12), 12),
    "hub": (with_hub(300, 20, 200), 20),
}
"""Index and number of segments, of at most 300 rows, for Triton's interpreter."""

LARGE = {
    "10,007 rows": (draw(10_007, 501), 501),
    "segment of 5,000": (with_hub(8_000, 301, 5_000), 301),
}

WIDTHS = {
    "no features": (0,),
    "one": (),
    "three": (3,),
    "64": (64,),
    "200": (200,),
    "2 x 3": (2, 3),
}


def make_segments(case):
    return Segments(*(SMALL | LARGE)[case])


def make_rows(segments, shape=(3,), dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(3)
    size = (segments.index.numel(), *shape)
    return torch.randn(size, generator=generator, dtype=torch.float64).to(device, dtype)


def by_hand(name, x, segments):
    """One segment after the other, in float64."""
    x, index = x.double().cpu(), segments.index.cpu()
    out = (
        torch.zeros_like(x)
        if name == "softmax"
        else x.new_zeros(segments.num_segments, *x.shape[1:])
    )
    for segment in range(segments.num_segments):
        rows = x[index == segment]
        if name == "softmax":
            out[index == segment] = rows.softmax(dim=0)
        elif len(rows):
            out[segment] = rows.sum(dim=0) if name == "sum" else rows.mean(dim=0)
    return out


def objective(x, segments):
    """A number that depends on all functions, and on the rows more than linearly."""
    mixed = segment_sum(segment_softmax(x, segments) * x, segments).square()
    centred = x - segment_gather(segment_mean(x, segments), segments)
    return mixed.sum() + centred.pow(3).sum()
