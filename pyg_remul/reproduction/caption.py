"""The lines above a table: on which data it is, and of which sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyg_remul.config import TrainConfig
from pyg_remul.presets import preset
from pyg_remul.provenance import Provenance
from pyg_remul.reproduction.outcomes import Outcome
from pyg_remul.reproduction.published import FRAMES_AHEAD
from pyg_remul.reproduction.summary import Line

__all__ = ["describe_case"]

_WIDTH_AND_DEPTH = ("num_layers", "hidden_channels")
_FURTHER = {
    "transformer": ("heads",),
    "se3": ("heads", "num_degrees", "hops"),
    "gatr": ("heads", "hidden_scalars"),
}
_TRAINING = ("num_train", "num_eval", "batch_size", "steps")
_MANNER = ("lr", "lr_final", "clip", "patience")
_ABSENT = {"clip": "none", "patience": "none"}
_UNLIKE = "Training, the paper's in brackets, where it differs and no row says otherwise:"


@dataclass(frozen=True)
class _Size:
    """A size of a run, or another of its options, beside that of the paper."""

    group: str
    name: str
    given: float | None
    printed: float | None
    absent: str = "default"

    def __str__(self) -> str:
        numbers = (self.given, self.printed)
        given, printed = (self.absent if n is None else f"{n:,}" for n in numbers)
        other = f" ({printed})" if self.differs else ""
        return f"{self.name} {given}{other}"

    @property
    def differs(self) -> bool:
        return self.given != self.printed


def describe_case(case: str, lines: Sequence[Line]) -> str:
    """Says on which data and with which sizes a case is, and what of it is not the paper's.

    Sizes are those of the runs' configurations, beside those of the paper where they differ. What a
    method's setting chooses, which stands in its row, is left out.

    Args:
        case: Its name.
        lines: Its methods.

    Returns:
        A line of Markdown.
    """
    finished = [line.outcome for line in lines if line.outcome.runs]
    if not finished:
        return f"**{case}: every run diverged.**"
    found, config = finished[0].provenance(), finished[0].config()
    sizes = list(dict.fromkeys(size for outcome in finished for size in _sizes(outcome)))
    remarks = _remarks(found, config) if any(line.published for line in lines) else []
    how = "all the paper's where no row says otherwise"
    if any(size.differs for size in sizes):
        remarks.append("Sizes are not the paper's.")
        how = "the paper's in brackets where they differ and no row says otherwise"
    graphs = ", ".join(f"{number:,} {split}" for split, number in found.graphs.items())
    said = " ".join([f"{case}. Data: {found.source}.", *remarks])
    manner = list(dict.fromkeys(option for outcome in finished for option in _manner(outcome)))
    departures = f" {_UNLIKE} {_list_sizes(manner)}." if manner else ""
    epochs = round(config.steps / math.ceil(found.graphs["train"] / config.batch_size))
    return (
        f"**{said}** Graphs: {graphs}. Sizes, {how}: {_list_sizes(sizes)}, which are {epochs:,} "
        f"epochs.{departures}"
    )


def _remarks(found: Provenance, config: TrainConfig) -> list[str]:
    """Why the results are not to be compared with those that the paper prints."""
    remarks = [] if found.published else ["The paper's numbers are for other data."]
    if config.task == "md17" and config.delta not in (None, FRAMES_AHEAD):
        remarks.append(f"The paper's numbers are most probably for {FRAMES_AHEAD:,} frames ahead.")
    return remarks


def _sizes(outcome: Outcome) -> Iterator[_Size]:
    """The sizes of the model and of training that no setting chooses."""
    config = outcome.config()
    paper = preset(config.task, config.model, "paper")
    model = (*_WIDTH_AND_DEPTH, *_FURTHER.get(config.model, ()))
    for group, names in ((config.model, model), ("training", _TRAINING)):
        for name in names:
            given, printed = getattr(config, name), getattr(paper, name)
            if name not in outcome.setting and (given, printed) != (None, None):
                most = " at most" if name == "steps" and config.patience is not None else ""
                yield _Size(group, name.replace("_", " ") + most, given, printed)


def _manner(outcome: Outcome) -> Iterator[_Size]:
    """How training departs from that of the paper, but for its sizes and the setting."""
    config = outcome.config()
    paper = preset(config.task, config.model, "paper")
    for name in _MANNER:
        absent = _ABSENT.get(name, "default")
        said = name.replace("_", " ")
        option = _Size(config.model, said, getattr(config, name), getattr(paper, name), absent)
        if name not in outcome.setting and option.differs:
            yield option


def _list_sizes(sizes: Sequence[_Size]) -> str:
    """Those of each model, and then those of training."""
    groups: dict[str, list[str]] = {size.group: [] for size in sizes if size.group != "training"}
    for size in sizes:
        groups.setdefault(size.group, []).append(str(size))
    return "; ".join(f"{group}: {', '.join(words)}" for group, words in groups.items())
