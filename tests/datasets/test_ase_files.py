from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import ase.constraints
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator
from trajectories import ETHANOL, arrays

from pyg_remul.datasets import MD17Trajectory
from pyg_remul.datasets._ase_files import import_trajectory

KCAL_PER_EV = 23.060548
NUM = 60


def make_frames(num: int = NUM, *, results: bool = True) -> list[Atoms]:
    """Frames with energies in eV and forces in eV/A."""
    content, frames = arrays(num_frames=num), []
    for positions, energy, forces in zip(content["R"], content["E"], content["F"], strict=True):
        atoms = Atoms(ETHANOL.numbers, positions)
        if results:
            atoms.calc = SinglePointCalculator(atoms, energy=float(energy[0]), forces=forces)
        frames.append(atoms)
    return frames


def content_of(folder: Path, trajectory: object, **options: object) -> dict[str, np.ndarray]:
    given = {"name": None, "progress": False}
    molecule = import_trajectory(trajectory, folder, **(given | options))
    with np.load(folder / f"{molecule}_ase.npz") as file:
        return dict(file)


def load(trajectory: object, root: Path, **options: object) -> MD17Trajectory:
    return MD17Trajectory.from_ase(trajectory, root, delta=5, progress=False, **options)


@pytest.mark.parametrize("suffix", ["extxyz", "traj", "xyz", "json"])
def test_files_give_the_arrays_of_md17(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ethanol.{suffix}"
    ase.io.write(path, make_frames())
    content, expected = content_of(tmp_path, path), arrays(num_frames=NUM)
    assert np.array_equal(content["z"], expected["z"])
    np.testing.assert_allclose(content["R"], expected["R"], atol=1e-7)
    np.testing.assert_allclose(content["E"], KCAL_PER_EV * expected["E"], rtol=1e-7)
    np.testing.assert_allclose(content["F"], KCAL_PER_EV * expected["F"], atol=1e-6)


def test_sequences_give_the_arrays_of_md17(tmp_path: Path) -> None:
    content, expected = content_of(tmp_path, make_frames()), arrays(num_frames=NUM)
    assert np.array_equal(content["R"], expected["R"])
    np.testing.assert_allclose(content["E"], KCAL_PER_EV * expected["E"], rtol=1e-7)
    np.testing.assert_allclose(content["F"], KCAL_PER_EV * expected["F"], rtol=1e-7)


@pytest.mark.parametrize("suffix", ["pdb", "xyz"])
def test_energies_and_forces_may_be_absent(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ethanol.{suffix}"
    ase.io.write(path, make_frames(results=False))
    assert content_of(tmp_path, path).keys() == {"R", "z"}


def test_nothing_is_calculated(tmp_path: Path) -> None:
    frames = make_frames(results=False)
    for atoms in frames:
        atoms.calc = LennardJones()
    assert content_of(tmp_path, frames).keys() == {"R", "z"}


def test_results_of_other_positions_are_left_out(tmp_path: Path) -> None:
    frames = make_frames()
    for atoms in frames:
        atoms.positions += 1
    assert content_of(tmp_path, frames).keys() == {"R", "z"}


def test_constraints_leave_the_forces_alone(tmp_path: Path) -> None:
    frames = make_frames()
    for atoms in frames:
        atoms.set_constraint(ase.constraints.FixAtoms([0]))
    path = tmp_path / "ethanol.traj"
    ase.io.write(path, frames)
    forces = arrays(num_frames=NUM)["F"]
    np.testing.assert_allclose(content_of(tmp_path, path)["F"], KCAL_PER_EV * forces, rtol=1e-7)


def test_a_dataset_comes_out(tmp_path: Path) -> None:
    dataset = load(make_frames(), tmp_path, energy=True, force=True, heavy=False, margin=10)
    graph, expected = dataset[0], arrays(num_frames=NUM)
    t = graph.frame.item()
    assert (dataset.source, dataset.level) == ("ase", "unknown")
    np.testing.assert_allclose(graph.pos + graph.center_of_mass, expected["R"][t], atol=1e-6)
    np.testing.assert_allclose(graph.y + graph.center_of_mass, expected["R"][t + 5], atol=1e-6)
    assert graph.energy.item() == pytest.approx(KCAL_PER_EV * expected["E"][t, 0], rel=1e-7)
    np.testing.assert_allclose(graph.force, KCAL_PER_EV * expected["F"][t], rtol=1e-5)


def test_splits_are_those_of_the_class(tmp_path: Path) -> None:
    frames = make_frames()
    splits = [load(frames, tmp_path, split=s).frame.tolist() for s in ("train", "val", "test")]
    assert len(set().union(*splits)) == sum(map(len, splits)) == 4 + 2 + 2


def test_the_import_opens_without_the_trajectory(tmp_path: Path) -> None:
    first = load(make_frames(), tmp_path)
    again = MD17Trajectory(tmp_path, first.molecule, source="ase", delta=5, progress=False)
    assert again.pos.tolist() == first.pos.tolist()


@pytest.mark.parametrize("as_file", [True, False], ids=["file", "sequence"])
def test_a_trajectory_is_imported_once(tmp_path: Path, as_file: bool) -> None:
    trajectory: object = make_frames()
    if as_file:
        ase.io.write(tmp_path / "ethanol.xyz", trajectory)
        trajectory = tmp_path / "ethanol.xyz"
    molecule = import_trajectory(trajectory, tmp_path, None, progress=False)
    path = tmp_path / f"{molecule}_ase.npz"
    path.write_bytes(b"as it is")
    assert import_trajectory(trajectory, tmp_path, None, progress=False) == molecule
    assert path.read_bytes() == b"as it is"


def test_other_contents_have_other_names(tmp_path: Path) -> None:
    frames = make_frames(results=False)
    before = import_trajectory(frames, tmp_path, None, progress=False)
    frames[7].positions[3, 1] += 1e-6
    after = import_trajectory(frames, tmp_path, None, progress=False)
    assert before.split("-")[0] == after.split("-")[0] == "C2H6O"
    assert before != after


@pytest.mark.parametrize(
    ("file", "name"), [("run 1 (500 K).xyz", "run_1_500_K_"), (".hidden.xyz", "hidden")]
)
def test_names_of_files_become_plain(tmp_path: Path, file: str, name: str) -> None:
    ase.io.write(tmp_path / file, make_frames(3), format="extxyz")
    molecule = import_trajectory(tmp_path / file, tmp_path, None, progress=False)
    assert molecule.rpartition("-")[0] == name


def test_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    molecule = import_trajectory(make_frames(), tmp_path, "mine", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".lock") == [
        f"{molecule}_ase.npz"
    ]


def test_bad_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`molecule` must be a name of .*got '../mine-"):
        import_trajectory(make_frames(), tmp_path, "../mine", progress=False)


def heavier(frames: list[Atoms]) -> None:
    frames[17].numbers[0] = 7


def longer(frames: list[Atoms]) -> None:
    frames[17] += Atoms("H", [[9, 9, 9]])


def reordered(frames: list[Atoms]) -> None:
    frames[17].numbers = frames[17].numbers[::-1]


def bare(frames: list[Atoms]) -> None:
    frames[17].calc = None


def lost(frames: list[Atoms]) -> None:
    frames[17].positions[2] = np.nan
    frames[17].calc.atoms.positions[2] = np.nan


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (heavier, "frame 17 has other atoms than frame 0"),
        (longer, "frame 17 has other atoms than frame 0"),
        (reordered, "frame 17 has other atoms than frame 0, or another order"),
        (bare, "either frame 0 or frame 17 lacks its energy"),
        (lost, "."),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
@pytest.mark.parametrize("as_file", [True, False], ids=["file", "sequence"])
def test_frames_that_do_not_belong_together_are_refused(
    tmp_path: Path, as_file: bool, change: Callable[[list[Atoms]], None], reason: str
) -> None:
    trajectory: object = (frames := make_frames())
    change(frames)
    if as_file:
        trajectory = tmp_path / "mixed.traj"
        ase.io.write(trajectory, frames)
    subject = r"mixed.traj is refused: " if as_file else "`trajectory` must hold the frames of one"
    with pytest.raises(ValueError, match=subject + f".*{reason}"):
        import_trajectory(trajectory, tmp_path, "mixed", progress=False)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize(
    ("trajectory", "kind"),
    [
        (ETHANOL, "Atoms"),
        (7, "int"),
        ([ETHANOL, "H2O"], "str"),
        (iter([ETHANOL]), "list_iterator"),
    ],
    ids=["lone", "number", "text", "iterator"],
)
def test_anything_else_is_refused(tmp_path: Path, trajectory: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"`trajectory` must be a path or a seq.*, got {kind}"):
        import_trajectory(trajectory, tmp_path, None, progress=False)


def test_no_frames_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`trajectory` must hold .*but it has none"):
        import_trajectory([], tmp_path, None, progress=False)


@pytest.mark.parametrize("file", ["absent.xyz", "postgresql://host/base", "."])
def test_paths_without_a_file_are_refused(tmp_path: Path, file: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"`trajectory` must name a file, got"):
        import_trajectory(tmp_path / file, tmp_path, None, progress=False)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("empty.xyz", b""),
        ("text.xyz", b"three\nblind\nmice\n"),
        ("cut.xyz", b"9\n\nC 0 0 0\n"),
        ("broken.traj", b"- of UlmASE-Trajectory" + bytes(50)),
        ("unknown", b"\x00\x01\x02"),
        ("script.py", b"raise SystemExit\n"),
        ("number.xyz", b"1\n\nH 0 0 nan\n"),
    ],
)
def test_files_that_ase_does_not_read_are_refused(
    tmp_path: Path, file: str, content: bytes
) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"The file .*{file} is refused: "):
        import_trajectory(path, tmp_path, None, progress=False)


class Bomb:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("prefix", [b"", b"PickleTrajectory"], ids=["pickle", "old trajectory"])
@pytest.mark.parametrize("suffix", ["traj", "trj", "pckl", "bundle", "gpw", "db"])
def test_code_in_a_file_does_not_run(tmp_path: Path, suffix: str, prefix: bytes) -> None:
    path = tmp_path / f"file.{suffix}"
    path.write_bytes(prefix + pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(ValueError, match=rf"file.{suffix} is refused: ASE does not read it"):
        import_trajectory(path, tmp_path, None, progress=False)
    assert not (tmp_path / "ran").exists()
