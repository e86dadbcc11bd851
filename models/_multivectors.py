"""Operations on multivectors of G(3,0,1): tensors whose first axis holds the sixteen blades."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from pyg_remul.models._projective_algebra import (
    BLADES,
    NUM_EUCLIDEAN,
    POSITIONS,
    Product,
    Term,
    dual_blade,
    product_terms,
)

__all__ = [
    "dual",
    "embed_point",
    "embed_scalar",
    "embed_translation",
    "extract_point",
    "extract_translation",
    "geometric_product",
    "inner_product",
    "join",
    "outer_product",
]

_CHUNK = 2048  # rows at a time, so that those of two factors and their product stay in the cache


def geometric_product(x: Tensor, y: Tensor) -> Tensor:
    """Returns the geometric product :math:`x y`.

    Args:
        x: Multivectors, shape [16, ...].
        y: Multivectors of the same shape.

    Example:
        >>> e1, e2 = torch.eye(16)[1], torch.eye(16)[2]
        >>> (geometric_product(e1, e2) == -geometric_product(e2, e1)).all().item()
        True
    """
    return _product(x, y, "geometric")


def outer_product(x: Tensor, y: Tensor) -> Tensor:
    r"""Returns the outer product :math:`x \wedge y`; shapes as for :func:`geometric_product`."""
    return _product(x, y, "outer")


def join(x: Tensor, y: Tensor) -> Tensor:
    r"""Returns the join :math:`(x^* \wedge y^*)^*`, which spans two points by a line.

    It is equivariant under rotations and translations. Its sign changes under reflections.

    Args:
        x: Multivectors, shape [16, ...].
        y: Multivectors of the same shape.
    """
    return _product(x, y, "join")


def dual(x: Tensor) -> Tensor:
    r"""Returns the dual :math:`x^*`, linear with :math:`e_I \wedge e_I^* = e_{0123}`.

    Args:
        x: Multivectors, shape [16, ...].
    """
    rows: dict[int, Tensor] = {}
    for index in range(len(BLADES)):
        sign, out = dual_blade(index)
        rows[out] = sign * x[index]
    return torch.stack([rows[index] for index in range(len(BLADES))])


def inner_product(x: Tensor, y: Tensor) -> Tensor:
    r"""Returns the invariant inner product :math:`\langle \tilde x y \rangle_0`.

    It sums over the blades without :math:`e_0`, all with sign +.

    Args:
        x: Multivectors, shape [16, ...].
        y: Multivectors of the same shape.

    Returns:
        The shape without its first axis.
    """
    return (x[:NUM_EUCLIDEAN] * y[:NUM_EUCLIDEAN]).sum(dim=0)


def embed_scalar(scalar: Tensor) -> Tensor:
    """Embeds scalars [...] as multivectors [16, ...] of grade 0."""
    return _assemble({(): scalar})


def embed_translation(vector: Tensor) -> Tensor:
    r"""Embeds vectors [..., 3] as translations :math:`1 - \tfrac12 v_i e_0 e_i`, [16, ...]."""
    x, y, z = (-0.5 * vector).unbind(-1)
    return _assemble({(): torch.ones_like(x), (0, 1): x, (0, 2): y, (0, 3): z})


def embed_point(point: Tensor) -> Tensor:
    r"""Embeds points [..., 3] as multivectors [16, ...] of grade 3.

    They are :math:`e_{123} - x e_{023} + y e_{013} - z e_{012}`.
    """
    x, y, z = point.unbind(-1)
    return _assemble({(1, 2, 3): torch.ones_like(x), (0, 2, 3): -x, (0, 1, 3): y, (0, 1, 2): -z})


def extract_translation(x: Tensor) -> Tensor:
    """Reads vectors [..., 3] from multivectors [16, ...]; inverts :func:`embed_translation`."""
    return -2 * torch.stack([x[POSITIONS[blade]] for blade in ((0, 1), (0, 2), (0, 3))], dim=-1)


def extract_point(x: Tensor, threshold: float = 1e-3) -> Tensor:
    """Reads points [..., 3] from multivectors [16, ...]; inverts :func:`embed_point`.

    Args:
        x: Multivectors, shape [16, ...].
        threshold: Weights of :math:`e_{123}` of at most this size are replaced by it, which keeps
            the point finite.
    """
    weight = x[POSITIONS[1, 2, 3]]
    weight = weight.where(weight.abs() > threshold, threshold)
    ideal = [-x[POSITIONS[0, 2, 3]], x[POSITIONS[0, 1, 3]], -x[POSITIONS[0, 1, 2]]]
    return torch.stack(ideal, dim=-1) / weight.unsqueeze(-1)


def _assemble(blades: dict[tuple[int, ...], Tensor]) -> Tensor:
    """Multivectors [16, ...] from the blades that do not vanish."""
    zero = torch.zeros_like(next(iter(blades.values())))
    return torch.stack([blades.get(blade, zero) for blade in BLADES])


def _product(x: Tensor, y: Tensor, product: Product) -> Tensor:
    if x.shape != y.shape or x.size(0) != len(BLADES):
        raise ValueError(
            f"`x` and `y` must have the same shape [16, ...], got {list(x.shape)} and "
            f"{list(y.shape)}."
        )
    rows = (len(BLADES), -1, x.size(-1) if x.dim() > 1 else 1)
    out: Tensor = _contract(x.reshape(rows), y.reshape(rows), product, "ijk")
    return out.view(x.shape)


@lru_cache
def _terms(product: Product, axes: str) -> tuple[Term, ...]:
    """The terms of a product with its axes permuted, in the order of the results."""
    left, right, out = ("ijk".index(axis) for axis in axes)
    terms = (Term(t[left], t[right], t[out], t.sign) for t in product_terms(product))
    return tuple(sorted(terms, key=lambda term: term.out))


@torch.library.custom_op("pyg_remul::contract", mutates_args=())
def _contract(x: Tensor, y: Tensor, product: str, axes: str) -> Tensor:
    r"""Contracts the table T of a product with two multivectors, blade by blade.

    The product is :math:`z_k = \sum_{ij} T_{ijk} x_i y_j`, with `axes` "ijk". With "kji" the first
    argument stands in the place of z, and the result in that of x.

    Only 192 of the 4096 entries of the geometric product are not zero, and 81 of the others. Going
    through these is many times faster than a matrix product, and only the result takes memory.
    """
    out = x.new_zeros(x.shape)
    terms = _terms(cast(Product, product), axes)
    parts = (t.split(_CHUNK, dim=1) for t in (x, y, out))
    for x_part, y_part, out_part in zip(*parts, strict=True):
        left, right, sums = (
            t.unbind() for t in (x_part.contiguous(), y_part.contiguous(), out_part)
        )
        for term in terms:
            sums[term.out].addcmul_(left[term.left], right[term.right], value=term.sign)
    return out


@_contract.register_fake
def _(x: Tensor, y: Tensor, product: str, axes: str) -> Tensor:  # noqa: ARG001
    return x.new_empty(x.shape)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, str, str], output: Tensor) -> None:  # noqa: ARG001
    x, y, ctx.product, ctx.axes = inputs
    ctx.save_for_backward(x, y)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
    """The gradients contract the same table along its other axes, so they have gradients too."""
    x, y = ctx.saved_tensors
    i, j, k = ctx.axes
    grad_x = _contract(grad, y, ctx.product, k + j + i)
    grad_y = _contract(x, grad, ctx.product, i + k + j)
    return grad_x, grad_y, None, None


_contract.register_autograd(_differentiate, setup_context=_save)
