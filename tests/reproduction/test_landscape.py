"""Measurements of the loss around trained models."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from pyg_remul.experiment import restore, train
from pyg_remul.hessian import Hessian
from pyg_remul.presets import preset
from pyg_remul.reproduction import landscape as landscapes
from pyg_remul.reproduction.landscape import LandscapeOptions, measure_landscape, training_loss

OPTIONS = LandscapeOptions(num_points=3, num_pairs=2)
SIZES = {"hidden_channels": 4, "num_layers": 1, "heads": 2, "hidden_scalars": 4}
GRAPHS = {"batch_size": 4, "num_train": 10, "num_eval": 4, "equivariance_graphs": 0}


class CrashError(Exception):
    """Stands for the end of a process."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Trains a tiny model and returns its best checkpoint."""
    folder = tmp_path_factory.mktemp("runs")

    def train_one(model, seed=0):
        out = folder / f"{model}-{seed}"
        options = {"method": "plain", "steps": 2, "val_every": 2, "error_graphs": 2, "seed": seed}
        config = preset("nbody", model, **SIZES, **GRAPHS, **options, data=folder / "data")
        train(config, out, resume=True, report=lambda _: None)
        return out / "checkpoints" / "best.ckpt"

    return train_one


@pytest.fixture
def measure(run, tmp_path):
    def measure_one(model="transformer", seed=0, options=OPTIONS, **rest):
        return measure_landscape(run(model, seed), tmp_path, options=options, **rest)

    return measure_one


def test_training_loss_is_the_error_of_all_training_graphs(run):
    model, data = restore(run("transformer"))
    errors = [(model(graph) - graph.y).square().mean().item() for graph in data.train]
    loss = training_loss(data, torch.float64, torch.device("cpu"))(model.double())
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-5)


@pytest.mark.parametrize("model", ["transformer", "gatr"])
def test_middle_of_each_surface_is_the_loss_of_the_model(model, measure):
    found = measure(model)
    assert found.surfaces.shape == (2, 3, 3)
    expected = [found.curvature.loss] * 2
    assert found.surfaces[:, 1, 1].tolist() == pytest.approx(expected, rel=1e-12)


def test_curvature_is_that_of_the_training_loss(run, measure):
    model, data = restore(run("transformer"))
    hessian = Hessian(model, training_loss(data, torch.float64, torch.device("cpu")))
    eigenvalues = torch.linalg.eigvalsh(
        torch.stack([hessian @ column for column in torch.eye(len(hessian))])
    )
    found = measure().curvature
    assert found.loss == hessian.loss
    assert found.gradient == pytest.approx(hessian.gradient.norm().item(), rel=1e-12)
    assert found.smallest == pytest.approx(eigenvalues[0].item(), rel=1e-3)
    assert found.largest == pytest.approx(eigenvalues[-1].item(), rel=1e-6)
    assert abs(found.trace - eigenvalues.sum().item()) < 4 * found.trace_se
    assert found.ratio == found.smallest / found.largest


def test_pairs_of_directions_differ(measure):
    first, second = measure().surfaces
    assert not torch.allclose(first, second, rtol=1e-3)


def test_seed_gives_the_directions(measure):
    again = LandscapeOptions(num_points=3, num_pairs=2, seed=1)
    assert not torch.allclose(measure().surfaces, measure(options=again).surfaces, rtol=1e-3)


def test_more_pairs_begin_with_the_same(measure):
    fewer = LandscapeOptions(num_points=3, num_pairs=1)
    assert measure(options=fewer).surfaces[0].equal(measure().surfaces[0])


def test_report_counts_rows_up_to_all(measure):
    known = []
    measure(report=known.append)
    assert known == [0, 0, 1, 2, 3, 4, 5, 6]


def test_finished_measurement_is_read(measure, monkeypatch):
    found, known = measure(), []
    monkeypatch.setattr(landscapes, "restore", None)
    again = measure(report=known.append)
    assert again.surfaces.equal(found.surfaces)
    assert again.curvature == found.curvature
    assert known == [6]


@pytest.mark.parametrize("last", [0, 1, 4])
def test_interrupted_measurement_ends_like_an_unbroken_one(measure, tmp_path, monkeypatch, last):
    whole, calls = measure(), []
    for path in tmp_path.iterdir():
        path.unlink()

    def crash(rows):
        calls.append(rows)
        if len(calls) == last + 2:  # the first tells what is known at the start
            raise CrashError

    with pytest.raises(CrashError):
        measure(report=crash)
    known = []
    resumed = measure(report=known.append)
    assert known == list(range(last, 7))
    assert resumed.surfaces.equal(whole.surfaces)
    assert resumed.curvature == whole.curvature


def test_file_is_named_by_the_run_and_the_options(measure, tmp_path):
    measure()
    measure(seed=1)
    measure(options=LandscapeOptions(num_points=3, num_pairs=1))
    names = sorted(name.rsplit("-", 1)[0] for name in os.listdir(tmp_path))
    assert names == ["nbody-transformer-plain"] * 3


def test_file_is_named_by_the_weights(run, tmp_path):
    content = torch.load(run("transformer"), weights_only=True)
    content["state_dict"]["model.head.bias"] += 1.0
    torch.save(content, tmp_path / "moved.ckpt")
    found = [
        measure_landscape(path, tmp_path / "landscapes", options=OPTIONS).curvature.loss
        for path in (run("transformer"), tmp_path / "moved.ckpt")
    ]
    assert found[1] > found[0] + 0.5


def test_damaged_file_is_refused_by_name(measure, tmp_path):
    measure()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"The file {path} is refused: it does not load as arrays"):
        measure()


@pytest.mark.parametrize(
    "surfaces",
    [np.zeros((2, 3, 4)), np.zeros((2, 3, 3), np.float32)],
    ids=["of another shape", "of another type"],
)
def test_file_of_other_arrays_is_refused(measure, tmp_path, surfaces):
    measure()
    (path,) = tmp_path.iterdir()
    np.savez(path, surfaces=surfaces, curvature=np.zeros(7))
    with pytest.raises(ValueError, match="is refused: `surfaces` has the shape"):
        measure()


def test_pickles_are_refused(measure, tmp_path):
    measure()
    (path,) = tmp_path.iterdir()
    np.savez(path, surfaces=np.array([{}], dtype=object), curvature=np.zeros(7))
    with pytest.raises(ValueError, match="is refused: it does not load as arrays"):
        measure()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_points": 4}, "`num_points` must be odd and at least 3, got 4"),
        ({"num_pairs": -1}, "`num_pairs` must not be negative, got -1"),
        ({"extent": -1.0}, "`extent` must be positive, got -1.0"),
    ],
    ids=["points", "pairs", "extent"],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LandscapeOptions(**options)
