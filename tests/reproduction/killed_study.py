"""Carries out a study in processes that are killed at five moments, and once unbroken."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import sys
import time
from pathlib import Path

from tiny_studies import tiny_study

from pyg_remul.reproduction.engine import carry_out
from pyg_remul.reproduction.results_table import write_tables

WRITING = "*/checkpoints/.*.ckpt"
"""What a checkpoint is called until it is whole."""
MOMENTS = {
    "a run has begun": ("*/config.json", 1),
    "a checkpoint is half written": (WRITING, 1),
    "runs have finished": ("*/results.json", 2),
    "another checkpoint is half written": (WRITING, 1),
    "more runs have finished": ("*/results.json", 5),
}


def main(folder: Path) -> None:
    forked = multiprocessing.get_context("fork")  # which spares each process its imports
    multiprocessing.get_context = lambda _: forked
    for moment in MOMENTS.values():
        kill_at(folder / "broken", *moment)
    for name in ("broken", "whole"):
        carry_out_in(folder / name)


def carry_out_in(folder: Path) -> None:
    outcomes = carry_out(tiny_study(), folder / "runs", folder / "data", workers=2)
    write_tables(outcomes, folder)


def kill_at(folder: Path, pattern: str, number: int) -> None:
    """Kills the process that carries out the study, and waits until its workers have ended."""
    alive, held = os.pipe()
    process = os.fork()
    if process == 0:
        os.setsid()
        os.close(alive)
        carry_out_in(folder)
        os._exit(1)
    os.close(held)
    while len(list((folder / "runs").glob(pattern))) < number:
        time.sleep(0.001)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
    ended, _, _ = select.select([alive], [], [], 60)  # as the last process does that has ``held``
    if not ended:
        os.killpg(process, signal.SIGKILL)
        raise RuntimeError("The workers outlive their parent.")
    os.close(alive)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
