"""Checks of options."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["check_choice"]


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
