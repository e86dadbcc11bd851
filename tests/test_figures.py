"""What all figures have in common."""

from __future__ import annotations

import os

import pytest
from matplotlib.figure import Figure

from pyg_remul.figures import save_figure


def test_failing_save_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "demo.png"
    path.write_bytes(b"old")

    def write_half(self, target, **options):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", write_half)
    with pytest.raises(OSError, match="disk full"):
        save_figure(Figure(), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["demo.png"]
