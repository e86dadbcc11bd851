"""Draws from a few fixed elements of a group."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from pyg_remul.checks import check_integers
from pyg_remul.element import GroupElement
from pyg_remul.randomness import derive_generator
from pyg_remul.sampling import Group, check_group

__all__ = ["ElementPool"]


@final
class ElementPool(Group):
    r"""A group of which only :math:`k` elements are ever drawn, each as likely as the others.

    .. math::
        g \sim \mathcal{U}\{g_1, \dots, g_k\}, \qquad g_1, \dots, g_k \sim G

    The elements are drawn once, from the whole range of the group, and depend on the seed alone; a
    larger pool of the same seed holds those of a smaller one. It tells how many group samples
    training needs, in the sense of a fixed set of them (`REMUL
    <https://arxiv.org/abs/2410.17878>`_, Figure 6). Equivariance is measured with the group itself.

    Args:
        group: Where the elements come from.
        size: How many there are, :math:`k`.
        seed: Of their draw.

    Raises:
        TypeError: If ``group`` is none, or a number no integer.
        ValueError: If ``size`` is not positive.

    Example:
        >>> from pyg_remul import SO3
        >>> pool = ElementPool(SO3(degrees=10), 2)
        >>> pool
        ElementPool(group=SO3(degrees=(0.0, 10.0)), size=2, seed=0)
        >>> drawn = pool.sample(100, generator=torch.Generator().manual_seed(1))
        >>> len(drawn.matrix.unique(dim=0))
        2
    """

    def __init__(self, group: Group, size: int, *, seed: int = 0) -> None:
        check_group(group)
        check_integers(size=size)
        check_integers("any", seed=seed)
        self.group, self.size, self.seed = group, size, seed
        self.dim, self.reflects, self.translates = group.dim, group.reflects, group.translates
        generator = derive_generator(seed, "pool")
        self.elements = group.sample(size, generator=generator, dtype=torch.float64)

    @property
    def _num_uniforms(self) -> int:
        return 1

    def _from_uniforms(self, uniforms: Tensor) -> GroupElement:
        index = (self.size * uniforms[:, 0]).long()
        return self.elements.to(device=uniforms.device)[index]

    def _options(self) -> dict[str, object]:
        return {"group": self.group, "size": self.size, "seed": self.seed}
