"""Settings of the tests of the kernels."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items):
    """Skips what needs Triton's interpreter where that is off: it must be on before the import."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        return
    skip = pytest.mark.skip(reason="needs TRITON_INTERPRET=1 in the environment")
    for item in items:
        if item.get_closest_marker("interpreter"):
            item.add_marker(skip)
