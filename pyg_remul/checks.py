"""Checks of options, all in one wording."""

from __future__ import annotations

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

__all__ = ["NonFiniteError", "check_choice", "check_integers", "check_numbers"]

Sign: TypeAlias = Literal["positive", "not negative", "any"]


class NonFiniteError(ValueError):
    """Numbers that are not finite, or whose squares are not, as of a model that diverges."""


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuses anything but one of the choices, of their type: ``True`` is not 1.

    Args:
        name: The option, for the message.
        value: What was given.
        choices: What is allowed.

    Raises:
        ValueError: If it is none of them.
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}.")


def check_integers(sign: Sign = "positive", **options: object) -> None:
    """Refuses anything but integers of a sign.

    Args:
        sign: The sign that they must have.
        **options: What was given, by the option's name.

    Raises:
        TypeError: If one is no integer.
        ValueError: If one is of another sign.

    Example:
        >>> check_integers(num_layers=4, heads=8)
        >>> check_integers("not negative", edge_dim=-1)
        Traceback (most recent call last):
        ValueError: `edge_dim` must not be negative, got -1.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"`{name}` must be an integer, got {value!r}.")
        _check_sign(name, value, sign)


def check_numbers(sign: Sign = "positive", **options: object) -> None:
    """Refuses anything but finite numbers of a sign.

    Args:
        sign: The sign that they must have.
        **options: What was given, by the option's name.

    Raises:
        TypeError: If one is no number.
        ValueError: If one is of another sign, infinite or NaN.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"`{name}` must be a number, got {value!r}.")
        if not math.isfinite(value):
            raise ValueError(f"`{name}` must be finite, got {value}.")
        _check_sign(name, value, sign)


def _check_sign(name: str, value: Any, sign: Sign) -> None:
    if sign == "positive" and value <= 0:
        raise ValueError(f"`{name}` must be positive, got {value}.")
    if sign == "not negative" and value < 0:
        raise ValueError(f"`{name}` must not be negative, got {value}.")
