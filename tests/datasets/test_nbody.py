from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from pyg_remul.datasets import NBody
from pyg_remul.datasets._nbody_recipe import Recipe

FIELDS = ("mass", "pos", "vel", "y")


def make(root: Path, split: str = "train", **options: object) -> NBody:
    return NBody(root, split, progress=False, **options)


def stacked(dataset: NBody, key: str) -> torch.Tensor:
    """The values of all graphs, ``[B, n, ...]``."""
    return torch.stack([graph[key] for graph in dataset]).double()


def rotations(unturned: NBody, turned: NBody) -> torch.Tensor:
    """The best rotations from the states of one set to those of another, by Kabsch's algorithm."""
    before, after = (torch.cat([stacked(d, k) for k in FIELDS[1:]], 1) for d in (unturned, turned))
    u, _, vt = torch.linalg.svd(after.mT @ before)
    u[..., -1] *= torch.linalg.det(u @ vt)[:, None]
    matrix = u @ vt
    torch.testing.assert_close(before @ matrix.mT, after, rtol=0, atol=1e-5)
    return matrix


def angles(matrix: torch.Tensor) -> torch.Tensor:
    skew = (matrix - matrix.mT).norm(dim=(-2, -1)) / math.sqrt(8)
    return torch.rad2deg(torch.atan2(skew, (matrix.diagonal(0, -2, -1).sum(-1) - 1) / 2))


@pytest.mark.parametrize(
    ("split", "num"), [("train", 100), ("val", 5000), ("test", 5000), ("ood", 5000)]
)
def test_splits_have_the_sizes_of_the_paper(tmp_path: Path, split: str, num: int) -> None:
    assert len(make(tmp_path, split)) == num


def test_a_graph_holds_a_fully_connected_system(tmp_path: Path) -> None:
    graph = make(tmp_path, num_samples=2, num_planets=4)[1]
    assert {key: tuple(graph[key].shape) for key in FIELDS} == {
        "mass": (5, 1),
        "pos": (5, 3),
        "vel": (5, 3),
        "y": (5, 3),
    }
    pairs = set(map(tuple, graph.edge_index.T.tolist()))
    assert graph.edge_index.shape == (2, 20)
    assert pairs == {(i, j) for i in range(5) for j in range(5) if i != j}


def test_values_are_single_precision(tmp_path: Path) -> None:
    graph = make(tmp_path, num_samples=1)[0]
    assert {graph[key].dtype for key in FIELDS} == {torch.float32}


def test_representations_name_every_value(tmp_path: Path) -> None:
    assert make(tmp_path, num_samples=1).reps == {
        "pos": "point",
        "vel": "vector",
        "mass": "scalar",
        "y": "point",
    }


@pytest.mark.parametrize(
    ("split", "degrees", "low", "high"),
    [
        ("train", None, 0, 10),
        ("test", None, 0, 10),
        ("ood", None, 90, 180),
        ("train", 25, 0, 25),
        ("train", (30, 40), 30, 40),
        ("train", (20, 20), 20, 20),
    ],
    ids=["train", "test", "ood", "number", "pair", "one angle"],
)
def test_rotation_angles_fill_their_range(
    tmp_path: Path, split: str, degrees: object, low: float, high: float
) -> None:
    unturned = make(tmp_path, split, num_samples=300, degrees=0)
    found = angles(rotations(unturned, make(tmp_path, split, num_samples=300, degrees=degrees)))
    assert found.min() >= low - 0.01
    assert found.max() <= high + 0.01
    assert found.mean().item() == pytest.approx((low + high) / 2, abs=(high - low) / 15 + 0.01)


def test_unturned_systems_stay_in_their_plane(tmp_path: Path) -> None:
    assert stacked(make(tmp_path, degrees=0), "pos")[..., 2].abs().max() == 0


def test_rotation_axes_are_uniform(tmp_path: Path) -> None:
    unturned = make(tmp_path, num_samples=1000, degrees=0)
    matrix = rotations(unturned, make(tmp_path, num_samples=1000, degrees=(30, 90)))
    axis = torch.stack([(matrix - matrix.mT)[:, i, j] for i, j in ((2, 1), (0, 2), (1, 0))], -1)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    assert axis.mean(dim=0).tolist() == pytest.approx([0, 0, 0], abs=0.08)
    assert axis.square().mean(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.05)


def test_three_angles_leave_the_range(tmp_path: Path) -> None:
    unturned = make(tmp_path, num_samples=300, degrees=0)
    turned = make(tmp_path, num_samples=300, degrees=10, euler=True)
    found = angles(rotations(unturned, turned))
    assert 10 < found.max() < 18
    assert found.mean().item() == pytest.approx(9.6, abs=0.5)


def test_haar_rotations_are_uniform(tmp_path: Path) -> None:
    unturned = make(tmp_path, num_samples=1000, degrees=0)
    matrix = rotations(unturned, make(tmp_path, num_samples=1000, degrees="haar"))
    assert matrix.mean(dim=0).abs().max().item() == pytest.approx(0, abs=0.08)
    assert angles(matrix).mean().item() == pytest.approx(126.5, abs=4)


def test_centre_of_mass_of_the_inputs_is_the_origin(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    mass, pos = stacked(dataset, "mass"), stacked(dataset, "pos")
    center = (mass * pos).sum(dim=1) / mass.sum(dim=1)
    assert center.abs().max().item() == pytest.approx(0, abs=1e-7)


def test_target_moves_with_the_inputs(tmp_path: Path) -> None:
    centred, placed = make(tmp_path), make(tmp_path, center=False)
    displacement = [stacked(d, "y") - stacked(d, "pos") for d in (centred, placed)]
    torch.testing.assert_close(*displacement, rtol=0, atol=1e-5)


def test_centring_leaves_the_velocities(tmp_path: Path) -> None:
    centred, placed = make(tmp_path), make(tmp_path, center=False)
    assert torch.equal(centred.vel, placed.vel)


def test_uncentred_systems_are_translated_as_in_the_recipe(tmp_path: Path) -> None:
    place = stacked(make(tmp_path, num_samples=1000, center=False), "pos").mean(dim=1)
    assert place.mean(dim=0).tolist() == pytest.approx([0, 0, 0], abs=2.5)
    assert place.std(dim=0).tolist() == pytest.approx([20, 20, 20], rel=0.1)


def test_shift_moves_the_systems_along_x(tmp_path: Path) -> None:
    placed = make(tmp_path, center=False)
    shifted = make(tmp_path, center=False, shift=200.0)
    for key in ("pos", "y"):
        moved = stacked(shifted, key) - stacked(placed, key)
        expected = torch.tensor([200.0, 0, 0]).double().expand_as(moved)
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-4)


def test_no_body_moves_further_than_the_limit(tmp_path: Path) -> None:
    dataset = make(tmp_path, "val")
    assert (dataset.y - dataset.pos).norm(dim=-1).max() <= 2 + 1e-6


def test_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a"), make(tmp_path / "b")
    for key in FIELDS:
        assert torch.equal(getattr(first, key), getattr(second, key))


@pytest.mark.parametrize(
    ("split", "seed"), [("train", 1), ("val", 0), ("test", 0)], ids=["seed", "val", "test"]
)
def test_other_seeds_and_splits_give_other_systems(tmp_path: Path, split: str, seed: int) -> None:
    first = make(tmp_path, num_samples=100)
    second = make(tmp_path, split, num_samples=100, seed=seed)
    assert not torch.isin(second.mass, first.mass).any()


@pytest.mark.parametrize("num", [100, 1000, 1200])
def test_a_smaller_set_begins_a_larger_one(tmp_path: Path, num: int) -> None:
    small, large = make(tmp_path, num_samples=num), make(tmp_path, num_samples=2100)
    for key in FIELDS:
        assert torch.equal(getattr(small, key), getattr(large, key)[: 4 * num])


def test_no_system_is_drawn_twice(tmp_path: Path) -> None:
    mass = make(tmp_path, num_samples=2100).mass
    assert len(mass.unique()) > 0.99 * len(mass)


def test_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    make(tmp_path, center=False)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_second_use_does_not_simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(tmp_path)

    def fail(*_: object) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(Recipe, "simulate", fail)
    assert torch.equal(make(tmp_path).pos, first.pos)


def test_nothing_is_downloaded(tmp_path: Path) -> None:
    make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["processed"]


def test_file_name_tells_the_options(tmp_path: Path) -> None:
    name = make(tmp_path, "ood", num_samples=7, seed=3).processed_file_names[0]
    assert name.startswith("nbody-ood-7-p3-deg90-180-seed3-steps100-dt0.001-centred-")


@pytest.mark.parametrize(
    "option",
    [
        {"num_samples": 3},
        {"num_planets": 2},
        {"degrees": 11},
        {"degrees": "haar"},
        {"euler": True},
        {"seed": 1},
        {"num_steps": 5},
        {"dt": 0.0020000001},
        {"center": False},
        {"center": False, "shift": 1.0},
        {"split": "test"},
    ],
    ids=str,
)
def test_each_option_has_its_own_file(tmp_path: Path, option: dict[str, object]) -> None:
    options = {"num_samples": 2, "dt": 0.002} | option
    first = make(tmp_path, num_samples=2, dt=0.002)
    assert make(tmp_path, **options).processed_file_names != first.processed_file_names


def test_progress_is_shown_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path)
    assert capsys.readouterr().err == ""
    NBody(tmp_path, "val", num_samples=3)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "error", "wording"),
    [
        ({"split": "eval"}, ValueError, "`split` must be one of 'train', .*, got 'eval'"),
        ({"num_samples": 0}, ValueError, "`num_samples` must be positive, got 0"),
        ({"num_samples": 2.0}, TypeError, "`num_samples` must be an integer, got 2.0"),
        ({"num_planets": 0}, ValueError, "`num_planets` must be positive, got 0"),
        ({"num_steps": -1}, ValueError, "`num_steps` must be positive, got -1"),
        ({"num_steps": True}, TypeError, "`num_steps` must be an integer, got True"),
        ({"seed": 0.5}, TypeError, "`seed` must be an integer, got 0.5"),
        ({"dt": 0}, ValueError, "`dt` must be positive, got 0"),
        ({"dt": math.nan}, ValueError, "`dt` must be finite, got nan"),
        ({"dt": "1"}, TypeError, "`dt` must be a number, got '1'"),
        ({"degrees": -1}, ValueError, "`degrees` must be .* in .0, 180. .*got -1"),
        ({"degrees": 181}, ValueError, "`degrees` must be .*got 181"),
        ({"degrees": (20, 10)}, ValueError, "`degrees` must be .* ascending pair .*got .20, 10."),
        ({"degrees": (1, 2, 3)}, TypeError, "`degrees` must be .*got .1, 2, 3."),
        ({"degrees": "all"}, TypeError, "`degrees` must be 'haar', .*got 'all'"),
        ({"degrees": math.nan}, ValueError, "`degrees` must be .*got nan"),
        ({"degrees": "haar", "euler": True}, ValueError, "`euler` must be False .*got True"),
        ({"shift": 200.0}, ValueError, "`shift` must be 0 with `center=True`, got 200.0"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, object], error: type[Exception], wording: str
) -> None:
    with pytest.raises(error, match=wording):
        make(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_steps_that_tear_systems_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`num_steps` and `dt` must leave 10 systems .*got 0 of"):
        make(tmp_path, num_samples=10, num_steps=1, dt=100.0)
    assert not list((tmp_path / "processed").glob("[!.]*"))


def test_a_truncated_processed_file_is_refused(tmp_path: Path) -> None:
    path = Path(make(tmp_path).processed_paths[0])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=f"{path.name} is refused: .*force_reload=True"):
        make(tmp_path)
