"""Human motion capture."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from pyg_remul.checks import check_choice, check_integers
from pyg_remul.datasets._collation import Graphs, collate_graphs, separate_graphs, stack_graphs
from pyg_remul.datasets._download import fetch_file
from pyg_remul.datasets._mocap_files import MOTIONS, published_split, read_motion, skeleton_graph
from pyg_remul.datasets._storage import TensorDataset
from pyg_remul.transforms import SubtractCenterOfMass

__all__ = ["MoCap"]

URL = (
    "https://raw.githubusercontent.com/hanjq17/EGHN/"
    "2152b979aa5034cbb372933c6f921ce020bd66bc/motion/dataset/"
)


class MoCap(TensorDataset):
    r"""People running or walking a quarter of a second later, from `CMU <http://mocap.cs.cmu.edu>`_.

    Each graph is one frame :math:`t` of a recording: the positions :math:`x_t` of 31 joints, their
    velocities :math:`v_t = x_{t+1} - x_t` per frame, and as target the positions
    :math:`x_{t+\Delta}`. Frames are 1/120 s apart. The y axis points up; the people go along z.
    Lengths are in the units of the ASF skeleton files, 0.056444 m each, or in metres. This is the
    benchmark of `GMN <https://arxiv.org/abs/2203.06442>`_, `EGHN
    <https://arxiv.org/abs/2202.10643>`_ and `REMUL <https://arxiv.org/abs/2410.17878>`_.

    The recordings are those of subjects 9 (running) and 35 (walking) of the CMU Graphics Lab Motion
    Capture Database, as processed by the authors of EGHN, from whose `repository
    <https://github.com/hanjq17/EGHN>`_ they are downloaded. CMU gives them free for all uses and
    asks to say: "The data used in this project was obtained from mocap.cs.cmu.edu. The database was
    created with funding from NSF EIA-0196217."

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

    On the test split of running, in ASF units and per coordinate, the velocity has an rms of 0.33,
    persistence a mean squared error of 89.8, and :math:`x + 30 v` one of 19.8.

    A graph holds ``pos``, ``vel`` and ``y`` ``[31, 3]``, ``edge_index`` ``[2, E]``, ``edge_attr``
    ``[E, 1]`` with the hops of each edge, and ``trial`` and ``frame`` ``[1]``, its place in the
    file. There are 60 edges of one hop and 70 of two. Centred graphs also hold ``center_of_mass``
    ``[1, 3]``, which added to ``y`` puts it back.

    Args:
        root: Folder that holds ``raw/`` with the published file, and ``processed/``.
        motion: ``"run"`` or ``"walk"``.
        split: ``"train"``, ``"val"`` or ``"test"``.
        delta: Frames :math:`\Delta` from input to target.
        center: Move the mean of the joints' input positions to the origin, and ``y`` by the same
            shift.
        hops: 1 to connect joints that share a bone, 2 to connect those two bones apart as well.
        units: ``"asf"`` or ``"m"``.
        max_samples: Upper bound on the graphs, of which each trial gives an equal share, rounded
            down; ``None`` takes the table's.
        transform: Applied to a graph at each access.
        pre_transform: Applied to each graph before it is stored.
        pre_filter: Keeps the graphs for which it is true.
        force_reload: Process again even if there are processed files.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or a file is damaged or not the published one.
        FileNotFoundError: If the published file is absent and cannot be downloaded.

    Example:
        >>> MoCap("data/mocap", "run", "test", units="m")  # doctest: +SKIP
        MoCap(240)
    """

    max_samples_default: ClassVar[dict[str, int]] = {"train": 200, "val": 600, "test": 600}
    metres: ClassVar[dict[str, float]] = {"asf": 1.0, "m": 0.0254 / 0.45}
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
        check_choice("split", split, self.max_samples_default)
        check_integers(delta=delta)
        check_choice("hops", hops, (1, 2))
        check_choice("units", units, self.metres)
        self.motion, self.split = motion, split
        self.delta, self.center, self.hops, self.units = delta, center, hops, units
        self.max_samples = self.max_samples_default[split] if max_samples is None else max_samples
        self._check_max_samples()
        place = "centred" if center else "absolute"
        super().__init__(
            root,
            stem=f"mocap-{motion}-{split}-{self.max_samples}-delta{delta}-hops{hops}-{units}-{place}",
            options={
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

    def _check_max_samples(self) -> None:
        check_integers(max_samples=self.max_samples)
        num_trials = len(MOTIONS[self.motion].trials[self.split])
        if self.max_samples < num_trials:
            raise ValueError(
                f"`max_samples` must be at least {num_trials}, one for each trial of the split, "
                f"got {self.max_samples}."
            )

    @property
    def raw_file_names(self) -> list[str]:
        """The published file of the motion."""
        return [MOTIONS[self.motion].file]

    def download(self) -> None:
        """Fetches or verifies the published file; the sum of that of the run is known."""
        motion = MOTIONS[self.motion]
        known_hash = f"md5:{motion.md5}" if motion.md5 else None
        fetch_file(Path(self.raw_paths[0]), [URL + motion.file], known_hash=known_hash)

    def build(self) -> Graphs:
        """Cuts the graphs out of the recordings."""
        motion = MOTIONS[self.motion]
        bones, trials = read_motion(Path(self.raw_paths[0]), motion)
        samples = self._cut(trials)
        edge_index, edge_attr = skeleton_graph(bones, self.hops)
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

    def _cut(self, trials: list[Tensor]) -> dict[str, Tensor]:
        """All samples, along a first axis, in float64."""
        split = published_split(MOTIONS[self.motion])[self.split]
        share = self.max_samples // len(split)
        samples = []
        for trial, drawn in split.items():
            x, t = self.metres[self.units] * trials[trial], torch.from_numpy(drawn[:share])
            latest = len(x) - 1 - int(t.max())
            if self.delta > latest:
                raise ValueError(
                    f"`delta` must be at most {latest}, for trial {trial} of {self.raw_paths[0]} "
                    f"has {len(x)} frames and frame {int(t.max())} is an input, got {self.delta}."
                )
            pos = x[t]
            fields = {"pos": pos, "vel": x[t + 1] - pos, "y": x[t + self.delta]}
            samples.append(fields | {"trial": torch.full((len(t), 1), trial), "frame": t[:, None]})
        return {key: torch.cat([sample[key] for sample in samples]) for key in samples[0]}
