"""Settings that all tests share."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings

settings.register_profile("laws", deadline=None, derandomize=True, database=None, max_examples=15)
settings.load_profile("laws")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)
