"""Looks for npz files that are neither read nor refused.

Run: pip install atheris; python tests/fuzz/fuzz_npz.py -max_total_time=300 -rss_limit_mb=1024
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pyg_remul.datasets", "zipfile", "numpy.lib"]):
    import zipfile

    import numpy as np

    from pyg_remul.datasets._md17_files import read_composition
    from pyg_remul.datasets._npz import read_header, read_rows

PATH = Path(tempfile.mkdtemp(), "fuzz.npz")
ARRAYS = {
    "z": np.array([6, 8, 1]),
    "R": np.arange(36.0).reshape(4, 3, 3),
    "E": np.arange(4.0)[:, None],
}


def published(compress: bool) -> bytes:
    """A good file."""
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **ARRAYS)
    return buffer.getvalue()


GOOD = [published(compress=False), published(compress=True)]


def make_file(data: atheris.FuzzedDataProvider) -> bytes:
    """Anything, an archive of anything, an array behind any header, or a good file with faults."""
    kind = data.ConsumeIntInRange(0, 3)
    if kind == 0:
        return data.ConsumeBytes(sys.maxsize)
    if kind == 3:
        content = bytearray(GOOD[data.ConsumeBool()])
        for _ in range(data.ConsumeIntInRange(1, 8)):
            place = data.ConsumeIntInRange(0, len(content) - 1)
            content[place] = data.ConsumeIntInRange(0, 255)
        return bytes(content[: data.ConsumeIntInRange(0, len(content))] or content)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", data.PickValueInList([0, 8])) as archive:
        for member in ("z", "R", "E"):
            content = data.ConsumeBytes(data.ConsumeIntInRange(0, 400))
            if kind == 2:
                header = data.ConsumeUnicodeNoSurrogates(100).encode("latin1", "ignore")
                content = (
                    b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content
                )
            archive.writestr(f"{member}.npy", content)
    return buffer.getvalue()


def read(content: bytes) -> None:
    """Reads a file as a dataset does."""
    PATH.write_bytes(content)
    try:
        z, num_frames = read_composition(PATH, "anything", "xtb")
        for member in ("R", "E"):
            if read_header(PATH, member) is not None:
                rows = read_rows(PATH, member, np.array([0, num_frames - 1]))
                if not np.isfinite(rows).all() or len(z) < 1:
                    raise AssertionError(rows)
    except ValueError as error:
        if not str(error).startswith(f"The file {PATH} is refused: "):
            raise


def main() -> None:
    # Long inputs from the start: it takes many bytes to make a file.
    options = [sys.argv[0], "-len_control=0", "-max_len=2000", *sys.argv[1:]]
    atheris.Setup(options, lambda data: read(make_file(atheris.FuzzedDataProvider(data))))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
