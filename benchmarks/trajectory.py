"""Time and memory of reading a trajectory of the size of MD17's largest, malonaldehyde.

It makes a file of 0.4 GB in a temporary folder.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import torch
from numpy.lib import format as npy

from pyg_remul.benchmarks.harness import Settings, clock
from pyg_remul.benchmarks.memory import peak_of_process, run_apart
from pyg_remul.benchmarks.report import Report
from pyg_remul.benchmarks.results import fill
from pyg_remul.datasets import MD17Trajectory

NUM_FRAMES, BLOCK = 993_237, 20_000
WAYS = ("training graphs", "test graphs of all atoms, with forces", "np.load of R")
Z = np.array([8, 6, 6, 6, 8, 1, 1, 1, 1], dtype=np.uint8)


def write(path: Path) -> None:
    """Writes noise in place of a molecule, compressed as the published files are."""
    random = np.random.default_rng(0)
    path.parent.mkdir(parents=True)
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("z.npy", "w") as file:
            np.save(file, Z)
        for member, row in (("R", (9, 3)), ("E", (1,)), ("F", (9, 3))):
            header = {"descr": "<f8", "fortran_order": False, "shape": (NUM_FRAMES, *row)}
            with archive.open(f"{member}.npy", "w", force_zip64=True) as file:
                npy.write_array_header_1_0(file, header)
                for start in range(0, NUM_FRAMES, BLOCK):
                    shape = (min(BLOCK, NUM_FRAMES - start), *row)
                    file.write(random.normal(size=shape).round(8).tobytes())


def read(how: str, root: str) -> tuple[float, int]:
    """Reads the file in this process; returns the seconds and bytes that it took."""
    before, start = peak_of_process(), clock("cpu")
    match how:
        case "training graphs":
            MD17Trajectory(root, "malonaldehyde", progress=False)
        case "test graphs of all atoms, with forces":
            MD17Trajectory(
                *(root, "malonaldehyde", "test"),
                energy=True,
                force=True,
                heavy=False,
                progress=False,
            )
        case _:
            with np.load(Path(root, "raw", "md17_malonaldehyde.npz")) as file:
                file["R"]
    return clock("cpu") - start, peak_of_process() - before


def main(settings: Settings) -> None:
    """Makes the file, and reads it once in a fresh process each time."""
    report = Report("trajectory", settings)
    rows = []
    with TemporaryDirectory() as root:
        write(Path(root, "raw", "md17_malonaldehyde.npz"))
        for how in WAYS:
            seconds, peak = run_apart(read, how, root)
            blank = report.blank("one reading", how, WAYS[-1], {"frames": NUM_FRAMES})
            rows += fill(blank, {"run": torch.tensor([seconds])}, {"run": peak})
    report.keep(rows)
