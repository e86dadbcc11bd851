"""Reading pickles of NumPy arrays without running anything that they name."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_arrays"]

# Bytes of a file and steps of its program; the published files take 9 MB and 2,000.
MAX_SIZE = 2**27
MAX_STEPS = 10**5

_PLAIN = re.compile(r"[biufc]\d{1,2}")
_NDARRAY: Final = object()
_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
# The steps that leave something that contains nothing: all else may not be used twice.
_ATOMS = re.compile(r"\w*(UNICODE|STRING|BYTES)\w*|BYTEARRAY8|GLOBAL|STACK_GLOBAL|REDUCE")


def load_arrays(path: str | Path) -> Any:
    """Reads a pickle of builtin containers, numbers, strings and NumPy arrays.

    The few functions that NumPy's own pickles name are replaced by ones that accept arrays and
    scalars of booleans and numbers, and nothing else is looked up: neither a global nor an object
    array of the file gets to run. Time and memory are in proportion to the size of the file.

    Args:
        path: The file, written under NumPy 1 or 2.

    Returns:
        The unpickled object.

    Raises:
        ValueError: If the file is truncated, is no pickle, names any other global, has containers
            that appear twice, or is absurdly large.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_SIZE + 1)
        try:
            _check_steps(content)
            return _ArrayUnpickler(content).load()
        except Exception as error:  # a crafted file can make the unpickler fail in any way
            raise ValueError(f"The file {path} is not a pickle of plain arrays: {error}") from error


def _check_steps(content: bytes) -> None:
    """Refuses programs that take far more time or memory than they are long.

    Lengths beyond the end are refused by :func:`pickletools.genops`. Left to the unpickler, a few
    bytes could ask for a memo or a frame of any size, or nest one container in itself so often that
    to hash or print it takes for ever.
    """
    if len(content) > MAX_SIZE:
        raise pickle.UnpicklingError(f"it is larger than {MAX_SIZE} bytes")
    atoms: dict[int, bool] = {}
    previous = ""
    for step, (opcode, operand, _) in enumerate(pickletools.genops(content)):
        name, argument = opcode.name, cast("int", operand)  # of the steps that are looked at
        if step == MAX_STEPS:
            raise pickle.UnpicklingError(f"it takes more than {MAX_STEPS} steps")
        if name == "FRAME" and argument > len(content):
            raise pickle.UnpicklingError("it ends within a frame")
        if name in _PUTS:
            place = len(atoms) if name == "MEMOIZE" else argument
            if place > step:
                raise pickle.UnpicklingError(f"it leaves places before {place} of its memo empty")
            atoms[place] = _ATOMS.fullmatch(previous) is not None
        if name == "DUP" or (name in _GETS and not atoms.get(argument)):
            raise pickle.UnpicklingError("it has containers that appear twice")
        previous = name


class _DType:
    """Stands in for a dtype, whose own ``__setstate__`` would believe the file."""

    def __init__(self, code: object) -> None:
        if not isinstance(code, str) or not _PLAIN.fullmatch(code):
            raise pickle.UnpicklingError(f"arrays of type {code!r} are refused")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *structure = state
        if order not in ("<", ">", "|", "=") or structure[:3] != [None, None, None]:
            raise pickle.UnpicklingError(f"arrays of type {state!r} are refused")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray[Any, np.dtype[Any]]):
    """An array that takes its content from nothing but a shape, a plain dtype and bytes."""

    count: Callable[[bytes], None]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _DType) or not isinstance(content, bytes):
            raise pickle.UnpicklingError("arrays must hold plain bytes")
        self.count(content)
        del self.count
        # The stub asks for `numpy.bool`, which the method itself refuses.
        super().__setstate__((1, shape, dtype.dtype, bool(fortran), content))  # type: ignore[arg-type]


class _Globals:
    """Stand-ins for what the file names: bound methods and one bare object.

    They do not know the unpickler, for its stack would close a cycle that is never collected.

    Args:
        size: Bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self._size, self._unfolded = size, 0

    def find(self, module: str, name: str) -> Callable[..., Any] | object:
        """Looks a global up."""
        # NumPy 2 renamed `numpy.core`; either may have written the file.
        allowed: dict[tuple[str, str], Callable[..., Any] | object] = {
            ("numpy.core.multiarray", "_reconstruct"): self._reconstruct,
            ("numpy.core.multiarray", "scalar"): self._scalar,
            ("numpy.core.numeric", "_frombuffer"): self._frombuffer,
            ("numpy", "ndarray"): _NDARRAY,
            ("numpy", "dtype"): self._dtype,
            ("_codecs", "encode"): self._encode,
        }
        key = re.sub(r"^numpy\._core\.", "numpy.core.", module), name
        if key not in allowed:
            raise pickle.UnpicklingError(f"it names the forbidden global `{module}.{name}`")
        return allowed[key]

    def _count(self, content: bytes) -> None:
        """Counts bytes that are copied, for a file may use the same ones again and again."""
        self._unfolded += len(content)
        if self._unfolded > 2 * self._size:
            raise pickle.UnpicklingError("it unfolds to more than it holds")

    def _reconstruct(self, kind: object, _shape: object, _code: object) -> _Array:
        if kind is not _NDARRAY:
            raise pickle.UnpicklingError("subclasses of arrays are refused")
        array = np.empty(0).view(_Array)
        array.count = self._count
        return array

    def _dtype(self, code: object, _align: object = False, _copy: object = False) -> _DType:
        return _DType(code)

    def _scalar(self, dtype: _DType, content: bytes) -> Any:
        return np.frombuffer(content, dtype.dtype, count=1)[0]

    def _frombuffer(
        self, content: bytes, dtype: _DType, shape: tuple[int, ...], order: str, *axes: Any
    ) -> NDArray[Any]:
        if order not in ("C", "F") or axes not in ((), (None,)):
            raise pickle.UnpicklingError(f"arrays laid out as {(order, *axes)!r} are refused")
        flat = np.frombuffer(content, dtype.dtype)
        return flat.reshape(shape, order="C" if order == "C" else "F")

    def _encode(self, text: str, encoding: str) -> bytes:
        # How protocols 0 to 2 store bytes; other encodings would import a module each.
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"the encoding {encoding!r} is refused")
        content = text.encode("latin1")
        self._count(content)
        return content


class _ArrayUnpickler(pickle.Unpickler):
    """Knows no globals but the stand-ins."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self._globals = _Globals(len(content))

    def find_class(self, module: str, name: str) -> Any:
        return self._globals.find(module, name)
