"""The curvature of a loss at the weights of a model."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor, nn

from pyg_remul.checks import check_integers, check_numbers
from pyg_remul.loss_surface import ModelLoss

__all__ = ["ConvergenceError", "Eigenvalue", "Hessian", "extreme_eigenvalues", "hessian_trace"]

_Vector = NDArray[np.float64]


class ConvergenceError(ValueError):
    """An iteration that has not converged with the options it was given."""


class Hessian:
    r"""The second derivatives of a loss with respect to the weights, as an operator.

    .. math::
        H v = \nabla_\theta \langle \nabla_\theta L(\theta), v \rangle

    by double backward (`Pearlmutter (1994) <https://doi.org/10.1162/neco.1994.6.1.147>`_), exact
    but for rounding. The gradient's graph is made once and kept, in evaluation mode, of a copy of
    the model; parameters that are not trained, or that the loss does not depend on, are constants.

    Args:
        model: The model, which does not change. It must not be compiled.
        loss: Its loss, twice differentiable, on data in the precision of `dtype`.
        dtype: The precision.

    Attributes:
        loss: The value of the loss.
        gradient: Its gradient, shape ``[P]`` for P weights.

    Raises:
        ValueError: If the loss or its gradient is not finite.

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> scales = torch.tensor([1.0, 3.0], dtype=torch.float64)
        >>> hessian = Hessian(layer, lambda model: (model.weight**2 @ scales).sum())
        >>> hessian @ torch.ones(2)
        tensor([2., 6.], dtype=torch.float64)
    """

    def __init__(
        self, model: nn.Module, loss: ModelLoss, dtype: torch.dtype = torch.float64
    ) -> None:
        fixed = copy.deepcopy(model).to(dtype).eval()
        self._parameters = [p for p in fixed.parameters() if p.requires_grad]
        value = loss(fixed)
        self._gradient = self._derive(value)
        self.loss, self.gradient = value.item(), self._gradient.detach()
        if not (math.isfinite(self.loss) and self.gradient.isfinite().all()):
            raise ValueError(
                f"`loss` must be finite, with a finite gradient, got {self.loss} with one of norm "
                f"{self.gradient.norm():g}."
            )

    def __len__(self) -> int:
        return len(self.gradient)

    def __matmul__(self, vector: Tensor) -> Tensor:
        return self._derive(self._gradient, vector.to(self.gradient))

    def _derive(self, outputs: Tensor, vector: Tensor | None = None) -> Tensor:
        parts = torch.autograd.grad(
            outputs,
            self._parameters,
            vector,
            retain_graph=True,
            create_graph=vector is None,
            materialize_grads=True,
        )
        return torch.cat([part.flatten() for part in parts])


@dataclass(frozen=True)
class Eigenvalue:
    r"""An eigenvalue of a matrix H.

    Attributes:
        value: The eigenvalue :math:`\lambda`.
        residual: The norm :math:`\lVert H v - \lambda v \rVert` for its unit vector v; an
            eigenvalue of H is within this distance.
        products: How many products with H it took.
    """

    value: float
    residual: float
    products: int


def extreme_eigenvalues(
    hessian: Hessian,
    generator: torch.Generator,
    *,
    tolerance: float = 1e-5,
    subspace: int = 100,
    max_restarts: int = 50,
) -> tuple[Eigenvalue, Eigenvalue]:
    r"""The smallest and the largest eigenvalue, by implicitly restarted Lanczos iteration.

    The eigenvalue of largest magnitude comes first; the other end of the spectrum is that of
    :math:`H - \lambda_1 I`. Both are from SciPy's interface to ARPACK. A minimum of the loss has no
    negative eigenvalue.

    Args:
        hessian: The matrix, of two weights or more.
        generator: Source of the first vector, on the CPU.
        tolerance: Bound of the residuals, relative to the larger of the two magnitudes.
        subspace: Vectors that the iteration holds; too few take many restarts.
        max_restarts: Iterations after which it gives up, of at most `subspace` products each.

    Returns:
        The smallest and the largest eigenvalue.

    Raises:
        ValueError: If an argument is out of range.
        ConvergenceError: If the iteration does not converge.

    Example:
        >>> layer = nn.Linear(3, 1, bias=False)
        >>> scales = torch.tensor([1.0, -0.5, 3.0], dtype=torch.float64)
        >>> hessian = Hessian(layer, lambda model: (model.weight**2 @ scales).sum())
        >>> low, high = extreme_eigenvalues(hessian, torch.Generator().manual_seed(0))
        >>> round(low.value, 6), round(high.value, 6)
        (-1.0, 6.0)
    """
    check_numbers(tolerance=tolerance)
    check_integers(subspace=subspace, max_restarts=max_restarts)
    if len(hessian) < 2:
        raise ValueError(f"`hessian` must be of at least 2 weights, got {len(hessian)}.")
    if subspace < 2:
        raise ValueError(f"`subspace` must be at least 2, got {subspace}.")
    start = torch.randn(len(hessian), generator=generator, dtype=torch.float64).numpy()

    def furthest(shift: float) -> Eigenvalue:
        """The eigenvalue that is the furthest from another number."""
        operator = _Shifted(hessian, shift)
        options = {"ncv": min(subspace, len(hessian)), "maxiter": max_restarts, "tol": tolerance}
        try:
            _, vectors = eigsh(operator.linear(), k=1, which="LM", v0=start, **options)
        except ArpackNoConvergence as error:
            raise ConvergenceError(
                f"The eigenvalue furthest from {shift:g} has not converged after "
                f"{operator.products} products; allow a larger `tolerance`, or more by `subspace` "
                "or `max_restarts`."
            ) from error
        return operator.refine(vectors[:, 0])

    first = furthest(0.0)
    second = furthest(first.value)
    low, high = sorted((first, second), key=lambda found: found.value)
    return low, high


def hessian_trace(
    hessian: Hessian, generator: torch.Generator, num_samples: int = 20
) -> tuple[float, float]:
    r"""The sum of all eigenvalues, after `Hutchinson <https://doi.org/10.1080/03610919008812866>`_.

    .. math::
        \operatorname{tr} H \approx \frac1K \sum_{k=1}^K z_k^\top H z_k

    with vectors z of random signs.

    Args:
        hessian: The matrix.
        generator: Source of the signs, on the CPU.
        num_samples: Number K of products, 2 or more.

    Returns:
        The estimate and its standard error.

    Raises:
        ValueError: If there are less than two samples.

    Example:
        >>> hessian = Hessian(nn.Linear(3, 1), lambda model: (model.weight**2).sum())
        >>> hessian_trace(hessian, torch.Generator().manual_seed(0))
        (6.0, 0.0)
    """
    check_integers(num_samples=num_samples)
    if num_samples < 2:
        raise ValueError(f"`num_samples` must be at least 2, got {num_samples}.")
    found = []
    for _ in range(num_samples):
        signs = torch.randint(2, (len(hessian),), generator=generator).to(hessian.gradient) * 2 - 1
        found.append(signs @ (hessian @ signs))
    values = torch.stack(found).double()
    return values.mean().item(), (values.std() / num_samples**0.5).item()


class _Shifted:
    """A Hessian less a multiple of the identity, for SciPy, which counts its products."""

    def __init__(self, hessian: Hessian, shift: float) -> None:
        self.hessian, self.shift, self.products = hessian, shift, 0

    def linear(self) -> LinearOperator:
        size = len(self.hessian)
        return LinearOperator((size, size), self.apply, dtype=np.float64)

    def apply(self, vector: _Vector) -> _Vector:
        return self.product(vector) - self.shift * vector

    def product(self, vector: _Vector) -> _Vector:
        self.products += 1
        result: _Vector = (self.hessian @ torch.from_numpy(vector)).double().cpu().numpy()
        return result

    def refine(self, vector: _Vector) -> Eigenvalue:
        """The Rayleigh quotient of a vector, with its residual."""
        unit = vector / np.linalg.norm(vector)
        image = self.product(unit)
        value = float(unit @ image)
        return Eigenvalue(value, float(np.linalg.norm(image - value * unit)), self.products)
