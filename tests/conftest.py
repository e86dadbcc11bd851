"""Settings that all tests share."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import settings

from pyg_remul.datasets._mocap_files import MOTIONS

settings.register_profile("laws", deadline=None, derandomize=True, database=None, max_examples=15)
settings.load_profile("laws")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")  # the servers of the tests are on this machine


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


@pytest.fixture
def own_recordings(monkeypatch):
    """Lets recordings that a test wrote itself stand under the published names."""
    for name, motion in MOTIONS.items():
        monkeypatch.setitem(MOTIONS, name, replace(motion, md5=None))
