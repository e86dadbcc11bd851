"""Checks of arguments that several datasets share."""

from __future__ import annotations

import math
from collections.abc import Collection

__all__ = ["check_choice", "check_integer", "check_number"]


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuses anything but one of ``choices``."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}.")


def check_integer(name: str, value: object, *, positive: bool = True) -> None:
    """Refuses anything but an integer, and by default anything below one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"`{name}` must be an integer, got {value!r}.")
    if positive and value < 1:
        raise ValueError(f"`{name}` must be positive, got {value}.")


def check_number(name: str, value: object, *, positive: bool = False) -> None:
    """Refuses anything but a finite number, and on request anything that is not above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{name}` must be a number, got {value!r}.")
    if not math.isfinite(value):
        raise ValueError(f"`{name}` must be finite, got {value}.")
    if positive and value <= 0:
        raise ValueError(f"`{name}` must be positive, got {value}.")
