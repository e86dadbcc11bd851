"""The results of benchmarks, one a line."""

from __future__ import annotations

import dataclasses
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyg_remul.benchmarks.harness import Seconds, Settings
from pyg_remul.files import locked, refusal, write_text
from pyg_remul.tables import markdown_table

__all__ = [
    *("Quantiles", "Row", "Setting"),
    *("append_rows", "fill", "format_number", "format_rows", "last_run", "read_rows"),
]


@dataclass(frozen=True)
class Quantiles:
    """The first decile, the median and the ninth decile of a measurement."""

    p10: float
    median: float
    p90: float

    @classmethod
    def of(cls, values: Tensor) -> Quantiles:
        """Those of the values, shape [rounds]."""
        return cls(*values.quantile(values.new_tensor([0.1, 0.5, 0.9])).tolist())


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What results depend on beside the program: machine, versions and options."""

    python: str
    torch: str
    pyg: str
    triton: str | None
    device: str
    threads: int
    rounds: int
    warm_up: int

    @classmethod
    def of(cls, settings: Settings) -> Setting:
        """The present machine and versions."""
        cuda = settings.device.startswith("cuda")
        name = torch.cuda.get_device_name(settings.device) if cuda else f"CPU {platform.machine()}"
        return cls(
            python=platform.python_version(),
            torch=torch.__version__,
            pyg=version("torch-geometric"),
            triton=_version("triton"),
            device=name,
            threads=settings.threads,
            rounds=settings.rounds,
            warm_up=settings.warm_up,
        )

    def __str__(self) -> str:
        triton = "" if self.triton is None else f", Triton {self.triton}"
        return (
            f"Python {self.python}, PyTorch {self.torch}, PyG {self.pyg}{triton}; {self.device}, "
            f"{self.threads} thread(s); up to {self.rounds} rounds after up to {self.warm_up} to "
            "warm up"
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one alternative took.

    Attributes:
        benchmark: Name of the benchmark.
        title: The comparison that the alternative belongs to.
        case: Name of the alternative.
        reference: Name of the one that it is compared with.
        sizes: Numbers of graphs, nodes, edges and the like, by name.
        setting: Machine, versions and options.
        date: When the benchmark began, in UTC; the same for all rows of a run.
        phase: ``"forward"``, ``"backward"``, ``"both"`` or ``"inference"`` of a model, else
            ``"run"``.
        rounds: Runs that were timed; none if there is a failure.
        seconds: Time of a run.
        ratio: Ratio to the reference, taken round by round, between runs next to each other in
            time; None where the two ran apart.
        peak_bytes: Most bytes of tensors at once, or None where it was not measured.
        figures: Further figures by name and unit.
        failure: Why nothing was timed, or empty.
    """

    benchmark: str
    title: str
    case: str
    reference: str
    sizes: dict[str, int]
    setting: Setting
    date: str
    phase: str = "run"
    rounds: int = 0
    seconds: Quantiles | None = None
    ratio: Quantiles | None = None
    peak_bytes: int | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    failure: str = ""

    @property
    def median(self) -> float:
        """Median seconds of a run, NaN if nothing was timed."""
        return math.nan if self.seconds is None else self.seconds.median

    @property
    def heading(self) -> str:
        """The comparison and its sizes."""
        sizes = ", ".join(f"{number:,} {name}" for name, number in self.sizes.items())
        return f"{self.title}: {sizes}" if sizes else self.title


def fill(
    row: Row, seconds: Seconds, peaks: Mapping[str, int], reference: Seconds | None = None
) -> list[Row]:
    """Returns one row for each phase that was timed.

    Args:
        row: What was measured, without results.
        seconds: What the alternative took.
        peaks: Its peak memory by phase.
        reference: What the reference took in the same rounds.
    """
    return [
        dataclasses.replace(
            row,
            phase=phase,
            rounds=len(values),
            seconds=Quantiles.of(values),
            ratio=None if reference is None else Quantiles.of(values / reference[phase]),
            peak_bytes=peaks.get(phase),
        )
        for phase, values in seconds.items()
    ]


def append_rows(path: Path, rows: Sequence[Row]) -> None:
    """Adds rows to a file of JSON lines, all or none.

    Args:
        path: The file, which need not exist.
        rows: What to add.
    """
    lines = [json.dumps(dataclasses.asdict(row), allow_nan=False) + "\n" for row in rows]
    with locked(path):
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        write_text(path, before + "".join(lines))


def read_rows(path: Path) -> list[Row]:
    """Reads the rows of a file, none if there is no file.

    Raises:
        ValueError: If a line is no row.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [_parse(path, number, line) for number, line in enumerate(lines, start=1)]


def last_run(rows: Sequence[Row]) -> list[Row]:
    """The rows of the run that began last."""
    latest = max((row.date for row in rows), default="")
    return [row for row in rows if row.date == latest]


def format_rows(rows: Sequence[Row]) -> str:
    """A Markdown table of the rows of a comparison.

    Args:
        rows: At least one; further figures are columns if a row has them.
    """
    figures = list(dict.fromkeys(name for row in rows for name in row.figures))
    header = ["", "median ms", "10 %", "90 %", "ratio", "10 %", "90 %", "peak MiB", *figures]
    return markdown_table(header, [_cells(row, figures) for row in rows])


def format_number(value: float) -> str:
    """Three digits, or all before the point.

    Example:
        >>> format_number(1234.5), format_number(0.12345)
        ('1,234', '0.123')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _cells(row: Row, figures: Sequence[str]) -> list[str]:
    name = row.case if row.phase == "run" else f"{row.case}, {row.phase}"
    memory = "" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:.1f}"
    further = (format_number(row.figures[name]) if name in row.figures else "" for name in figures)
    times = _scaled(row.seconds, 1e3) if not row.failure else [row.failure, "", ""]
    return [name, *times, *_scaled(row.ratio), memory, *further]


def _scaled(quantiles: Quantiles | None, scale: float = 1.0) -> list[str]:
    """Median and deciles."""
    if quantiles is None:
        return ["", "", ""]
    values = (quantiles.median, quantiles.p10, quantiles.p90)
    return [f"{scale * value:.2f}" for value in values]


def _parse(path: Path, number: int, line: str) -> Row:
    try:
        values: dict[str, Any] = json.loads(line)
        values["setting"] = Setting(**values["setting"])
        for name in ("seconds", "ratio"):
            values[name] = None if values[name] is None else Quantiles(**values[name])
        return Row(**values)
    except (KeyError, TypeError, ValueError) as error:
        raise refusal(path, f"line {number} is no result of this version ({error!r})") from None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
