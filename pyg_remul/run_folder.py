"""The folder of a training run: configuration, versions, metrics, checkpoints, results."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pyg_remul._version import __version__
from pyg_remul.config import TrainConfig
from pyg_remul.files import write_text

__all__ = ["RunFolder"]

_PACKAGES = ("torch", "torch-geometric", "e3nn", "numpy", "lightning", "torchmetrics")


class RunFolder:
    """The files of one run.

    ============================= ==============================================================
    ``config.json``               all options, the seed among them
    ``versions.json``             of Python, the libraries and this one, and the platform, and
                                  those of the last resumption where they differ
    ``metrics.csv``               a row for each validation
    ``checkpoints/best.ckpt``     at the lowest validation loss
    ``checkpoints/last.ckpt``     at the last validation, where ``--resume`` goes on
    ``results.json``              once finished: errors on the test splits
    ``tensorboard/``              the same curves for TensorBoard
    ============================= ==============================================================

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint of the lowest validation loss."""
        return self.checkpoints / "best.ckpt"

    @property
    def last(self) -> Path:
        """The latest checkpoint."""
        return self.checkpoints / "last.ckpt"

    def open(self, config: TrainConfig, *, resume: bool) -> Path | None:
        """Finds what a run may go on from; nothing is written.

        Args:
            config: The run's options.
            resume: Whether to go on with a run that is there.

        Returns:
            The checkpoint to go on from, ``None`` to begin.

        Raises:
            FileExistsError: If there is a run and ``resume`` is not set.
            ValueError: If the run that is there has other options.
        """
        stored = self.config()
        if stored is None:
            return None
        if not resume:
            raise FileExistsError(
                f"{self.path} holds a run already; go on with it by --resume, or choose another "
                "folder by --out."
            )
        self._check_same(stored, config)
        return self.last if self.last.exists() else None

    def claim(self, config: TrainConfig) -> None:
        """Makes the folder that of a run, by its options and the versions it runs with."""
        self._write("config.json", config.to_dict())
        self._write("versions.json", _versions())

    def note_versions(self) -> None:
        """Adds the versions that a run goes on with, if they are not those it began with."""
        began, now = self._read("versions.json") or {}, _versions()
        if any(began.get(name) != version for name, version in now.items()):
            self._write("versions.json", {**began, "resumed_with": now})

    def config(self) -> TrainConfig | None:
        """The options of the run, ``None`` if there is no run."""
        options = self._read("config.json")
        return None if options is None else TrainConfig.from_dict(options)

    def results(self) -> dict[str, Any] | None:
        """The results of the run, ``None`` until it has finished."""
        return self._read("results.json")

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Marks the run as finished."""
        self._write("results.json", results)

    def write_metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Replaces the table of metrics."""
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / "metrics.csv", text.getvalue())

    def _check_same(self, stored: TrainConfig, config: TrainConfig) -> None:
        before, now = stored.to_dict(), config.to_dict()
        changed = [
            f"{key}={before[key]!r} (now {now[key]!r})"
            for key in now
            if now[key] != before[key] and key != "data"  # a run may move to another machine
        ]
        if changed:
            raise ValueError(
                f"{self.path} holds a run with other options: {', '.join(changed)}; choose another "
                "folder by --out."
            )

    def _read(self, name: str) -> Any:
        path = self.path / name
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not readable as JSON: {error}.") from error

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_text(self.path / name, json.dumps(content, indent=2) + "\n")


def _versions() -> dict[str, str]:
    found = {package: metadata.version(package) for package in _PACKAGES}
    system = {"python": platform.python_version(), "platform": platform.platform()}
    return {"pyg_remul": __version__, **found, **system}
