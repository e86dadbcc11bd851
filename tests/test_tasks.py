"""The datasets and models of a configuration."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch

from pyg_remul.datasets import MoCap, NBody
from pyg_remul.models import (
    EGNN,
    EMLP,
    GNN,
    PER,
    RPP,
    FlatMLP,
    GATr,
    GraphTransformer,
    SE3Transformer,
)
from pyg_remul.presets import preset
from pyg_remul.stacked_loader import StackedLoader
from pyg_remul.tasks import build_model, load_task

PARENTS = {6: 0, 11: 0, 17: 13, 24: 13, 23: 20, 30: 27}
CASES = [
    ("nbody", "transformer", GraphTransformer),
    ("nbody", "gnn", GNN),
    ("nbody", "egnn", EGNN),
    ("nbody", "se3", SE3Transformer),
    ("nbody", "gatr", GATr),
    ("mocap-run", "transformer", GraphTransformer),
    ("mocap-run", "gnn", GNN),
    ("mocap-run", "egnn", EGNN),
    ("mocap-run", "se3", SE3Transformer),
    ("mocap-run", "gatr", GATr),
    ("mocap-run", "mlp", FlatMLP),
    ("mocap-run", "emlp", EMLP),
    ("mocap-run", "rpp", RPP),
    ("mocap-run", "per", PER),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of datasets with a random recording of running."""
    root = tmp_path_factory.mktemp("data")
    bones = [[child, PARENTS.get(child, child - 1)] for child in range(1, 31)]
    motion = [np.random.default_rng(trial).normal(size=(125, 31, 3)) for trial in range(11)]
    (root / "mocap" / "raw").mkdir(parents=True)
    (root / "mocap" / "raw" / "motion_run.pkl").write_bytes(pickle.dumps((bones, motion)))
    return root


@pytest.fixture
def tiny(folder, own_recordings):
    def build(task="nbody", model="gnn", name="small", **options):
        graphs = {"num_train": 10, "num_eval": 8}
        return preset(task, model, name, **{**graphs, "data": folder, **options})

    return build


def num_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_simulated_task_has_two_tests(tiny):
    task = load_task(tiny(), progress=False)
    assert list(task.tests) == ["test", "ood"]
    sizes = [len(data) for data in (task.train, task.val, *task.tests.values())]
    assert sizes == [10, 8, 8, 8]


def test_splits_of_the_simulated_task_are_those_of_the_dataset(tiny):
    config = tiny(data_seed=3)
    task = load_task(config, progress=False)
    for split, data in {"train": task.train, "val": task.val, **task.tests}.items():
        num = 10 if split == "train" else 8
        dataset = NBody(config.data / "nbody", split, num_samples=num, seed=3)
        assert torch.equal(data[1].pos, dataset[1].pos)
        assert torch.equal(data[1].y, dataset[1].y)


def test_seed_of_the_data_is_not_that_of_the_run(tiny):
    first, second, third = (
        load_task(tiny(**seeds), progress=False).train[0].pos
        for seeds in ({"seed": 0}, {"seed": 1}, {"data_seed": 1})
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_motion_task_has_the_published_splits(tiny):
    task = load_task(tiny("mocap-run", num_train=None))
    assert [len(data) for data in (task.train, task.val, task.tests["test"])] == [200, 240, 240]
    assert list(task.tests) == ["test"]


def test_motion_task_may_be_cut(tiny):
    task = load_task(tiny("mocap-run", num_train=7))
    assert len(task.train) == 7


@pytest.mark.parametrize(("task", "reps"), [("nbody", NBody.reps), ("mocap-run", MoCap.reps)])
def test_representations_are_those_of_the_dataset(tiny, task, reps):
    assert load_task(tiny(task), progress=False).reps == reps


@pytest.mark.parametrize(("task", "model", "kind"), CASES)
def test_model_predicts_the_target(tiny, task, model, kind):
    config = tiny(task, model, hidden_channels=8, num_layers=2)
    data = load_task(config, progress=False)
    network = build_model(config, data)
    (batch,) = StackedLoader(data.val[:3], 3)
    assert isinstance(network, kind)
    prediction = network(batch)
    assert prediction.shape == batch.y.shape
    assert prediction.isfinite().all()


@pytest.mark.parametrize(
    ("task", "model", "names"),
    [
        ("nbody", "transformer", ("pos", "vel", "mass")),
        ("nbody", "gnn", ("pos", "vel", "mass")),
        ("nbody", "egnn", ("pos", "vel", "mass")),
        ("nbody", "se3", ("pos", "vel", "mass")),
        ("nbody", "gatr", ("pos", "vel", "mass")),
        ("mocap-run", "transformer", ("pos", "vel")),
        ("mocap-run", "gnn", ("pos", "vel", "edge_attr")),
        ("mocap-run", "egnn", ("pos", "vel", "edge_attr")),
        ("mocap-run", "se3", ("pos", "vel", "edge_attr")),
        ("mocap-run", "gatr", ("pos", "vel")),
        ("mocap-run", "mlp", ("pos", "vel")),
        ("mocap-run", "emlp", ("pos", "vel")),
        ("mocap-run", "rpp", ("pos", "vel")),
        ("mocap-run", "per", ("pos", "vel")),
    ],
)
def test_model_reads_every_input(tiny, task, model, names):
    data = load_task(tiny(task, model), progress=False)
    network = build_model(tiny(task, model), data)
    for name in names:
        batch = Batch.from_data_list(data.val[:2])
        before = network(batch)
        batch[name] = 1.5 * batch[name] + 0.1
        assert not torch.allclose(network(batch), before, rtol=0, atol=1e-6), name


@pytest.mark.parametrize("model", ["transformer", "gnn", "egnn", "gatr"])
def test_depth_is_that_of_the_options(tiny, model):
    data = load_task(tiny(), progress=False)
    one, two, three = (
        num_parameters(build_model(tiny(model=model, hidden_channels=8, num_layers=num), data))
        for num in (1, 2, 3)
    )
    assert three - two == two - one > 0


@pytest.mark.parametrize(
    ("task", "model", "number"),
    [
        ("nbody", "transformer", 11_827_587),
        ("nbody", "gatr", 2_209_058),
        ("mocap-run", "gatr", 2_650_674),
        ("nbody", "se3", 293_920),
        ("mocap-run", "mlp", 1_116_653),
        ("mocap-run", "emlp", 1_092_648),
        ("mocap-run", "rpp", 938_325),
        ("mocap-run", "per", 1_094_244),
    ],
)
def test_paper_preset_has_the_published_number_of_parameters(tiny, task, model, number):
    config = tiny(task, model, "paper")
    assert num_parameters(build_model(config, load_task(config, progress=False))) == number


@pytest.mark.parametrize("model", ["transformer", "gnn", "egnn"])
def test_same_seed_gives_the_same_weights(tiny, model):
    data = load_task(tiny(), progress=False)
    states = []
    for place in range(2):
        torch.manual_seed(place)
        states.append(build_model(tiny(model=model, seed=4), data).state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.mark.parametrize("model", ["rpp", "per"])
def test_prior_weighs_the_penalty_of_the_model(tiny, model):
    data = load_task(tiny("mocap-run"), progress=False)
    one, two = (
        build_model(tiny("mocap-run", model, prior=prior), data).regularisation()
        for prior in (1e6, 2e6)
    )
    torch.testing.assert_close(two, 2 * one, rtol=1e-3, atol=0)


def test_other_seed_gives_other_weights(tiny):
    data = load_task(tiny(), progress=False)
    first, second = (build_model(tiny(seed=seed), data).head.weight for seed in (1, 2))
    assert not torch.equal(first, second)


def test_building_leaves_the_global_generator_alone(tiny):
    data = load_task(tiny(), progress=False)
    state = torch.get_rng_state()
    build_model(tiny(), data)
    assert torch.equal(torch.get_rng_state(), state)


def test_simulation_may_be_silent(tiny, tmp_path, capsys):
    load_task(tiny(data=tmp_path), progress=False)
    assert capsys.readouterr().err == ""


def test_scaled_model_sees_lengths_in_its_own_unit(tiny):
    data = load_task(tiny("mocap-run"), progress=False)
    plain = build_model(tiny("mocap-run", "mlp"), data)
    scaled = build_model(tiny("mocap-run", "mlp", scale=4.0), data)
    (batch,) = StackedLoader(data.val[:3], 3)
    small = batch.clone()
    small.pos, small.vel = batch.pos / 4, batch.vel / 4
    torch.testing.assert_close(scaled(batch), 4 * plain(small), rtol=1e-6, atol=0)


@pytest.mark.parametrize("model", ["mlp", "per"])
def test_scaled_model_keeps_the_penalty_of_the_model_within(tiny, model):
    data = load_task(tiny("mocap-run"), progress=False)
    plain, scaled = (build_model(tiny("mocap-run", model, scale=s), data) for s in (1.0, 2.0))
    expected = getattr(plain, "regularisation", float)()
    assert scaled.regularisation() == expected
