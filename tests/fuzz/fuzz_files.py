"""Feeds mutated files to the readers of raw formats, with `atheris` as the engine.

    python tests/fuzz/fuzz_files.py amc -max_total_time=300 -rss_limit_mb=1024 -timeout=10

Each reader may refuse a file with `ValueError`, in a message that names it, and nothing else. What
follows the reader's name goes to libFuzzer, which stops at the first other error, at a file that
takes longer than the timeout, and when the process takes more memory than the limit.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris
import numpy as np

with atheris.instrument_imports(include=["pyg_remul.datasets"]):
    from pyg_remul.datasets._mocap_files import read_motion
    from pyg_remul.datasets._mocap_splits import MOTIONS
    from pyg_remul.datasets._pickles import load_arrays
    from pyg_remul.datasets.asf_amc import forward_kinematics, read_amc, read_asf

ASF = """:units
length 0.45
angle deg
:root
order TX TY TZ RX RY RZ
axis XYZ
position 0 0 0
orientation 0 0 0
:bonedata
begin
name a
direction 0 1 0
length 2
axis 0 0 20 XYZ
dof rx rz
limits (-20 20) (0 1)
end
begin
name b
direction 1 0 0
length 1
axis 0 0 0 ZYX
dof ry
end
:hierarchy
begin
root a
a b
end
"""
AMC = "#!OML\n:FULLY-SPECIFIED\n:DEGREES\n1\nroot 1 2 3 4 5 6\na 1.5 -2\nb 3e-4\n"
AMC += AMC[AMC.index("1\n") :].replace("1\n", "2\n", 1)


def try_asf(path: Path) -> None:
    """A skeleton that is read has finite directions."""
    assert np.isfinite(read_asf(path).directions.numpy()).all()


def try_amc(path: Path) -> None:
    """A motion that is read gives finite positions."""
    skeleton_path = path.with_name("skeleton.asf")
    if not skeleton_path.exists():
        skeleton_path.write_text(ASF)
    skeleton = read_asf(skeleton_path)
    positions = forward_kinematics(skeleton, read_amc(path, skeleton))
    assert np.isfinite(positions.numpy()).all()


def try_motion(path: Path) -> None:
    """The pickle of the published recordings."""
    read_motion(path, MOTIONS["run"])


def pickles() -> list[bytes]:
    """Small pickles of what the published files hold."""
    content = ([[1, 0]], [np.zeros((2, 1, 3))], {0: np.arange(3)}, np.float64(1))
    return [pickle.dumps(content, protocol) for protocol in range(6)]


READERS: dict[str, tuple[Callable[[Path], object], list[bytes]]] = {
    "asf": (try_asf, [ASF.encode()]),
    "amc": (try_amc, [AMC.encode()]),
    "pickle": (load_arrays, pickles()),
    "motion": (try_motion, pickles()),
}


def main() -> None:
    """Runs the engine on the reader that is named."""
    name, *options = sys.argv[1:] or [""]
    if name not in READERS:
        sys.exit(f"usage: fuzz_files.py {{{','.join(READERS)}}} [libFuzzer options]")
    reader, seeds = READERS[name]
    with TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for index, seed in enumerate(seeds):
            (corpus / str(index)).write_bytes(seed)
        path = Path(folder) / f"file.{name}"

        def test_one(content: bytes) -> None:
            path.write_bytes(content)
            try:
                reader(path)
            except ValueError as error:
                if path.name not in str(error):
                    raise

        atheris.Setup([sys.argv[0], *options, str(corpus)], test_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
