"""The folder of a training run: configuration, versions, metrics, checkpoints, results."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyg_remul._version import __version__
from pyg_remul.config import NEUTRAL, TrainConfig
from pyg_remul.files import check_folder, read_json, refusal, remove_leftovers, write_text
from pyg_remul.tables import csv_table, read_csv

__all__ = ["RunFolder"]

_FILES = (
    *("config.json", "versions.json", "data.json", "metrics.csv"),
    *("errors.csv", "results.json", "divergence.json"),
)
_PACKAGES = ("torch", "torch-geometric", "e3nn", "numpy", "lightning", "torchmetrics")


class RunFolder:
    """The files of one run.

    ============================= ==============================================================
    ``config.json``               all options, the seed among them
    ``versions.json``             of Python, the libraries and this one, and the platform, and
                                  those of the last resumption where they differ
    ``data.json``                 where the data come from, how many graphs there are, and a number
                                  for each test split that tells its targets from others
    ``metrics.csv``               a row for each validation
    ``checkpoints/best.ckpt``     at the lowest validation loss
    ``checkpoints/last.ckpt``     at the last validation, where ``--resume`` goes on
    ``errors.csv``                the squared error of each test graph at the best checkpoint, with
                                  its trial and frame where it has them
    ``results.json``              once finished: errors on the test splits
    ``divergence.json``           instead, if the run diverged: after how many steps, how, and
                                  whether training had ended
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
            NotADirectoryError: If there is a file where the folder would be.
            ValueError: If the run that is there has other options.
        """
        check_folder("out", self.path)
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

    def remove_leftovers(self) -> None:
        """Removes what processes that were killed had begun to write; only for its only user."""
        for path in (self.best, self.last, *map(self.path.joinpath, _FILES)):
            remove_leftovers(path)

    def config(self) -> TrainConfig | None:
        """The options of the run, ``None`` if there is no run."""
        options = self._read("config.json")
        return None if options is None else TrainConfig.from_dict(options)

    def data(self) -> dict[str, Any] | None:
        """What :meth:`write_data` wrote, ``None`` in runs of older versions."""
        return self._read("data.json")

    def write_data(self, data: Mapping[str, Any]) -> None:
        """Keeps where the data come from."""
        self._write("data.json", data)

    def results(self) -> dict[str, Any] | None:
        """The results of the run, ``None`` until it has finished."""
        return self._read("results.json")

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Marks the run as finished."""
        self._write("results.json", results)

    def divergence(self) -> str | None:
        """How the run diverged, ``None`` if it has not."""
        found = self._read("divergence.json")
        if found is None:
            return None
        if not {"step", "reason"} <= found.keys():
            path = self.path / "divergence.json"
            raise refusal(path, f"it must give `step` and `reason`, got {sorted(found)}")
        return f"after {found['step']} steps, {found['reason']}"

    def write_divergence(self, step: int, reason: str, *, trained: bool = False) -> None:
        """Marks the run as diverged.

        Args:
            step: The number of steps done.
            reason: How it showed.
            trained: Whether it showed after training, on the test data.
        """
        self._write("divergence.json", {"step": step, "reason": reason, "trained": trained})

    def write_metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Replaces the table of metrics."""
        write_text(self.path / "metrics.csv", csv_table(rows))

    def metrics(self) -> list[dict[str, float]]:
        """The rows of the validations so far; values that a row lacks are left out."""
        rows = self._read_table("metrics.csv")
        try:
            return [{name: float(value) for name, value in row.items() if value} for row in rows]
        except ValueError as error:
            raise refusal(self.path / "metrics.csv", str(error)) from error

    def last_step(self) -> int:
        """The step of the last validation, 0 before the first."""
        return int(max((row.get("step", 0.0) for row in self.metrics()), default=0.0))

    def lowest_validation_loss(self) -> float:
        """The validation loss of the best checkpoint.

        Infinite if there is none or training diverged. A divergence on the test data alone leaves
        it as it is, so that these data take no part in a choice.
        """
        divergence = self._read("divergence.json")
        if divergence is not None and not divergence.get("trained"):
            return math.inf
        losses = [row.get("val/loss", math.inf) for row in self.metrics()]
        return min((loss for loss in losses if math.isfinite(loss)), default=math.inf)

    def write_errors(
        self,
        errors: Mapping[str, Tensor],
        origins: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Writes the errors of the test graphs.

        Args:
            errors: Those of each split, shape ``[B]``.
            origins: Further columns of each split, integers of shape ``[B]``; see
                :func:`~pyg_remul.provenance.graph_origins`.
        """
        rows = []
        for split, values in errors.items():
            columns = {"mse": values, **({} if origins is None else origins[split])}
            for graph in range(len(values)):
                found = {name: column[graph].item() for name, column in columns.items()}
                rows.append({"split": split, "graph": graph, **found})
        write_text(self.path / "errors.csv", csv_table(rows))

    def errors(self) -> dict[str, Tensor]:
        """The errors that :meth:`write_errors` wrote, in float64; empty until the run finishes."""
        rows = self._rows_by_split("errors.csv")
        return {split: _column(found, "mse") for split, found in rows.items()}

    def origins(self) -> dict[str, dict[str, Tensor]]:
        """The further columns that :meth:`write_errors` wrote, none in runs of older versions."""
        return {
            split: {
                name: _column(found, name).long()
                for name in found[0]
                if name not in ("split", "graph", "mse") and found[0][name]
            }
            for split, found in self._rows_by_split("errors.csv").items()
        }

    def _rows_by_split(self, name: str) -> dict[str, list[dict[str, str]]]:
        rows: dict[str, list[dict[str, str]]] = {}
        for row in self._read_table(name):
            rows.setdefault(row["split"], []).append(row)
        return rows

    def _check_same(self, stored: TrainConfig, config: TrainConfig) -> None:
        if stored.identity() != config.identity():
            before, now = stored.to_dict(), config.to_dict()
            changed = [
                f"{key}={before[key]!r} (now {now[key]!r})"
                for key in now
                if now[key] != before[key] and key not in NEUTRAL
            ]
            raise ValueError(
                f"{self.path} holds a run with other options: {', '.join(changed)}; choose another "
                "folder by --out."
            )

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        return read_json(path) if path.exists() else None

    def _read_table(self, name: str) -> list[dict[str, str]]:
        path = self.path / name
        return read_csv(path) if path.exists() else []

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_text(self.path / name, json.dumps(content, indent=2) + "\n")


def _column(rows: Sequence[Mapping[str, str]], name: str) -> Tensor:
    return torch.tensor([float(row[name]) for row in rows], dtype=torch.float64)


def _versions() -> dict[str, str]:
    found = {package: metadata.version(package) for package in _PACKAGES}
    system = {"python": platform.python_version(), "platform": platform.platform()}
    return {"pyg_remul": __version__, **found, **system}
