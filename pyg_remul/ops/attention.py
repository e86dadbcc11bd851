"""Attention among the nodes of each graph of a batch."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from pyg_remul.ops.ragged_layout import RaggedLayout

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before PyTorch 2.10
    varlen_attn = None  # type: ignore[assignment]

__all__ = ["ragged_attention"]

_MAX_PRODUCTS = 128  # nodes of a graph, up to which plain products are the fastest on a CPU
_HALF = (torch.float16, torch.bfloat16)
_MAX_WIDTH = 256  # of heads in the kernel for graphs of different sizes


def ragged_attention(query: Tensor, key: Tensor, value: Tensor, layout: RaggedLayout) -> Tensor:
    r"""Scaled dot-product attention among the nodes of one graph, for all graphs of a batch.

    .. math::
        y_{ih} = \sum_{j \in G(i)} \operatorname{softmax}_j \Bigl( \frac{1}{\sqrt D}
            \langle q_{ih}, k_{j h'} \rangle \Bigr) \, v_{j h'}

    where :math:`G(i)` are the nodes of the graph of node i, D is the width of the queries, and h'
    the head of keys and values that h uses: h itself, or one that several heads share.

    Graphs of up to 128 nodes in single or double precision on a CPU are a matrix product, a softmax
    and a second product in the blocks of the layout, faster there than PyTorch's fused kernels.
    Larger graphs, other devices and half precision use ``scaled_dot_product_attention``, without a
    mask if all graphs have one size. Ragged batches in half precision on a GPU go through
    ``torch.nn.attention.varlen.varlen_attn`` (PyTorch 2.10), which needs no blocks. No path is
    quadratic in the number of graphs, and none waits for an accelerator. Second derivatives, which
    the fused kernels lack, are those of the two products.

    Args:
        query: Shape [N, H, D].
        key: Shape [N, K, D], for K heads with H a multiple of K; 1 if all heads share it.
        value: Shape [N, K, D'].
        layout: How the N rows belong to graphs.

    Returns:
        Shape [N, H, D'].

    Raises:
        ValueError: If the shapes do not fit each other or the layout.

    Example:
        >>> layout = RaggedLayout([2, 3])
        >>> rows = torch.arange(5.0).view(5, 1, 1)
        >>> ragged_attention(torch.zeros(5, 1, 1), rows, rows, layout).flatten().tolist()
        [0.5, 0.5, 3.0, 3.0, 3.0]
    """
    _check_shapes(query, key, value, layout)
    query, key, value = (_autocast(x) for x in (query, key, value))
    if _prefers_products(query, layout) or torch._C._are_functorch_transforms_active():
        return _plain_attention(query, key, value, layout)
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return _fused_attention(query, key, value, layout)
    attended: Tensor = _TwiceDifferentiable.apply(query, key, value, layout)
    return attended


def _prefers_products(query: Tensor, layout: RaggedLayout) -> bool:
    full = query.dtype in (torch.float32, torch.float64)
    return full and query.device.type == "cpu" and layout.longest <= _MAX_PRODUCTS


def _plain_attention(query: Tensor, key: Tensor, value: Tensor, layout: RaggedLayout) -> Tensor:
    """Two matrix products and a softmax in blocks."""
    q, k, v = _to_blocks(query, key, value, layout)
    logits = (q * q.size(-1) ** -0.5).flatten(2, 3) @ k.mT
    if layout.bias is not None:
        logits = logits.unflatten(2, q.shape[2:4]) + layout.bias[:, None, :, None]
        logits = logits.flatten(2, 3)
    return _to_rows(logits.softmax(dim=-1).to(v.dtype) @ v, query, layout)


def _fused_attention(query: Tensor, key: Tensor, value: Tensor, layout: RaggedLayout) -> Tensor:
    """PyTorch's kernels, in blocks or in flat rows."""
    if layout.offsets is not None and _fits_varlen(query, value):
        return _varlen_attention(query, key, value, layout.offsets, layout.longest)
    q, k, v = _to_blocks(query, key, value, layout)
    mask, shared = layout.mask, q.size(3)
    if mask is not None:
        repeated = shared if mask.size(1) > 1 else 1
        mask = mask.unsqueeze(2).expand(-1, -1, repeated, -1).flatten(1, 2).unsqueeze(1)
    attended = functional.scaled_dot_product_attention(q.flatten(2, 3), k, v, attn_mask=mask)
    return _to_rows(attended, query, layout)


def _to_blocks(
    query: Tensor, key: Tensor, value: Tensor, layout: RaggedLayout
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [b, K, n, H / K, D], keys [b, K, n, D] and values [b, K, n, D']."""
    heads = (key.size(1), query.size(1) // key.size(1))
    q = layout.to_blocks(query).unflatten(2, heads).transpose(1, 2)
    return q, layout.to_blocks(key).transpose(1, 2), layout.to_blocks(value).transpose(1, 2)


def _to_rows(attended: Tensor, query: Tensor, layout: RaggedLayout) -> Tensor:
    """Rows [N, H, D'] from [b, K, n H / K, D']."""
    shared = query.size(1) // attended.size(1)
    blocks = attended.unflatten(2, (layout.shape[1], shared)).transpose(1, 2).flatten(2, 3)
    return layout.to_rows(blocks)


def _fits_varlen(query: Tensor, value: Tensor) -> bool:
    return (
        varlen_attn is not None
        and query.is_cuda
        and query.dtype in _HALF
        and max(query.size(-1), value.size(-1)) <= _MAX_WIDTH
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


def _varlen_attention(
    query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int
) -> Tensor:
    """Flash attention on flat rows; heads that share keys are further queries of their graph."""
    heads, shared = key.size(1), query.size(1) // key.size(1)
    width = max(query.size(-1), value.size(-1))
    width += -width % 8  # which the kernel asks for

    def widen(x: Tensor) -> Tensor:
        return functional.pad(x, (0, width - x.size(-1)))

    attended = varlen_attn(
        widen(query.unflatten(1, (heads, shared)).transpose(1, 2).flatten(0, 1)),
        widen(key),
        widen(value),
        offsets * shared,
        offsets,
        longest * shared,
        longest,
        scale=query.size(-1) ** -0.5,
    )
    rows = cast(Tensor, attended).narrow(-1, 0, value.size(-1)).unflatten(0, (-1, shared))
    return rows.transpose(1, 2).flatten(1, 2)


class _TwiceDifferentiable(torch.autograd.Function):
    """The fused kernels; where their gradients are to have gradients, those of the products."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, layout: RaggedLayout
    ) -> Tensor:
        ctx.save_for_backward(query, key, value)
        ctx.layout = layout
        ctx.recorded = _record(query, key, value, layout)
        attended: Tensor = ctx.recorded[1].detach()
        return attended

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        create_graph = torch.is_grad_enabled()
        if create_graph:
            # Aliases, as the operands may depend on each other.
            query, key, value = operands = tuple(x.view_as(x) for x in ctx.saved_tensors)
            attended = _plain_attention(query, key, value, ctx.layout)
        else:
            # Let go, so that a loss kept around does not hold what the kernels have saved.
            recorded, ctx.recorded = ctx.recorded, None
            query, key, value = ctx.saved_tensors
            operands, attended = recorded or _record(query, key, value, ctx.layout)
        needed = [x for x in operands if x.requires_grad]
        found = iter(torch.autograd.grad(attended, needed, grad, create_graph=create_graph))
        return *(next(found) if x.requires_grad else None for x in operands), None


def _record(
    query: Tensor, key: Tensor, value: Tensor, layout: RaggedLayout
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Leaves with the values of the operands, and the attention among them."""
    operands = (query, key, value)
    query, key, value = leaves = tuple(x.detach().requires_grad_(x.requires_grad) for x in operands)
    with torch.enable_grad():
        return leaves, _fused_attention(query, key, value, layout)


def _autocast(x: Tensor) -> Tensor:
    """Casts as autocast would, so that the paths need not know of it."""
    device = x.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return x
    return x if x.dtype == torch.float64 else x.to(torch.get_autocast_dtype(device))


def _check_shapes(query: Tensor, key: Tensor, value: Tensor, layout: RaggedLayout) -> None:
    for name, x in {"query": query, "key": key, "value": value}.items():
        if x.dim() != 3 or x.size(0) != layout.num_rows:
            raise ValueError(
                f"`{name}` must have shape [{layout.num_rows}, heads, width], one row per node of "
                f"`layout`, got {list(x.shape)}."
            )
    if key.size(2) != query.size(2):
        raise ValueError(
            f"`key` must have the width of `query`, {query.size(2)}, got {key.size(2)}."
        )
    if value.size(1) != key.size(1):
        raise ValueError(
            f"`value` must have the heads of `key`, {key.size(1)}, got {value.size(1)}."
        )
    if key.size(1) == 0 or query.size(1) % key.size(1):
        raise ValueError(
            f"`key` must have a number of heads that divides that of `query`, {query.size(1)}, got "
            f"{key.size(1)}."
        )
