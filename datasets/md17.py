"""Molecular dynamics of one small molecule."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch

from pyg_remul.checks import check_choice
from pyg_remul.datasets._ase_files import Trajectory, import_trajectory
from pyg_remul.datasets._collation import Graphs, stack_graphs
from pyg_remul.datasets._download import fetch_file
from pyg_remul.datasets._md17_files import file_names, read_composition
from pyg_remul.datasets._md17_options import LEVELS, MAX_SAMPLES, TrajectoryOptions
from pyg_remul.datasets._md17_samples import molecular_graph, read_labels, read_positions
from pyg_remul.datasets._npz import archive_state
from pyg_remul.datasets._storage import TensorDataset, raw_folder
from pyg_remul.files import refusal

__all__ = ["MD17Trajectory"]

URL = "http://www.quantum-machine.org/gdml/data/npz/"


class MD17Trajectory(TensorDataset):
    r"""Atoms of a molecule some thousand frames later, from `MD17 <http://www.sgdml.org>`_.

    Each graph is one frame :math:`t` of molecular dynamics at 500 K: the positions :math:`x_t` of
    the atoms in A, their velocities :math:`v_t = x_{t+1} - x_t` in A per frame of 0.5 fs, and as
    target the positions :math:`x_{t+\Delta}`. This is the benchmark of `GMN
    <https://arxiv.org/abs/2203.06442>`_ and `REMUL <https://arxiv.org/abs/2410.17878>`_. The
    trajectories are those of `Chmiela et al. (2017) <https://doi.org/10.1126/sciadv.1603015>`_,
    calculated by density functional theory (PBE+vdW-TS).

    ================= ======== ====== =========== ======= ====== ======
    molecule          formula  heavy  frames T    train   val    test
    ================= ======== ====== =========== ======= ====== ======
    ``aspirin``       C9H8O4   13     211,762     19,176  9,588  9,588
    ``benzene``       C6H6     6      627,983     60,798  30,399 30,399
    ``ethanol``       C2H6O    3      555,092     53,509  26,754 26,754
    ``malonaldehyde`` C3H4O2   5      993,237     97,323  48,661 48,661
    ``naphthalene``   C10H8    10     326,250     30,624  15,312 15,312
    ``salicylic``     C7H6O3   10     320,231     30,023  15,011 15,011
    ``toluene``       C7H8     7      442,790     42,278  21,139 21,139
    ``uracil``        C4H4N2O2 8      133,770     11,376  5,688  5,688
    ================= ======== ====== =========== ======= ====== ======

    The first ``max_samples`` of the split's frames are taken: 500, 2,000 and 2,000, as published.

    Three sources of trajectories share the format, the splits and the graphs, but not the level of
    theory, which ``dataset.level`` and the name of the processed file tell apart:

    - ``"md17"``: the published files, ``raw/md17_NAME.npz`` or, older, ``raw/NAME_dft.npz``,
      downloaded if absent. Benzene is that of 2017, ``benzene_old`` in the published splits.
    - ``"xtb"``: ``raw/NAME_xtb.npz``, made by ``pyg-remul simulate``, GFN2-xTB.
    - ``"ase"``: any trajectory that ASE reads, through :meth:`from_ase`.

    A graph holds ``pos``, ``vel`` and ``y`` ``[N, 3]``; the atomic numbers ``z`` ``[N]`` and
    ``charge`` ``[N, 1]``, :math:`z / z_{\max}`; ``edge_index`` ``[2, E]`` with the pairs of atoms
    that are one or two bonds apart, where atoms closer than 1.6 A in the first frame are bonded,
    unless both are hydrogen; ``edge_attr`` ``[E, 3]``, for an edge from j to i :math:`(z_i, z_j,
    \text{hops})`; and ``frame`` ``[1]``. Centred graphs also hold ``center_of_mass`` ``[1, 3]``,
    which added to ``y`` puts it back. On request, of the frame :math:`t`: ``energy`` ``[1, 1]`` in
    kcal/mol, in float64 as it is large, and ``force`` ``[N, 3]`` in kcal/mol/A. (ASE has eV; 1 eV
    is 23.060548 kcal/mol.)

    Note:
        Sources disagree on :math:`\Delta`. REMUL states 5000, which GMN's README calls a misprint
        of its own paper for 3000; its code uses 3000, and REMUL's row for EGNN equals GMN's. Use
        3000 to compare with the published tables, 5000 to follow REMUL's text.

    Args:
        root: Folder that holds ``raw/`` with the trajectory, and ``processed/``.
        molecule: One of the table; of other sources, the ``NAME`` of the file.
        split: ``"train"``, ``"val"`` or ``"test"``.
        source: ``"md17"``, ``"xtb"`` or ``"ase"``.
        delta: Frames :math:`\Delta` from input to target.
        heavy: Leave out hydrogen.
        center: Move the mean of the atoms' input positions to the origin, and ``y`` by the same
            shift.
        energy: Add the energies.
        force: Add the forces; without hydrogen they are no longer the energy's gradient.
        margin: Frames at either end that are no inputs, at least ``delta - 1``; ``None`` for
            10,000, as published, or a tenth of a trajectory of less than 100,000 frames.
        max_samples: Upper bound on the graphs; ``None`` for the published number.
        progress: Show progress bars.
        transform: Applied to a graph at each access.
        pre_transform: Applied to each graph before it is stored.
        pre_filter: Keeps the graphs for which it is true.
        force_reload: Process again even if there are processed files.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or a file is damaged or not the published one.
        FileNotFoundError: If the file is absent and cannot be downloaded.

    Example:
        >>> MD17Trajectory("data/md17", "aspirin", "test", delta=5000)  # doctest: +SKIP
        MD17Trajectory(2000)
    """

    reps: ClassVar[dict[str, str]] = {
        "pos": "point",
        "vel": "vector",
        "y": "point",
        "charge": "scalar",
        "edge_attr": "scalar",
    }
    reps_of_labels: ClassVar[dict[str, str]] = {"energy": "scalar", "force": "vector"}

    def __init__(
        self,
        root: str | os.PathLike[str],
        molecule: str,
        split: str = "train",
        *,
        source: str = "md17",
        delta: int = 3000,
        heavy: bool = True,
        center: bool = True,
        energy: bool = False,
        force: bool = False,
        margin: int | None = None,
        max_samples: int | None = None,
        progress: bool = True,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
        pre_filter: Callable[..., Any] | None = None,
        force_reload: bool = False,
    ) -> None:
        check_choice("split", split, MAX_SAMPLES)
        self.molecule, self.split, self.source = molecule, split, source
        self.progress = progress
        self.options = TrajectoryOptions(
            molecule=molecule,
            split=split,
            source=source,
            delta=delta,
            heavy=heavy,
            center=center,
            energy=energy,
            force=force,
            margin=margin,
            max_samples=MAX_SAMPLES[split] if max_samples is None else max_samples,
        )
        # Which attributes there are depends on what is asked for.
        labels = {name: self.reps_of_labels[name] for name in self.options.labels}
        self.reps = type(self).reps | labels  # type: ignore[misc]
        super().__init__(
            root,
            stem=self.options.stem,
            options=dataclasses.asdict(self.options),
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
            force_reload=force_reload,
        )

    @classmethod
    def from_ase(
        cls,
        trajectory: Trajectory,
        root: str | os.PathLike[str],
        split: str = "train",
        *,
        name: str | None = None,
        **options: Any,
    ) -> MD17Trajectory:
        """Takes the graphs from any trajectory that ASE reads (extxyz, traj, xyz, pdb, ...).

        Its frames are written to ``raw/NAME-HASH_ase.npz``, where the hash is that of its content:
        once written, they are not read again. Energies and forces that come with every frame are
        converted from eV and eV/A to kcal/mol and kcal/mol/A. The frames are meant to be evenly
        spaced and not wrapped into a periodic cell; each must have the same atoms in one order.

        Args:
            trajectory: A path, or a sequence of :class:`ase.Atoms`.
            root: As for the class.
            split: As for the class.
            name: What to call it; ``None`` for the name of the file, or the formula.
            **options: As for the class, but for ``molecule`` and ``source``.

        Returns:
            The dataset, whose ``molecule`` is ``NAME-HASH``.

        Raises:
            TypeError: If ``trajectory`` is something else.
            ValueError: If ASE does not read the file, or the frames differ in their atoms.
            FileNotFoundError: If there is no such file.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from ase.build import molecule
            >>> frames = [molecule("CH3CH2OH") for _ in range(100)]
            >>> with TemporaryDirectory() as root:
            ...     dataset = MD17Trajectory.from_ase(frames, root, delta=5, progress=False)
            >>> dataset[0]
            Data(pos=[3, 3], vel=[3, 3], y=[3, 3], center_of_mass=[1, 3], z=[3], charge=[3, 1],
                edge_index=[2, 6], edge_attr=[6, 3], frame=[1])
        """
        progress = options.get("progress", True)
        molecule = import_trajectory(trajectory, raw_folder(root), name, progress=progress)
        return cls(root, molecule, split, source="ase", **options)

    @property
    def level(self) -> str:
        """The level of theory of the trajectory."""
        return LEVELS[self.source]

    @property
    def raw_file_names(self) -> list[str]:
        """The trajectory's file, under that of its names which is there."""
        names = file_names(self.molecule, self.source)
        return [next((n for n in names if Path(self.raw_dir, n).exists()), names[0])]

    def raw_state(self) -> str | None:
        """The size and the checksums of the trajectory's file, if it is there."""
        path = Path(self.raw_paths[0])
        return archive_state(path) if path.exists() else None

    def download(self) -> None:
        """Fetches a published file, or compares it with the sum recorded then; none is known."""
        path = Path(self.raw_paths[0])
        if self.source == "md17":
            urls = [URL + name for name in file_names(self.molecule, self.source)]
            fetch_file(path, urls, progress=self.progress)
        elif not path.exists():
            maker = "`MD17Trajectory.from_ase` makes it"
            if self.source == "xtb":
                maker = "copy there what `pyg-remul simulate` made of the molecule"
            raise FileNotFoundError(f"The file {path} is absent; {maker}.")

    def build(self) -> Graphs:
        """Cuts the graphs out of the trajectory."""
        path, options = Path(self.raw_paths[0]), self.options
        z, num_frames = read_composition(path, self.molecule, self.source)
        atoms = z > 1 if options.heavy else z > 0
        if not atoms.any():
            raise refusal(path, "its atoms are all hydrogen, which `heavy=True` leaves out")
        t = options.draw(num_frames)
        first, fields = read_positions(path, t, options.delta, atoms, progress=self.progress)
        if options.center:
            center = fields["pos"].mean(dim=1, keepdim=True)
            fields |= {"pos": fields["pos"] - center, "y": fields["y"] - center}
            fields["center_of_mass"] = center
        try:
            graph = molecular_graph(first, torch.from_numpy(z[atoms]))
        except ValueError as error:
            raise refusal(path, f"in its first frame, {error}") from error
        return stack_graphs(
            {key: value.float() for key, value in fields.items()}
            | {key: value.expand(len(t), *value.shape) for key, value in graph.items()}
            | {"frame": torch.from_numpy(t)[:, None]}
            | read_labels(path, options.labels, t, atoms, progress=self.progress)
        )
