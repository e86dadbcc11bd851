from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import requests
import torch
from server import reply, serving

from pyg_remul import SO3
from pyg_remul.datasets import MoCap, _download, _mocap_sources
from pyg_remul.datasets._mocap_splits import MOTIONS, published_split
from pyg_remul.transforms import RandomRotation

PARENTS = {6: 0, 11: 0, 17: 13, 24: 13, 23: 20, 30: 27}
BONES = [[child, PARENTS.get(child, child - 1)] for child in range(1, 31)]
LENGTHS = {"run": (11, 125), "walk": (23, 331)}


def recording(motion: str) -> list[np.ndarray]:
    num, frames = LENGTHS[motion]
    return [10 + np.random.default_rng(index).normal(size=(frames, 31, 3)) for index in range(num)]


def write(root: Path, motion: str = "run") -> Path:
    path = root / "raw" / MOTIONS[motion].file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps((BONES, recording(motion))))
    return path


@pytest.fixture
def root(tmp_path: Path, own_recordings: None) -> Path:
    write(tmp_path)
    return tmp_path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets every download fail, and lists the addresses that were tried."""
    urls: list[str] = []

    def get(url: str, **_: object) -> None:
        urls.append(url)
        raise requests.ConnectionError("no network")

    monkeypatch.setattr(requests, "get", get)
    monkeypatch.setattr(_download, "PAUSES", ())
    return urls


@pytest.mark.parametrize(
    ("motion", "split", "num"),
    [
        ("run", "train", 200),
        ("run", "val", 240),
        ("run", "test", 240),
        ("walk", "train", 198),
        ("walk", "val", 600),
        ("walk", "test", 600),
    ],
)
def test_splits_have_the_published_sizes(
    tmp_path: Path, own_recordings: None, motion: str, split: str, num: int
) -> None:
    write(tmp_path, motion)
    assert len(MoCap(tmp_path, motion, split)) == num


def test_inputs_and_targets_are_frames_of_the_trial(root: Path) -> None:
    trials = recording("run")
    for graph in MoCap(root, delta=7, center=False):
        x, t = trials[graph.trial.item()], graph.frame.item()
        for value, expected in (
            (graph.pos, x[t]),
            (graph.vel, x[t + 1] - x[t]),
            (graph.y, x[t + 7]),
        ):
            np.testing.assert_allclose(value.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_frames_are_those_of_the_published_split(root: Path) -> None:
    dataset = MoCap(root, max_samples=15)
    published = published_split(MOTIONS["run"])["train"]
    places = [(graph.trial.item(), graph.frame.item()) for graph in dataset]
    assert places == [(trial, t) for trial, frames in published.items() for t in frames[:3]]


def test_a_graph_holds_the_skeleton(root: Path) -> None:
    graph = MoCap(root)[3]
    assert {key: tuple(value.shape) for key, value in graph.to_dict().items()} == {
        "pos": (31, 3),
        "vel": (31, 3),
        "y": (31, 3),
        "edge_index": (2, 130),
        "edge_attr": (130, 1),
        "trial": (1,),
        "frame": (1,),
        "center_of_mass": (1, 3),
    }


def test_values_are_single_precision(root: Path) -> None:
    graph = MoCap(root)[0]
    floats = {value.dtype for value in graph.to_dict().values() if value.is_floating_point()}
    assert floats == {torch.float32}
    assert graph.trial.dtype == graph.frame.dtype == torch.int64


def test_one_hop_leaves_the_bones(root: Path) -> None:
    assert MoCap(root, hops=1)[0].edge_index.shape == (2, 60)


def test_thirty_hops_connect_all_joints(root: Path) -> None:
    graph = MoCap(root, hops=30)[0]
    assert graph.edge_index.unique(dim=1).size(1) == 31 * 30
    assert graph.edge_attr.shape == (31 * 30, 1)


def test_mean_of_the_inputs_is_the_origin(root: Path) -> None:
    for graph in MoCap(root):
        assert graph.pos.double().mean(dim=0).abs().max().item() == pytest.approx(0, abs=1e-6)


def test_centre_of_mass_puts_inputs_and_targets_back(root: Path) -> None:
    for centred, absolute in zip(MoCap(root), MoCap(root, center=False), strict=True):
        for key in ("pos", "y"):
            back = centred[key] + centred.center_of_mass
            torch.testing.assert_close(back, absolute[key], rtol=0, atol=1e-5)


def test_centring_leaves_the_velocities(root: Path) -> None:
    assert torch.equal(MoCap(root).vel, MoCap(root, center=False).vel)


def test_metres_scale_every_length(root: Path) -> None:
    asf, metres = MoCap(root), MoCap(root, units="m")
    for key in ("pos", "vel", "y", "center_of_mass"):
        scaled = 0.0564444444 * getattr(asf, key)
        torch.testing.assert_close(getattr(metres, key), scaled, rtol=1e-5, atol=1e-7)
    assert torch.equal(metres.edge_attr, asf.edge_attr)


def test_representations_serve_a_rotation(root: Path) -> None:
    dataset = MoCap(root)
    turned = RandomRotation(dataset.reps, SO3())(dataset[0])
    for key in ("pos", "vel", "y"):
        lengths = (value[key].norm(dim=-1) for value in (turned, dataset[0]))
        torch.testing.assert_close(*lengths, rtol=1e-5, atol=1e-5)
    assert torch.equal(turned.edge_attr, dataset[0].edge_attr)


def test_delta_may_reach_the_last_frame(root: Path) -> None:
    longest = 124 - max(f.max() for f in published_split(MOTIONS["run"])["val"].values())
    assert len(MoCap(root, split="val", delta=int(longest))) == 240
    with pytest.raises(ValueError, match=f"`delta` must be at most {longest}, .*got {longest + 1}"):
        MoCap(root, split="val", delta=int(longest) + 1)


def test_delta_longer_than_the_trial_is_refused(root: Path) -> None:
    with pytest.raises(
        ValueError, match=r"`delta` must be at most \d\d, .*has 125 frames.*got 1000"
    ):
        MoCap(root, delta=1000)


def test_a_second_use_does_not_read_the_raw_file(root: Path) -> None:
    first = MoCap(root)
    (root / "raw" / "motion_run.pkl").write_bytes(b"")
    assert torch.equal(MoCap(root).pos, first.pos)


def test_file_name_tells_the_options(root: Path) -> None:
    name = MoCap(root, split="val", delta=5, units="m").processed_file_names[0]
    assert name.startswith("mocap-run-val-600-delta5-hops2-m-centred-")


@pytest.mark.parametrize(
    "option",
    [
        {"split": "val"},
        {"delta": 5},
        {"center": False},
        {"hops": 1},
        {"units": "m"},
        {"max_samples": 10},
    ],
    ids=str,
)
def test_each_option_has_its_own_file(root: Path, option: dict[str, object]) -> None:
    assert MoCap(root, **option).processed_file_names != MoCap(root).processed_file_names


@pytest.mark.parametrize(
    ("options", "error", "wording"),
    [
        ({"motion": "jump"}, ValueError, "`motion` must be one of 'run', 'walk', got 'jump'"),
        ({"split": "ood"}, ValueError, "`split` must be one of 'train', .*, got 'ood'"),
        ({"delta": 0}, ValueError, "`delta` must be positive, got 0"),
        ({"delta": 1.5}, TypeError, "`delta` must be an integer, got 1.5"),
        ({"hops": 0}, ValueError, "`hops` must be positive, got 0"),
        ({"hops": True}, TypeError, "`hops` must be an integer, got True"),
        ({"units": "cm"}, ValueError, "`units` must be one of 'asf', 'm', got 'cm'"),
        ({"max_samples": 0}, ValueError, "`max_samples` must be positive, got 0"),
        ({"max_samples": 4}, ValueError, "`max_samples` must be at least 5, .*got 4"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_refused_before_a_download(
    tmp_path: Path,
    offline: list[str],
    options: dict[str, object],
    error: type[Exception],
    wording: str,
) -> None:
    with pytest.raises(error, match=wording):
        MoCap(tmp_path, **options)
    assert not offline


@pytest.mark.parametrize("motion", ["run", "walk"])
def test_offline_the_error_names_file_and_place(
    tmp_path: Path, offline: list[str], motion: str
) -> None:
    file = MOTIONS[motion].file
    with pytest.raises(
        FileNotFoundError,
        match=rf"{tmp_path}/raw/{file} is absent .*no network.* Put .*EGHN.*{file}",
    ):
        MoCap(tmp_path, motion)


@pytest.mark.parametrize("motion", ["run", "walk"])
def test_files_come_from_the_repository_of_their_authors(
    tmp_path: Path, offline: list[str], motion: str
) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        MoCap(tmp_path, motion)
    (url,) = offline
    assert url.startswith("https://raw.githubusercontent.com/hanjq17/EGHN/")
    assert url.endswith(f"/{MOTIONS[motion].file}")


def test_the_download_of_the_run_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(reply(b"other")) as server:
        monkeypatch.setattr(_mocap_sources, "URL", server.url + "/")
        with pytest.raises(FileNotFoundError, match=f"its MD5 sum is .*, not {MOTIONS['run'].md5}"):
            MoCap(tmp_path)
    assert not (tmp_path / "raw" / "motion_run.pkl").exists()


def test_a_run_put_there_by_hand_is_verified(tmp_path: Path, offline: list[str]) -> None:
    write(tmp_path)
    with pytest.raises(
        ValueError,
        match=rf"motion_run\.pkl is refused: its MD5 .*, not {MOTIONS['run'].md5}\. Delete",
    ):
        MoCap(tmp_path)
    assert not offline


def test_later_damage_of_a_downloaded_walk_is_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(reply(pickle.dumps((BONES, recording("walk"))))) as server:
        monkeypatch.setattr(_mocap_sources, "URL", server.url + "/")
        assert len(MoCap(tmp_path, "walk")) == 198
        path = tmp_path / "raw" / "motion.pkl"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ValueError, match=r"raw/motion\.pkl is refused: its SHA256 sum is"):
            MoCap(tmp_path, "walk", "val")


def test_a_present_file_is_not_downloaded(root: Path, offline: list[str]) -> None:
    MoCap(root)
    assert not offline


def test_code_in_the_raw_file_does_not_run(tmp_path: Path, own_recordings: None) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"mkdir {tmp_path / 'ran'}",)

    write(tmp_path).write_bytes(pickle.dumps((BONES, [Bomb()])))
    with pytest.raises(ValueError, match=r"motion_run.pkl .*forbidden global `\w+.system`"):
        MoCap(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_truncated_raw_file_is_refused(root: Path) -> None:
    path = root / "raw" / "motion_run.pkl"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"motion_run\.pkl is not a pickle of plain arrays"):
        MoCap(root)


@pytest.mark.dataset
def test_the_published_run_has_the_published_statistics(tmp_path: Path) -> None:
    folder = os.environ.get("PYG_REMUL_DATA")
    if folder is None:
        pytest.skip("PYG_REMUL_DATA does not name a folder with the published files")
    (tmp_path / "raw").mkdir()
    source = Path(folder) / "mocap" / "run" / "motion_run.pkl"
    (tmp_path / "raw" / source.name).symlink_to(source.resolve())
    dataset = MoCap(tmp_path, split="test")
    displacement = dataset.y - dataset.pos
    residual = displacement - 30 * dataset.vel
    assert displacement.square().mean().item() == pytest.approx(89.8, abs=0.05)
    assert residual.square().mean().item() == pytest.approx(19.8, abs=0.05)
    assert dataset.vel.square().mean().sqrt().item() == pytest.approx(0.33, abs=0.005)
    assert dataset.pos.std(dim=0).tolist() == pytest.approx([2.33, 7.84, 3.72], abs=0.01)
