"""Human motion capture."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from pyg_remul.checks import check_choice, check_integers
from pyg_remul.datasets._collation import Graphs, collate_graphs, separate_graphs, stack_graphs
from pyg_remul.datasets._mocap_files import skeleton_graph
from pyg_remul.datasets._mocap_sources import Recordings, Trials, choose_source
from pyg_remul.datasets._mocap_splits import MOTIONS, SPLITS
from pyg_remul.datasets._storage import TensorDataset, raw_folder
from pyg_remul.transforms import SubtractCenterOfMass

__all__ = ["MoCap"]


class MoCap(TensorDataset):
    r"""People running or walking a quarter of a second later, from `CMU <http://mocap.cs.cmu.edu>`_.

    Each graph is one frame :math:`t` of a recording: the positions :math:`x_t` of 31 joints, their
    velocities :math:`v_t = x_{t+1} - x_t` per frame, and as target the positions
    :math:`x_{t+\Delta}`. Frames are 1/120 s apart. The y axis points up; the people go along z.
    Lengths are in the units of the ASF skeleton files, 0.056444 m each, or in metres. This is the
    benchmark of `GMN <https://arxiv.org/abs/2203.06442>`_, `EGHN
    <https://arxiv.org/abs/2202.10643>`_ and `REMUL <https://arxiv.org/abs/2410.17878>`_.

    The recordings are those of subjects 9 (running) and 35 (walking) of the CMU Graphics Lab Motion
    Capture Database, or of any other. CMU gives them free for all uses and asks to say: "The data
    used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding
    from NSF EIA-0196217." There are two sources:

    * ``"published"``: positions as processed by the authors of EGHN, from whose `repository
      <https://github.com/hanjq17/EGHN>`_ they are downloaded, with the published split.
    * ``"asf"``: CMU's own files such as ``35.asf`` and ``35_01.amc``, in one folder anywhere under
      ``raw/``. What is there is taken; if nothing is, the motion's trials are downloaded.

    A trial belongs to one split. Some of its first frames are drawn, the same as in the published
    split files, and the first of these, in equal shares, make up ``max_samples``:

    ======== ========= ====== ============ ===== =============== ======
    motion   split     trials first frames drawn ``max_samples`` graphs
    ======== ========= ====== ============ ===== =============== ======
    ``run``  ``train`` 5      90           80    200             200
    ``run``  ``val``   3      90           80    600             240
    ``run``  ``test``  3      90           80    600             240
    ``walk`` ``train`` 11     300          100   200             198
    ``walk`` ``val``   6      300          100   600             600
    ``walk`` ``test``  6      300          100   600             600
    ======== ========= ====== ============ ===== =============== ======

    Files of CMU are split in the same proportions, at random by trial, among trials of 121 frames
    (run) or 331 (walk) at least. That is this project's split: the published one goes by an order
    of trials that only the published file has. Say so with numbers from it; ``split_source`` is
    ``"published"``, ``"pyg_remul"``, or ``"given"`` where ``trials`` is a mapping.

    On the published test split of running, in ASF units and per coordinate, the velocity has an rms
    of 0.33, persistence a mean squared error of 89.8, and :math:`x + 30 v` one of 19.8.

    A graph holds ``pos``, ``vel`` and ``y`` ``[31, 3]``, ``edge_index`` ``[2, E]``, ``edge_attr``
    ``[E, 1]`` with the hops of each edge, and ``trial`` and ``frame`` ``[1]``: the index of the
    trial in the published file, or its number at CMU, and that of the frame in the trial, from 0.
    There are 60 edges of one hop and 70 of two; all pairs are 930. Centred graphs also hold
    ``center_of_mass`` ``[1, 3]``, which added to ``y`` puts it back.

    Args:
        root: Folder that holds ``raw/`` with the recordings, and ``processed/``.
        motion: ``"run"`` or ``"walk"``: the recordings, and how frames are drawn.
        split: ``"train"``, ``"val"`` or ``"test"``.
        subject: Another subject of CMU.
        trials: The numbers of the subject's trials, to be split as above, or for each split the
            numbers of its own. What is not there is downloaded. ``None`` takes the motion's trials
            or, of another subject, those that are there.
        source: ``"published"`` or ``"asf"``. ``None`` takes the published file if it is there, else
            CMU's files if they are, else downloads the published file. ``subject`` and ``trials``
            need ``"asf"`` or ``None``.
        delta: Frames :math:`\Delta` from input to target.
        center: Move the mean of the joints' input positions to the origin, and ``y`` by the same
            shift.
        hops: How many bones joints with an edge are apart at most: 1 connects those that share a
            bone, 30 all.
        units: ``"asf"`` or ``"m"``.
        max_samples: Upper bound on the graphs, of which each trial gives an equal share, rounded
            down; ``None`` takes the table's.
        transform: Applied to a graph at each access.
        pre_transform: Applied to each graph before it is stored.
        pre_filter: Keeps the graphs for which it is true.
        force_reload: Process again even if there are processed files.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, trials are too short or too few, or a file is
            damaged, malformed or not the published one.
        FileNotFoundError: If a file is absent and cannot be downloaded.

    Example:
        >>> MoCap("data/mocap", "run", "test", units="m")  # doctest: +SKIP
        MoCap(240)
        >>> walk = MoCap("data/mocap", "walk", subject=7, trials=range(1, 13))  # doctest: +SKIP
        >>> walk.split_source  # doctest: +SKIP
        'pyg_remul'
    """

    max_samples_default: ClassVar[dict[str, int]] = {"train": 200, "val": 600, "test": 600}
    reps: ClassVar[dict[str, str]] = {
        "pos": "point",
        "vel": "vector",
        "y": "point",
        "edge_attr": "scalar",
    }

    def __init__(
        self,
        root: str | os.PathLike[str],
        motion: str = "run",
        split: str = "train",
        *,
        subject: int | None = None,
        trials: Trials | None = None,
        source: str | None = None,
        delta: int = 30,
        center: bool = True,
        hops: int = 2,
        units: str = "asf",
        max_samples: int | None = None,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
        pre_filter: Callable[..., Any] | None = None,
        force_reload: bool = False,
    ) -> None:
        check_choice("motion", motion, MOTIONS)
        check_choice("split", split, SPLITS)
        check_integers(delta=delta, hops=hops)
        check_choice("units", units, ("asf", "m"))
        self.motion, self.split = motion, split
        self.delta, self.center, self.hops, self.units = delta, center, hops, units
        self.max_samples = self.max_samples_default[split] if max_samples is None else max_samples
        check_integers(max_samples=self.max_samples)
        self._source = choose_source(raw_folder(root), MOTIONS[motion], source, subject, trials)
        self.split_source = self._source.split_source
        if self._source.given is not None:
            self._share(len(self._source.given[split]))
        place = "centred" if center else "absolute"
        choices = f"{self.max_samples}-delta{delta}-hops{hops}-{units}-{place}"
        super().__init__(
            root,
            stem=f"mocap-{motion}{self._source.suffix}-{split}-{choices}",
            options={
                **self._source.options,
                "motion": motion,
                "split": split,
                "delta": delta,
                "center": center,
                "hops": hops,
                "units": units,
                "max_samples": self.max_samples,
            },
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            force_reload=force_reload,
        )

    @property
    def raw_file_names(self) -> list[str]:
        """The published file of the motion, or the skeleton and the trials of CMU."""
        return self._source.files

    def download(self) -> None:
        """Fetches or verifies the raw files, as far as their sums are known."""
        self._source.download()

    def build(self) -> Graphs:
        """Cuts the graphs out of the recordings."""
        recordings = self._source.read()
        samples = self._cut(recordings)
        edge_index, edge_attr = skeleton_graph(recordings.bones, self.hops)
        num = len(samples["pos"])
        data, slices = stack_graphs(
            samples
            | {
                "edge_index": edge_index.expand(num, -1, -1),
                "edge_attr": edge_attr.expand(num, -1, -1),
            }
        )
        if self.center:
            centre = SubtractCenterOfMass(self.reps)
            data, slices = collate_graphs([centre(g) for g in separate_graphs(data, slices)])
        return data.apply(lambda x: x.float() if x.is_floating_point() else x), slices

    def _cut(self, recordings: Recordings) -> dict[str, Tensor]:
        """All samples, along a first axis, in float64."""
        split = recordings.frames[self.split]
        scale = recordings.metres if self.units == "m" else 1.0
        samples = []
        for trial, drawn in split.items():
            x = scale * recordings.trials[trial]
            t = torch.from_numpy(drawn[: self._share(len(split))])
            latest = len(x) - 1 - int(t.max())
            if self.delta > latest:
                raise ValueError(
                    f"`delta` must be at most {latest}, for trial {trial} has {len(x)} frames and "
                    f"frame {int(t.max())} is an input, got {self.delta}."
                )
            pos = x[t]
            fields = {"pos": pos, "vel": x[t + 1] - pos, "y": x[t + self.delta]}
            samples.append(fields | {"trial": torch.full((len(t), 1), trial), "frame": t[:, None]})
        return {key: torch.cat([sample[key] for sample in samples]) for key in samples[0]}

    def _share(self, num_trials: int) -> int:
        """The samples of each trial."""
        if self.max_samples < num_trials:
            raise ValueError(
                f"`max_samples` must be at least {num_trials}, one for each trial of the split, "
                f"got {self.max_samples}."
            )
        return self.max_samples // num_trials
