"""The progress of many training runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tqdm import tqdm

from pyg_remul.config import TrainConfig
from pyg_remul.run_costs import RunCosts

__all__ = ["RunProgress"]

_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}]"


class RunProgress:
    """A bar over the work of many runs, each weighed by its estimated time.

    Steps that a run had made before it was resumed do not count as work.

    Args:
        costs: Where the time of steps is noted.
        clock: Gives seconds.
    """

    def __init__(self, costs: RunCosts, clock: Callable[[], float] = time.monotonic) -> None:
        self.costs, self.clock = costs, clock
        self._reports: dict[Path, tuple[int, float]] = {}
        self._spent, self._finished = 0.0, 0
        self._bar = tqdm(total=1, desc="training", bar_format=_FORMAT, dynamic_ncols=True)

    def note(self, folder: Path, config: TrainConfig, step: int) -> None:
        """Takes a report of a run.

        Args:
            folder: The run.
            config: Its options.
            step: The number of steps done. The first report sets where the counting begins.
        """
        now = self.clock()
        last, when = self._reports.get(folder, (step, now))
        self.costs.note(config, step - last, now - when)
        self._spent += now - when
        self._reports[folder] = step, now

    def finish(self, folder: Path, config: TrainConfig, step: int) -> None:
        """Takes the end of a run, which may have come before its last step.

        Args:
            folder: The run.
            config: Its options.
            step: The step of its last validation.
        """
        if folder in self._reports:
            last, _ = self._reports[folder]
            self.note(folder, config, max(step, last))  # with the time of its evaluation
        self._reports.pop(folder, None)
        self._finished += 1

    def show(self, running: Mapping[Path, TrainConfig], waiting: Iterable[TrainConfig]) -> None:
        """Draws the bar.

        Args:
            running: The runs under way.
            waiting: Those that have not begun.
        """
        left = [
            self.costs.seconds(config, config.steps - self._reports.get(folder, (0, 0.0))[0])
            for folder, config in running.items()
        ]
        left += map(self.costs.seconds, waiting)
        self._bar.total = self._spent + sum(left) or 1.0
        last = max(sum(left) / max(1, len(running)), max(left, default=0.0))  # or the longest run
        ends = tqdm.format_interval(last) if self._spent else "?"
        runs = f"{self._finished}/{self._finished + len(left)} runs, {ends} left"
        self._bar.set_description_str(runs, refresh=False)
        self._bar.update((self._spent if left else self._bar.total) - self._bar.n)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.refresh()
        self._bar.close()
