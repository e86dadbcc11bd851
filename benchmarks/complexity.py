"""Time and memory of GATr and the Transformer against the batch size, as in the paper's Figure 3.

Both have 12 blocks and about 2.6 million parameters and see graphs of 20 nodes with Gaussian inputs
of 7 columns. Forward and backward pass of training and the forward pass of inference are timed
apart. Every model and batch size is measured in a process of its own, which gives its peak memory
and may run out of it. A command that was interrupted goes on with what is missing.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from tqdm import tqdm

from pyg_remul.benchmarks.complexity_figure import plot_complexity
from pyg_remul.benchmarks.harness import Settings, clock, describe_machine
from pyg_remul.files import write_text
from pyg_remul.models import GATr, GraphTransformer
from pyg_remul.tables import markdown_table

NUM_NODES, NUM_BLOCKS, SECONDS = 20, 12, 60.0
MODELS: dict[str, Callable[[], nn.Module]] = {
    "Transformer": partial(GraphTransformer, hidden_channels=168, num_layers=NUM_BLOCKS),
    "GATr": partial(GATr, num_layers=NUM_BLOCKS),
}
PASSES = ("forward", "backward", "inference")


@dataclass(frozen=True)
class Cell:
    """What one model takes at one batch size.

    Attributes:
        model: Its name.
        batch_size: Graphs of a batch.
        setting: Machine, versions and options of the measurement.
        rounds: Runs that were timed; none if there is a failure.
        seconds: For each pass the first decile, the median and the ninth.
        peak: Bytes that a training step needed beside model and program.
        failure: Why nothing was timed, or empty.
    """

    model: str
    batch_size: int
    setting: str
    rounds: int = 0
    seconds: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    peak: int = 0
    failure: str = ""


def main(settings: Settings) -> None:
    """Measures what is missing, then writes table and figure."""
    path = settings.out / "complexity.jsonl"
    setting = describe(settings)
    cells = [cell for cell in read(path) if cell.setting == setting]
    sizes = [2**power for power in range(settings.max_batch_size.bit_length())]
    todo = [(model, size) for size in sizes for model in MODELS]
    done = {(cell.model, cell.batch_size) for cell in cells}
    for model, size in tqdm([key for key in todo if key not in done], unit="cell"):
        ended = any(cell.model == model and cell.failure for cell in cells)
        if not ended:
            cells.append(measure_apart(Cell(model, size, setting), settings))
            write(path, cells)
    table = format_table(cells)
    print(f"{setting}\n\n{table}")
    write_text(path.with_suffix(".md"), f"{setting}\n\n{table}\n")
    plot_complexity(cells, path.with_suffix(".png"))
    print(f"\nwritten to {settings.out}")


def describe(settings: Settings) -> str:
    """The machine and the options on which the figures depend."""
    return (
        f"PyTorch {torch.__version__}; {describe_machine(settings)}; up to "
        f"{settings.rounds} rounds or {SECONDS:.0f} s after {settings.warm_up} to warm up"
    )


def read(path: Path) -> list[Cell]:
    """Reads the cells measured before."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [Cell(**json.loads(line)) for line in lines]


def write(path: Path, cells: Sequence[Cell]) -> None:
    """Writes the cells, whole or not at all."""
    write_text(path, "".join(json.dumps(dataclasses.asdict(cell)) + "\n" for cell in cells))


def measure_apart(cell: Cell, settings: Settings) -> Cell:
    """Measures a cell in a process of its own, which may run out of memory."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(measure, cell, settings).result()
        except MemoryError:
            return dataclasses.replace(cell, failure="out of memory")
        except BrokenProcessPool:  # by the system, for its memory or for another reason
            return dataclasses.replace(cell, failure="killed")


def measure(cell: Cell, settings: Settings) -> Cell:
    """Measures a cell in this process.

    Raises:
        MemoryError: If the memory does not suffice.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    if settings.device == "cpu":
        limit_memory()
    model = MODELS[cell.model]().to(settings.device)
    batch = make_batch(cell.batch_size).to(settings.device)
    try:
        before = peak_memory(settings.device)
        runs = [run_once(model, batch, settings.device)]
        peak = peak_memory(settings.device) - before
        start = time.perf_counter()
        while len(runs) < settings.rounds + settings.warm_up:
            runs.append(run_once(model, batch, settings.device))
            if time.perf_counter() - start > SECONDS and len(runs) > 3:
                break
    except RuntimeError as error:
        if "alloc" not in str(error).lower() and "out of memory" not in str(error):
            raise
        raise MemoryError(str(error)) from None
    num_timed = min(settings.rounds, max(3, len(runs) - settings.warm_up))
    timed = torch.tensor(runs[-num_timed:], dtype=torch.float64)
    deciles = timed.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64), dim=0).T
    seconds = dict(zip(PASSES, deciles.tolist(), strict=True))
    return dataclasses.replace(cell, rounds=len(timed), seconds=seconds, peak=peak)


def make_batch(num_graphs: int) -> Batch:
    """Graphs of Gaussian masses, positions and velocities."""
    rows = num_graphs * NUM_NODES
    widths = {"mass": 1, "pos": 3, "vel": 3}
    values = {name: torch.randn(rows, width).split(NUM_NODES) for name, width in widths.items()}
    graphs = zip(*values.values(), strict=True)
    return Batch.from_data_list([Data(**dict(zip(values, g, strict=True))) for g in graphs])


def run_once(model: nn.Module, batch: Batch, device: str) -> list[float]:
    """Seconds of a forward and a backward pass of training, and of inference."""
    model.train()
    model.zero_grad()
    start = clock(device)
    loss: Tensor = model(batch).square().mean()
    forward = clock(device)
    loss.backward()
    backward = clock(device)
    del loss
    model.eval()
    with torch.no_grad():
        model(batch)
    return [forward - start, backward - forward, clock(device) - backward]


def limit_memory() -> None:
    """Lets allocations fail before the system runs out of memory, where it says how much it has."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not on every system
        return
    (available,) = (1024 * int(x.split()[1]) for x in lines if x.startswith("MemAvailable"))
    resource.setrlimit(resource.RLIMIT_DATA, (int(0.97 * available),) * 2)


def peak_memory(device: str) -> int:
    """The most bytes held so far: by this process, or by tensors on a GPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def format_table(cells: Sequence[Cell]) -> str:
    """Medians in milliseconds, their ratio to the first model's, and peak memory."""
    reference = {cell.batch_size: cell for cell in cells if cell.model == next(iter(MODELS))}
    rows = []
    for cell in sorted(cells, key=lambda cell: (cell.batch_size, list(MODELS).index(cell.model))):
        row = [f"{cell.model}, {cell.batch_size}"]
        for name in PASSES:
            other = reference.get(cell.batch_size)
            if cell.failure:
                row += [cell.failure, ""]
                continue
            median = cell.seconds[name][1]
            ratio = f"{median / other.seconds[name][1]:.2f}" if other and other.rounds else ""
            row += [f"{1e3 * median:.1f}", ratio]
        rows.append([*row, f"{cell.peak / 2**30:.2f}" if cell.rounds else ""])
    header = [f"{name} {unit}" for name in PASSES for unit in ("ms", "ratio")]
    return markdown_table(["model, batch size", *header, "peak GiB"], rows)
