"""Carries out a study in processes that are killed at five moments, and once unbroken."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import sys
from pathlib import Path

from tiny_studies import tiny_study

from pyg_remul.reproduction.engine import carry_out
from pyg_remul.reproduction.results_table import write_tables

MOMENTS = {
    "a run begins": ("config.json", 0),
    "a checkpoint is half written": ("last.ckpt", 0),
    "results are half written": ("results.json", 1),
    "a checkpoint is half written once more": ("last.ckpt", 2),
    "further results are half written": ("results.json", 4),
}
"""What is about to take its name, and how many of that name there are then."""


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


def kill_at(folder: Path, name: str, number: int) -> None:
    """Kills the process that carries out the study, and waits until its workers have ended."""
    alive, held = os.pipe()
    process = os.fork()
    if process == 0:
        os.setsid()
        os.close(alive)
        replace = os.replace

        def replace_or_kill(source: Path, target: Path) -> None:
            if Path(target).name == name and len([*folder.glob(f"runs/**/{name}")]) >= number:
                with contextlib.suppress(ProcessLookupError):  # by another worker
                    os.kill(os.getsid(0), signal.SIGKILL)
                signal.pause()  # until this worker follows
            replace(source, target)

        os.replace = replace_or_kill
        carry_out_in(folder)
        os._exit(1)
    os.close(held)
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
