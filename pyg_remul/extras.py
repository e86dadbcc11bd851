"""Packages that the core does without."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["exit_without"]


def exit_without(error: ModuleNotFoundError, extra: str) -> NoReturn:
    """Ends the process, naming the extra that brings a missing package.

    Args:
        error: What importing it raised; raised again if it is about this package itself.
        extra: The extra.
    """
    if error.name is None or error.name.startswith("pyg_remul"):
        raise error
    sys.exit(
        f"pyg-remul needs the package {error.name}; install the extra that brings it: "
        f"pip install 'pyg_remul[{extra}]'"
    )
