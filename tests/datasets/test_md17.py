from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.loader import DataLoader
from trajectories import ETHANOL, NUM_FRAMES, arrays, write

from pyg_remul import SO3, ConstantWeighting, RandomRotation, RemulLoss
from pyg_remul.datasets import MD17Trajectory, md17
from pyg_remul.datasets._md17_files import MOLECULES, Molecule
from pyg_remul.datasets._md17_options import split_frames
from pyg_remul.models import EGNN, GNN

HEAVY = ETHANOL.numbers > 1


def load(root: Path, split: str = "train", **options: object) -> MD17Trajectory:
    given = {"source": "xtb", "delta": 30, "progress": False}
    return MD17Trajectory(root, "ethanol", split, **(given | options))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[str]]]:
    """Lists the downloads, which bring nothing."""
    calls: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr(
        md17, "fetch_file", lambda path, urls, **_: calls.append((path, list(urls)))
    )
    return calls


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the published trajectory of ethanol be as short as the tests'."""
    files = ("md17_ethanol.npz", "ethanol_dft.npz")
    monkeypatch.setitem(MOLECULES, "ethanol", Molecule("C2H6O", NUM_FRAMES, files))


def test_a_graph_holds_the_molecule(root: Path) -> None:
    graph = load(root)[3]
    assert {key: tuple(value.shape) for key, value in graph.to_dict().items()} == {
        "pos": (3, 3),
        "vel": (3, 3),
        "y": (3, 3),
        "center_of_mass": (1, 3),
        "z": (3,),
        "charge": (3, 1),
        "edge_index": (2, 6),
        "edge_attr": (6, 3),
        "frame": (1,),
    }


def test_labels_come_on_request(root: Path) -> None:
    graph = load(root, energy=True, force=True, heavy=False)[0]
    t = graph.frame.item()
    assert graph.energy.tolist() == [[arrays()["E"][t, 0]]]
    np.testing.assert_allclose(graph.force, arrays()["F"][t], rtol=1e-6)


def test_values_are_single_precision_but_for_energies(root: Path) -> None:
    graph = load(root, energy=True, force=True)[0].to_dict()
    dtypes = {key: value.dtype for key, value in graph.items() if value.is_floating_point()}
    assert dtypes.pop("energy") == torch.float64
    assert set(dtypes.values()) == {torch.float32}


def test_inputs_and_targets_are_frames_of_the_trajectory(root: Path) -> None:
    x = arrays()["R"][:, HEAVY]
    for graph in load(root, center=False):
        t = graph.frame.item()
        np.testing.assert_allclose(graph.pos, x[t], atol=1e-6)
        np.testing.assert_allclose(graph.vel, x[t + 1] - x[t], atol=1e-6)
        np.testing.assert_allclose(graph.y, x[t + 30], atol=1e-6)


@pytest.mark.parametrize(("split", "num"), [("train", 79), ("val", 39), ("test", 39)])
def test_frames_are_those_of_the_split(root: Path, split: str, num: int) -> None:
    dataset = load(root, split)
    assert dataset.frame.tolist() == split_frames(NUM_FRAMES, 100)[split].tolist()
    assert len(dataset) == num


def test_mean_of_the_inputs_is_the_origin(root: Path) -> None:
    for graph in load(root):
        assert graph.pos.double().mean(dim=0).abs().max().item() == pytest.approx(0, abs=1e-6)


def test_centre_of_mass_puts_inputs_and_targets_back(root: Path) -> None:
    for centred, absolute in zip(load(root), load(root, center=False), strict=True):
        for key in ("pos", "y"):
            back = centred[key] + centred.center_of_mass
            torch.testing.assert_close(back, absolute[key], rtol=0, atol=1e-6)


def test_all_atoms_can_be_kept(root: Path) -> None:
    graph = load(root, heavy=False)[0]
    assert graph.z.tolist() == ETHANOL.numbers.tolist()


def test_hydrogen_alone_has_no_heavy_atoms(tmp_path: Path) -> None:
    write(tmp_path, "hydrogen_xtb.npz", z=np.ones(9, int))
    with pytest.raises(ValueError, match=r"hydrogen_xtb.npz .* its atoms are all hydrogen"):
        MD17Trajectory(tmp_path, "hydrogen", source="xtb", delta=30, progress=False)


def test_bonds_are_those_of_the_first_frame(tmp_path: Path) -> None:
    positions = arrays()["R"]
    positions[1:] *= 10
    write(tmp_path, R=positions)
    assert load(tmp_path)[0].edge_index.size(1) == 6


@pytest.mark.parametrize("labels", [{}, {"energy": True, "force": True}], ids=["bare", "labels"])
def test_representations_serve_a_rotation(root: Path, labels: dict[str, bool]) -> None:
    dataset = load(root, **labels)
    turned = RandomRotation(dataset.reps, SO3())(dataset[0])
    for key in ("pos", "vel", "y", *(["force"] if labels else [])):
        lengths = (value[key].norm(dim=-1) for value in (turned, dataset[0]))
        assert not torch.equal(turned[key], dataset[0][key])
        torch.testing.assert_close(*lengths, rtol=1e-5, atol=1e-6)
    for key in ("charge", "edge_attr", *(["energy"] if labels else [])):
        assert torch.equal(turned[key], dataset[0][key])


def test_labels_of_one_dataset_leave_the_class_alone(root: Path) -> None:
    load(root, force=True)
    assert "force" not in MD17Trajectory.reps


@pytest.mark.parametrize(
    "model",
    [GNN(hidden_channels=8), EGNN(hidden_channels=8, edge_dim=3)],
    ids=lambda model: type(model).__name__,
)
def test_models_take_the_graphs_as_they_are(root: Path, model: torch.nn.Module) -> None:
    dataset = load(root)
    batch = next(iter(DataLoader(dataset, batch_size=5)))
    criterion = RemulLoss(
        SO3(), reps=dataset.reps, target="y", weighting=ConstantWeighting(1.0, 1.0)
    )
    assert torch.isfinite(criterion(model, batch).loss)


@pytest.mark.parametrize("source", ["md17", "xtb"])
def test_the_level_of_theory_is_told(root: Path, source: str, fetched: list, short: None) -> None:
    write(root, "md17_ethanol.npz")
    dataset = load(root, source=source)
    assert dataset.level == {"md17": "PBE+vdW-TS", "xtb": "GFN2-xTB"}[source]
    assert f"-{source}-" in dataset.processed_file_names[0]


@pytest.mark.parametrize("file", ["md17_ethanol.npz", "ethanol_dft.npz"])
def test_both_naming_schemes_are_found(
    tmp_path: Path, file: str, fetched: list[object], short: None
) -> None:
    path = write(tmp_path, file)
    assert load(tmp_path, source="md17").raw_paths == [str(path)]


def test_absent_files_come_from_the_official_address(
    tmp_path: Path, fetched: list[tuple[Path, list[str]]]
) -> None:
    with pytest.raises(FileNotFoundError, match=r"md17_benzene2017.npz"):
        MD17Trajectory(tmp_path, "benzene", progress=False)
    base = "http://www.quantum-machine.org/gdml/data/npz"
    path = tmp_path / "raw" / "md17_benzene2017.npz"
    assert fetched == [(path, [f"{base}/md17_benzene2017.npz", f"{base}/benzene_old_dft.npz"])]


def test_absent_simulations_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"raw/ethanol_xtb.npz is absent; .*`pyg-remul simulate`"
    ):
        load(tmp_path)


def test_absent_imports_name_the_method(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"raw/ethanol_ase.npz is absent; .*from_ase`"):
        load(tmp_path, source="ase")


def test_a_second_use_does_without_the_raw_file(root: Path) -> None:
    first = load(root)
    (root / "raw" / "ethanol_xtb.npz").unlink()
    assert torch.equal(load(root).pos, first.pos)


def test_a_second_use_does_not_read_the_trajectory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(root)
    monkeypatch.setattr(MD17Trajectory, "build", None)
    assert torch.equal(load(root).pos, first.pos)


def test_another_trajectory_of_the_name_takes_the_place_of_the_first(root: Path) -> None:
    first = load(root).pos
    path = root / "raw" / "ethanol_xtb.npz"
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"R": 2 * arrays["R"]})
    torch.testing.assert_close(load(root).pos, 2 * first, rtol=0, atol=1e-5)


def test_atoms_in_one_place_are_refused(root: Path) -> None:
    path = root / "raw" / "heap_xtb.npz"
    np.savez(path, R=np.zeros((100, 20, 3)), z=np.full(20, 6))
    message = r"in its first frame, 19 atoms lie within 1\.6 A of one"
    with pytest.raises(ValueError, match=message):
        MD17Trajectory(root, "heap", source="xtb", delta=1, progress=False)


def test_a_truncated_raw_file_is_refused(root: Path) -> None:
    path = root / "raw" / "ethanol_xtb.npz"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"raw/ethanol_xtb\.npz is refused: .*cannot be read"):
        load(root)


@pytest.mark.parametrize(
    "option",
    [
        {"split": "val"},
        {"delta": 5},
        {"heavy": False},
        {"center": False},
        {"energy": True},
        {"force": True},
        {"margin": 50},
        {"max_samples": 10},
    ],
    ids=str,
)
def test_each_option_has_its_own_file(root: Path, option: dict[str, object]) -> None:
    assert load(root, **option).processed_file_names != load(root).processed_file_names


@pytest.mark.parametrize(
    ("options", "error", "wording"),
    [
        ({"molecule": "water"}, ValueError, "`molecule` must be one of 'aspirin', .*, got 'water'"),
        ({"split": "ood"}, ValueError, "`split` must be one of 'train', .*, got 'ood'"),
        ({"source": "dft"}, ValueError, "`source` must be one of 'md17', .*, got 'dft'"),
        ({"delta": 0}, ValueError, "`delta` must be positive, got 0"),
        ({"delta": 1.5}, TypeError, "`delta` must be an integer, got 1.5"),
        ({"margin": -1}, ValueError, "`margin` must not be negative, got -1"),
        ({"max_samples": 0}, ValueError, "`max_samples` must be positive, got 0"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_refused_before_a_download(
    tmp_path: Path,
    fetched: list[object],
    options: dict[str, object],
    error: type[Exception],
    wording: str,
) -> None:
    with pytest.raises(error, match=wording):
        MD17Trajectory(tmp_path, **({"molecule": "ethanol"} | options))
    assert not fetched


@pytest.mark.dataset
@pytest.mark.parametrize(
    ("molecule", "num_edges", "persistence"),
    [
        ("ethanol", 6, 3.76),
        ("malonaldehyde", 14, 19.60),
        ("uracil", 36, 1.11),
        ("toluene", 30, 5.39),
    ],
)
def test_simulated_molecules_have_the_documented_statistics(
    tmp_path: Path, molecule: str, num_edges: int, persistence: float
) -> None:
    folder = os.environ.get("PYG_REMUL_DATA")
    if folder is None:
        pytest.skip("PYG_REMUL_DATA does not name a folder with the published files")
    (tmp_path / "raw").mkdir()
    source = Path(folder) / "md17_xtb" / f"{molecule}_xtb.npz"
    (tmp_path / "raw" / source.name).symlink_to(source.resolve())
    dataset = MD17Trajectory(tmp_path, molecule, "test", source="xtb", center=False, progress=False)
    error = 100 * (dataset.y - dataset.pos).square().mean().item()
    assert (len(dataset), dataset[0].num_edges) == (2000, num_edges)
    assert error == pytest.approx(persistence, abs=0.005)
