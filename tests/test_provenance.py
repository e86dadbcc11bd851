"""Where the data of a task come from."""

from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pyg_remul.presets import preset
from pyg_remul.provenance import check_same_data, graph_origins, provenance_of
from pyg_remul.tasks import load_task

PARENTS = {6: 0, 11: 0, 17: 13, 24: 13, 23: 20, 30: 27}


KNOWN = {
    "source": "simulated",
    "published": True,
    "graphs": {"train": 500, "test": 24},
    "fingerprint": {"test": 0.5},
}
OTHER = {
    "source": "published trajectory",
    "published": False,
    "graphs": {"train": 501, "test": 24},
    "fingerprint": {"test": 0.501},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of datasets with random recordings of running, and a random trajectory."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    bones = [[child, PARENTS.get(child, child - 1)] for child in range(1, 31)]
    motion = [rng.normal(size=(125, 31, 3)) for _ in range(11)]
    for name in ("mocap", "md17"):
        (root / name / "raw").mkdir(parents=True)
    (root / "mocap" / "raw" / "motion_run.pkl").write_bytes(pickle.dumps((bones, motion)))
    x = rng.normal(size=(600, 9, 3)).astype(np.float32)
    energies = np.zeros((600, 1))
    path = root / "md17" / "raw" / "ethanol_xtb.npz"
    np.savez(path, R=x, E=energies, z=np.array([6, 6, 8, *[1] * 6]))
    return root


@pytest.fixture
def load(folder, own_recordings):
    def build(task, **options):
        sizes = {"num_train": 8, "num_eval": 5} if task != "mocap-run" else {}
        return load_task(preset(task, "gnn", data=folder, **sizes, **options), progress=False)

    return build


def test_simulated_systems_follow_the_published_recipe(load):
    found = dataclasses.asdict(provenance_of(load("nbody")))
    del found["fingerprint"]
    assert found == {
        "source": "simulated by the published recipe",
        "published": True,
        "graphs": {"train": 8, "val": 5, "test": 5, "ood": 5},
    }


def test_published_recording_says_so(load):
    found = provenance_of(load("mocap-run"))
    assert found.source == "published file and split, 30 frames ahead"
    assert found.published
    assert found.graphs == {"train": 200, "val": 240, "test": 240}


@pytest.mark.parametrize(
    ("split_source", "words"),
    [("pyg_remul", "not the published file, in this project's split"), ("given", "of the user's")],
)
def test_other_recordings_say_so(load, monkeypatch, split_source, words):
    data = load("mocap-run")
    monkeypatch.setattr(data.tests["test"], "split_source", split_source)
    found = provenance_of(data)
    assert words in found.source
    assert not found.published


def test_trajectory_of_another_level_of_theory_says_so(load):
    found = provenance_of(load("md17", source="xtb", delta=50))
    assert found.source == "GFN2-xTB trajectory of this project, not MD17's DFT, 50 frames ahead"
    assert not found.published


def test_published_trajectory_says_so(load, monkeypatch):
    data = load("md17", source="xtb", delta=50)
    monkeypatch.setattr(data.tests["test"], "source", "md17")
    found = provenance_of(data)
    assert "published trajectory" in found.source
    assert found.published


def test_fingerprint_is_that_of_the_targets_of_each_test_split(load):
    data = load("nbody")
    found = provenance_of(data).fingerprint
    assert list(found) == ["test", "ood"]
    y = torch.stack([graph.y for graph in data.tests["test"]]).flatten(0, 1).double()
    expected = (torch.linspace(0, 1, len(y)).double() * y.square().sum(-1)).mean().item()
    assert found["test"] == pytest.approx(expected, rel=1e-6)


def test_fingerprint_does_not_depend_on_training_graphs(load, folder):
    config = preset("nbody", "gnn", data=folder, num_train=4, num_eval=5)
    fewer = provenance_of(load_task(config, progress=False))
    assert fewer.fingerprint == provenance_of(load("nbody")).fingerprint


@pytest.mark.parametrize("change", ["values", "order"])
def test_fingerprint_tells_targets_apart(load, change):
    data = load("nbody")
    before = provenance_of(data).fingerprint["test"]
    y = data.tests["test"]._data.y
    y[:] = y.flip(0) if change == "order" else 1.001 * y
    assert abs(provenance_of(data).fingerprint["test"] / before - 1) > 1e-4


def test_fingerprint_does_not_tell_roundings_apart(load):
    data = load("nbody")
    before = provenance_of(data).fingerprint["test"]
    y = data.tests["test"]._data.y
    y *= 1 + 1e-7 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    assert provenance_of(data).fingerprint["test"] == pytest.approx(before, rel=1e-6)


def test_frames_of_recordings_have_their_trial(load):
    origins = graph_origins(load("mocap-run"))["test"]
    assert origins["trial"].unique_consecutive(return_counts=True)[1].tolist() == [80] * 3
    assert len(origins["frame"]) == 240


def test_frames_of_a_trajectory_have_their_number(load):
    data = load("md17", source="xtb", delta=50)
    origins = graph_origins(data)["test"]
    assert list(origins) == ["frame"]
    assert origins["frame"].tolist() == [int(graph.frame) for graph in data.tests["test"]]


def test_simulated_systems_are_independent(load):
    assert graph_origins(load("nbody")) == {"test": {}, "ood": {}}


@pytest.mark.dataset
@pytest.mark.skipif("PYG_REMUL_DATA" not in os.environ, reason="PYG_REMUL_DATA is not set")
def test_published_recording_has_three_test_trials(tmp_path):
    raw = tmp_path / "mocap" / "raw"
    raw.mkdir(parents=True)
    published = Path(os.environ["PYG_REMUL_DATA"]) / "mocap" / "run" / "motion_run.pkl"
    (raw / "motion_run.pkl").symlink_to(published)
    data = load_task(preset("mocap-run", data=tmp_path))
    assert provenance_of(data).published
    trials = torch.tensor([3, 7, 8]).repeat_interleave(80)
    assert graph_origins(data)["test"]["trial"].equal(trials)


@pytest.mark.parametrize("name", KNOWN)
def test_other_data_are_refused_by_name(name):
    match = rf"^The runs must be of the same data, but `{name}` is .* in one and .* in other; put"
    with pytest.raises(ValueError, match=match):
        check_same_data("The runs", {"one": KNOWN, "other": {**KNOWN, name: OTHER[name]}})


def test_targets_that_differ_by_rounding_are_the_same():
    close = {**KNOWN, "fingerprint": {"test": 0.5 * (1 + 1e-7)}}
    check_same_data("The runs", {"one": KNOWN, "other": close})


@pytest.mark.parametrize("older", [{}, {"source": "simulated"}, {**KNOWN, "fingerprint": None}])
def test_what_is_not_known_is_not_compared(older):
    check_same_data("The runs", {"older": older, "one": KNOWN})
    match = r"`fingerprint` is .* in one and .* in other"
    with pytest.raises(ValueError, match=match):
        check_same_data(
            "The runs",
            {"one": KNOWN, "older": older, "other": {**KNOWN, "fingerprint": {"test": 0.6}}},
        )
