"""Energies and forces of GFN2-xTB by tblite, an extra that is imported where it is needed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from ase import units
from ase.calculators.calculator import CalculationFailed
from numpy.typing import NDArray

from pyg_remul.dynamics import Array, Potential

__all__ = ["gfn2_xtb", "xtb_threads"]


def gfn2_xtb(numbers: NDArray[np.int64], positions: Array) -> Potential:
    """Gives the potential energy surface of a neutral molecule by GFN2-xTB.

    The method is that of `Bannwarth et al. <https://doi.org/10.1021/acs.jctc.8b01176>`_, computed
    by `tblite <https://tblite.readthedocs.io>`_. One calculator serves all calls, and each call
    starts from the same guess of the charges, instead of those of the call before as in tblite's
    calculator for ASE. The energy is then a function of the positions alone: bit for bit on
    one thread, so that a simulation can be resumed anywhere, and with no memory in the forces,
    which would let the total energy drift.

    Args:
        numbers: Atomic numbers, shape ``[N]``, up to 86.
        positions: Shape ``[N, 3]``, in Å; any geometry of the molecule.

    Returns:
        A function from positions in Å to the energy in eV and the forces in eV/Å. It raises ASE's
        ``CalculationFailed`` where there is no result, such as for charges that do not converge.

    Raises:
        ModuleNotFoundError: If tblite is not installed.
        ValueError: If an element is not among those of GFN2-xTB.
    """
    from tblite.interface import Calculator

    try:
        calculator = Calculator("GFN2-xTB", numbers, positions / units.Bohr)
    except RuntimeError as error:
        raise ValueError(f"`molecule` must suit GFN2-xTB: {error}.") from error
    calculator.set("verbosity", 0)

    def potential(positions: Array) -> tuple[float, Array]:
        try:
            calculator.update(positions / units.Bohr)
            result = calculator.singlepoint()
        except RuntimeError as error:
            raise CalculationFailed(str(error)) from error
        energy, gradient = result.get("energy"), result.get("gradient")
        return energy * units.Hartree, gradient * (-units.Hartree / units.Bohr)

    return potential


@contextmanager
def xtb_threads(num_threads: int) -> Iterator[None]:
    """Sets the number of tblite's threads for a while.

    The environment variable ``OMP_NUM_THREADS`` would come too late: PyTorch, which is loaded
    before, may share its OpenMP library with tblite.

    Args:
        num_threads: How many.
    """
    from tblite import _libtblite

    openmp = ctypes.CDLL(_libtblite.__file__)  # finds what tblite itself is linked with
    before = openmp.omp_get_max_threads()
    openmp.omp_set_num_threads(num_threads)
    try:
        yield
    finally:
        openmp.omp_set_num_threads(before)
