from __future__ import annotations

import pickle
import runpy
from collections.abc import Callable
from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from pyg_remul import RemulLoss

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> Callable[[list[str]], None]:
    return runpy.run_path(str(EXAMPLES / name))["main"]


@pytest.fixture
def runs(tmp_path: Path, own_recordings: None) -> Path:
    """A folder with motion capture files of the published form."""
    parents = {6: 0, 11: 0, 17: 13, 24: 13, 23: 20, 30: 27}
    edges = [[child, parents.get(child, child - 1)] for child in range(1, 31)]
    rng = np.random.default_rng(0)
    trials = [rng.normal(size=(130, 31, 3)).cumsum(axis=0) for _ in range(11)]
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "motion_run.pkl").write_bytes(pickle.dumps((edges, trials)))
    return tmp_path


@pytest.fixture
def trajectory(tmp_path: Path) -> list[str]:
    """Options for a short trajectory of ethanol."""
    atoms = ase.build.molecule("CH3CH2OH")
    motion = 0.02 * np.random.default_rng(0).normal(size=(1000, len(atoms), 3))
    content = {"R": atoms.positions + motion, "E": np.zeros((1000, 1)), "z": atoms.numbers}
    (tmp_path / "raw").mkdir()
    np.savez(tmp_path / "raw" / "ethanol_xtb.npz", **content)
    options = {"--source": "xtb", "--delta": "30", "--epochs": "1", "--root": str(tmp_path)}
    return [word for pair in options.items() for word in pair]


def numbers(text: str, label: str) -> list[float]:
    return [
        float(line.split(label)[1].split()[0].strip(","))
        for line in text.splitlines()
        if label in line
    ]


def test_quickstart_shows_that_remul_lowers_the_equivariance_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example("quickstart.py")(["--root", str(tmp_path), "--epochs", "15"])
    plain, remul = numbers(capsys.readouterr().out, "E' ")
    assert remul < plain


@pytest.mark.parametrize("method", ["plain", "augmentation", "remul", "gradnorm"])
def test_nbody_trains_by_every_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    options = ["--method", method, "--epochs", "2", "--num-test", "8", "--root", str(tmp_path)]
    example("nbody.py")(options)
    (error,) = numbers(capsys.readouterr().out, "MSE out of distribution: ")
    assert 0 < error < 10


@pytest.mark.parametrize("name", ["nbody.py", "mocap.py", "md17.py"])
def test_error_is_the_mean_over_graphs_however_they_are_batched(name: str) -> None:
    class Zero(nn.Module):
        def forward(self, batch: Batch) -> Tensor:
            return torch.zeros_like(batch.y)

    graphs = [Data(y=torch.full((2, 3), size), num_nodes=2) for size in (1.0, 2.0, 6.0)]
    batches = [Batch.from_data_list(graphs[:2]), Batch.from_data_list(graphs[2:])]
    error = runpy.run_path(str(EXAMPLES / name))["test_error"](Zero(), batches)
    assert error == pytest.approx((1 + 4 + 36) / 3, rel=1e-6)


@pytest.mark.parametrize("model", ["transformer", "gnn", "egnn", "se3", "gatr"])
def test_nbody_trains_every_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str
) -> None:
    options = ["--model", model, "--epochs", "1", "--num-test", "8", "--root", str(tmp_path)]
    example("nbody.py")(options)
    (error,) = numbers(capsys.readouterr().out, "E' ")
    assert error < 1e-3 if model in ("egnn", "se3", "gatr") else error > 1e-2


@pytest.mark.parametrize("model", ["mlp", "emlp", "transformer", "gnn", "egnn"])
@pytest.mark.parametrize("method", ["augmentation", "remul"])
def test_mocap_trains(
    runs: Path, capsys: pytest.CaptureFixture[str], model: str, method: str
) -> None:
    options = ["--model", model, "--method", method, "--hidden", "16"]
    example("mocap.py")([*options, "--epochs", "1", "--root", str(runs)])
    (error,) = numbers(capsys.readouterr().out, "E' ")
    assert error < 0.01 if model in ("egnn", "emlp") else error > 0.1


def test_mocap_adapts_the_weights(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--method", "gradnorm", "--hidden", "16", "--epochs", "1", "--root", str(runs)]
    example("mocap.py")(options)
    (error,) = numbers(capsys.readouterr().out, "E' ")
    assert error > 0.1


@pytest.mark.parametrize("method", ["plain", "augmentation", "remul", "gradnorm"])
def test_md17_trains_by_every_method(
    trajectory: list[str], capsys: pytest.CaptureFixture[str], method: str
) -> None:
    example("md17.py")([*trajectory, "--method", method])
    text = capsys.readouterr().out
    assert 0 < numbers(text.replace("e-2", ""), "test MSE ")[0] < 1000
    assert "GFN2-xTB" in text


@pytest.mark.parametrize("model", ["gnn", "egnn"])
def test_md17_trains_every_model(
    trajectory: list[str], capsys: pytest.CaptureFixture[str], model: str
) -> None:
    example("md17.py")([*trajectory, "--model", model])
    (error,) = numbers(capsys.readouterr().out, "E' ")
    assert error < 1e-3 if model == "egnn" else error > 1e-2


@pytest.mark.parametrize(
    ("name", "method"),
    [("nbody.py", "plain"), ("mocap.py", "plain"), ("mocap.py", "augmentation")],
    ids=" ".join,
)
def test_methods_without_turned_passes_make_none(
    runs: Path, monkeypatch: pytest.MonkeyPatch, name: str, method: str
) -> None:
    monkeypatch.delattr(RemulLoss, "forward")
    example(name)(["--method", method, "--epochs", "1", "--root", str(runs)])


@pytest.mark.parametrize("method", ["plain", "augmentation"])
def test_md17_makes_one_pass_without_remul(
    trajectory: list[str], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.delattr(RemulLoss, "forward")
    example("md17.py")([*trajectory, "--method", method])


def test_schnet_is_invariant_and_its_forces_equivariant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    example("schnet.py")(["--epochs", "1", "--num-train", "8"])
    energy, force = numbers(capsys.readouterr().out, "relative E' ")
    assert energy < 1e-4
    assert force < 1e-4


@pytest.mark.parametrize(("name", "model"), [("nbody.py", "gatr"), ("nbody.py", "egnn")])
def test_gradnorm_needs_a_linear_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, model: str
) -> None:
    options = ["--model", model, "--method", "gradnorm", "--num-test", "4", "--root", str(tmp_path)]
    with pytest.raises(SystemExit, match="2"):
        example(name)(options)
    assert f"linear head, got {model}" in capsys.readouterr().err
