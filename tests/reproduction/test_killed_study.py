"""Studies whose processes are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pyg_remul

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")


def test_study_that_was_killed_five_times_has_the_outcomes_of_an_unbroken_one(tmp_path):
    script = Path(__file__).with_name("killed_study.py")
    paths = [str(Path(pyg_remul.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(-signal.SIGKILL)] * 5
    for name in ("table.csv", "table.md"):
        broken, whole = ((tmp_path / way / name).read_bytes() for way in ("broken", "whole"))
        assert broken == whole
    assert not list(tmp_path.glob("broken/runs/*/checkpoints/.*"))
