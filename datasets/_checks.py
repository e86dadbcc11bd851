"""Checks of arguments that several datasets share."""

from __future__ import annotations

import math

from pyg_remul.checks import check_choice

__all__ = ["check_choice", "check_integer", "check_number"]


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
