"""The equivariance errors against their equations, evaluated by hand."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise

import pytest
import torch
from helpers import REPS, Recorder, assert_same, close, make_batch, make_graph, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader
from torch_geometric.nn import global_add_pool

from pyg_remul import E3, O3, SE3, SO2, SO3, EquivarianceError, equivariance_error
from pyg_remul.randomness import derive_generator

KEYS = ["E", "E_prime", "E_relative", "E_prime_relative", "E_se", "E_prime_se"]
VECTOR_REPS = {"pos": "point", "vel": "vector", "y": "vector"}
STRETCH = torch.tensor([[1.0, 0.5, 0], [0, 2, 0], [0.3, 0, 3]], dtype=torch.float64)


def stretch(batch):
    """Not equivariant: the linear map `x -> A x`."""
    return batch.pos @ STRETCH.T.to(batch.pos)


def errors_of(model, graphs, group=None, reps=VECTOR_REPS, **options):
    return equivariance_error(model, graphs, group or SO3(), reps=reps, **options)


def by_hand(model, graphs, elements):
    """E and E' of every graph by explicit loops, shape [2, graphs]."""
    rows = []
    for graph in graphs:
        output, differences = model(graph), []
        for matrix in elements:
            turned = Data(pos=graph.pos @ matrix.T, vel=graph.vel @ matrix.T)
            differences.append(output @ matrix.T - model(turned))
        differences = torch.stack(differences)
        rows.append([differences.mean(0).norm(), differences.flatten(1).norm(dim=1).mean()])
    return torch.tensor(rows, dtype=torch.float64).T


@pytest.fixture
def graphs():
    return [make_graph(size) for size in (4, 3, 5, 2, 6, 1, 3)]


class TestValues:
    def test_they_are_equations_12_and_13(self, graphs):
        elements = (
            SO3()
            .sample(20, generator=derive_generator(7, "equivariance"), dtype=torch.float64)
            .matrix
        )
        errors = errors_of(stretch, graphs, num_samples=20, seed=7)
        expected = by_hand(stretch, graphs, elements)
        outputs = sum(float(stretch(graph).norm()) for graph in graphs)
        close(errors["E"], float(expected[0].mean()), atol=1e-12)
        close(errors["E_prime"], float(expected[1].mean()), atol=1e-12)
        close(errors["E_relative"], float(expected[0].sum()) / outputs, atol=1e-12)
        close(errors["E_prime_relative"], float(expected[1].sum()) / outputs, atol=1e-12)

    def test_standard_errors_are_those_of_the_mean_over_graphs(self, graphs):
        elements = (
            SO3()
            .sample(20, generator=derive_generator(7, "equivariance"), dtype=torch.float64)
            .matrix
        )
        errors = errors_of(stretch, graphs, num_samples=20, seed=7)
        expected = by_hand(stretch, graphs, elements).std(dim=1) / math.sqrt(len(graphs))
        close([errors["E_se"], errors["E_prime_se"]], expected, atol=1e-12)

    def test_quarter_turns_of_a_stretch_have_their_closed_form(self):
        """With `A = diag(1, 2)` and quarter turns `R`, `(R A - A R) x = -+ (x_2, x_1)`."""
        graph = Data(pos=torch.tensor([[3.0, 4.0]], dtype=torch.float64))
        scale = torch.tensor([1.0, 2.0], dtype=torch.float64)
        errors = errors_of(
            lambda batch: batch.pos * scale,
            [graph],
            SO2(degrees=(90, 90)),
            reps={"pos": "point", "y": "vector"},
            num_samples=3,
        )
        close(errors["E_prime"], 5.0, atol=1e-12)
        close(errors["E_prime_relative"], 5 / math.hypot(3, 8), atol=1e-12)

    def test_a_constant_vector_has_its_closed_form(self):
        """`R v` is uniform on a sphere, whose mean chord from `v` is 4/3 of its radius."""
        graph = make_graph(1)
        constant = torch.tensor([[0.0, 0, 2]], dtype=torch.float64)
        errors = errors_of(
            lambda batch: constant.repeat(batch.num_nodes, 1), [graph], num_samples=4000
        )
        # Five standard errors; chords deviate by 0.47 of the radius, a component of R v by 0.58.
        close(errors["E_prime"], 8 / 3, atol=5 * 2 * 0.48 / math.sqrt(4000))
        # The mean of R v tends to 0, which leaves v.
        close(errors["E"], 2.0, atol=5 * 2 * 0.58 / math.sqrt(4000))

    @pytest.mark.parametrize(
        "model", [lambda b: 2 * b.pos, lambda b: b.pos + b.vel], ids=["scaled", "moved"]
    )
    @pytest.mark.parametrize("group", [SO3(), O3(), SO2("y")], ids=repr)
    def test_an_equivariant_map_has_none(self, graphs, model, group):
        errors = errors_of(model, graphs, group, num_samples=10)
        assert errors["E_prime_relative"] < 1e-14

    @pytest.mark.parametrize("group", [SE3(translation=20), E3()], ids=repr)
    def test_points_move_with_their_group(self, graphs, group):
        errors = errors_of(lambda b: b.pos + b.vel, graphs, group, reps=REPS, num_samples=10)
        assert errors["E_prime_relative"] < 1e-13

    def test_vectors_do_not_move(self, graphs):
        errors = errors_of(lambda batch: batch.pos, graphs, SE3(), num_samples=10)
        assert errors["E_prime"] > 0.5

    @given(st.lists(st.floats(-2, 2), min_size=9, max_size=9), st.integers(1, 5))
    def test_the_first_is_at_most_the_second(self, entries, num_samples):
        matrix = torch.tensor(entries, dtype=torch.float64).view(3, 3)
        batch = make_batch((3, 2))
        errors = errors_of(lambda graphs: graphs.pos @ matrix, [batch], num_samples=num_samples)
        assert errors["E"] <= errors["E_prime"] + 1e-14

    def test_a_point_output_is_measured_from_its_mean(self, graphs):
        errors = errors_of(stretch, graphs, SO3(), reps=REPS, num_samples=5)
        centred = sum(float((stretch(g) - stretch(g).mean(0)).norm()) for g in graphs)
        close(errors["E_relative"], errors["E"] * len(graphs) / centred, atol=1e-12)

    def test_0_by_0_is_not_a_number(self, graphs):
        errors = errors_of(lambda batch: 0 * batch.pos, graphs, num_samples=3)
        assert math.isnan(errors["E_relative"])
        assert errors["E"] == 0

    def test_one_graph_has_no_standard_error(self, graphs):
        assert math.isnan(errors_of(stretch, graphs[:1], num_samples=3)["E_se"])

    def test_a_scalar_output_is_compared_with_itself(self, graphs):
        reps = {"pos": "point", "vel": "vector", "y": "scalar"}
        for graph in graphs:
            del graph.y
        errors = errors_of(
            lambda b: global_add_pool(b.pos.square().sum(1), b.batch), graphs, reps=reps
        )
        assert errors["E_prime_relative"] < 1e-14


class TestBatching:
    @settings(max_examples=10)
    @given(
        cuts=st.sets(st.integers(1, 6)),
        chunk_size=st.sampled_from([None, 1, 3, 20]),
        fresh=st.booleans(),
    )
    def test_any_split_gives_the_same_errors(self, cuts, chunk_size, fresh):
        torch.manual_seed(0)
        graphs = [make_graph(size) for size in (4, 3, 5, 2, 6, 1, 3)]
        bounds = [0, *sorted(cuts), len(graphs)]
        batches = [Batch.from_data_list(graphs[start:stop]) for start, stop in pairwise(bounds)]
        options = {"num_samples": 7, "fresh": fresh}
        expected = errors_of(stretch, graphs, **options)
        actual = errors_of(stretch, batches, chunk_size=chunk_size, **options)
        for key in KEYS:
            close(actual[key], expected[key], atol=1e-12)

    def test_chunks_have_the_size_asked_for(self, graphs):
        recorder = Recorder(stretch)
        batch = Batch.from_data_list(graphs)
        errors_of(recorder, [batch], num_samples=5, chunk_size=2)
        assert recorder.graphs == [7, 14, 14, 7]

    def test_fresh_elements_differ_between_graphs(self):
        graph = make_graph()
        batch = Batch.from_data_list([graph, graph])
        for fresh, expected in ((False, True), (True, False)):
            recorder = Recorder(stretch)
            errors_of(recorder, [batch], num_samples=1, fresh=fresh)
            one, other = recorder.batches[1].pos.tensor_split(2)
            assert torch.allclose(one, other) is expected

    def test_fresh_elements_of_a_translating_group_keep_an_equivariant_map_exact(self, graphs):
        options = {"reps": REPS, "num_samples": 5, "fresh": True}
        errors = errors_of(lambda batch: batch.pos, DataLoader(graphs, 3), SE3(), **options)
        assert errors["E_prime_relative"] < 1e-13

    def test_another_seed_draws_otherwise(self, graphs):
        first, second = (errors_of(stretch, graphs, seed=seed)["E"] for seed in (0, 1))
        assert first != second

    def test_the_global_generator_is_left_alone(self, graphs):
        before = torch.get_rng_state()
        errors_of(stretch, graphs, num_samples=3)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("limit", [1, 3, 4, 7, 100])
    def test_the_number_of_graphs_can_be_limited(self, graphs, limit):
        limited = errors_of(stretch, DataLoader(graphs, 3), num_samples=3, max_graphs=limit)
        expected = errors_of(stretch, graphs[:limit], num_samples=3)
        close(limited["E_prime"], expected["E_prime"], atol=1e-13)

    def test_batches_are_not_written_to(self, graphs):
        batch = Batch.from_data_list(graphs)
        before = snapshot(batch)
        errors_of(stretch, [batch], num_samples=3, dtype=torch.float32)
        assert_same(snapshot(batch), before)


class Potential(nn.Module):
    """A model whose output is the gradient of a rotation-invariant energy."""

    def forward(self, batch):
        pos = batch.pos.detach().requires_grad_()
        energy = pos.norm(dim=1).pow(3).sum()
        return -torch.autograd.grad(energy, pos)[0]


class TestModels:
    def test_tf32_is_off(self, graphs):
        seen = []

        def model(batch):
            seen.append(torch.get_float32_matmul_precision())
            return batch.pos

        torch.set_float32_matmul_precision("high")
        errors_of(model, graphs[:1], num_samples=1)
        torch.set_float32_matmul_precision("highest")
        assert set(seen) == {"highest"}

    def test_a_force_needs_gradients(self, graphs):
        with pytest.raises(RuntimeError, match="does not require grad"):
            errors_of(Potential(), graphs, num_samples=2)

    def test_a_force_is_measured_with_gradients(self, graphs):
        errors = errors_of(Potential(), graphs, num_samples=2, enable_grad=True)
        assert 0 <= errors["E_prime_relative"] < 1e-13

    def test_no_graph_of_autograd_is_kept_otherwise(self, graphs):
        seen = []

        def model(batch):
            seen.append(torch.is_grad_enabled())
            return batch.pos

        errors_of(model, graphs[:1], num_samples=2)
        assert not any(seen)

    def test_a_mapping_may_hold_the_target(self, graphs):
        mapped = errors_of(lambda b: {"y": stretch(b), "other": b.pos}, graphs, num_samples=3)
        assert mapped == errors_of(stretch, graphs, num_samples=3)

    def test_a_forward_adapter_calls_models_of_other_signature(self, graphs):
        linear = nn.Linear(3, 3, bias=False, dtype=torch.float64)
        linear.weight.data.copy_(STRETCH)
        adapted = errors_of(linear, graphs, num_samples=3, forward=lambda net, b: net(b.pos))
        expected = errors_of(stretch, graphs, num_samples=3)
        close(adapted["E"], expected["E"], atol=1e-13)

    def test_the_mode_of_every_module_is_restored(self, graphs):
        model = nn.Sequential(nn.Dropout(), nn.Linear(3, 3), nn.BatchNorm1d(3)).double()
        model[1].eval()
        before = [module.training for module in model.modules()]
        errors_of(model, graphs, num_samples=2, forward=lambda net, b: net(b.pos))
        assert (
            [module.training for module in model.modules()] == before == [True, True, False, True]
        )

    def test_it_is_restored_after_an_error(self, graphs):
        model = nn.Dropout()

        def fail(net, batch):
            raise RuntimeError("fault")

        with pytest.raises(RuntimeError, match="fault"):
            errors_of(model, graphs, forward=fail)
        assert model.training

    def test_the_model_is_measured_in_eval_mode(self, graphs):
        options = {"num_samples": 3, "forward": lambda net, b: net(b.pos)}
        assert errors_of(nn.Dropout(), graphs, **options)["E_prime_relative"] < 1e-14

    def test_float64_leaves_the_model_as_it_is(self, graphs):
        model = nn.Linear(3, 3)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        errors_of(
            model, graphs, num_samples=2, dtype=torch.float64, forward=lambda net, b: net(b.pos)
        )
        assert_same(dict(model.state_dict()), before)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_precision_can_be_chosen(self, graphs, dtype):
        seen = []
        errors_of(lambda batch: seen.append(batch.pos.dtype) or batch.pos, graphs, dtype=dtype)
        assert set(seen) == {dtype}

    def test_float64_finds_an_equivariant_model_more_exact(self):
        graphs = [make_graph(5, dtype=torch.float32) for _ in range(3)]
        single, double = (
            errors_of(lambda b: 0.7 * b.pos + b.vel, graphs, dtype=dtype)["E_prime_relative"]
            for dtype in (torch.float32, torch.float64)
        )
        assert double < 1e-14 < single


def make_metric(**options):
    return EquivarianceError(SO3(), VECTOR_REPS, num_samples=5, **options)


class TestMetric:
    def test_updates_accumulate(self, graphs):
        metric = make_metric()
        for graph in graphs:
            metric.update(stretch, graph)
        expected = errors_of(stretch, graphs, num_samples=5)
        assert {key: float(value) for key, value in metric.compute().items()} == expected

    def test_values_are_in_float64(self, graphs):
        metric = make_metric()
        metric.update(stretch, graphs[0])
        assert {value.dtype for value in metric.compute().values()} == {torch.float64}

    def test_reset_forgets(self, graphs):
        metric = make_metric()
        metric.update(stretch, graphs[0])
        metric.reset()
        metric.update(stretch, graphs[1])
        expected = errors_of(stretch, graphs[1:2], num_samples=5)
        assert float(metric.compute()["E"]) == expected["E"]

    @pytest.mark.parametrize(
        "copy", [EquivarianceError.clone, lambda metric: pickle.loads(pickle.dumps(metric))]
    )
    def test_a_copy_keeps_what_was_seen(self, graphs, copy):
        metric = make_metric()
        metric.update(stretch, graphs[0])
        twin = copy(metric)
        for one in (metric, twin):
            one.update(stretch, graphs[1])
        assert {k: float(v) for k, v in twin.compute().items()} == {
            k: float(v) for k, v in metric.compute().items()
        }

    def test_states_of_two_processes_merge(self, graphs):
        halves = [make_metric(), make_metric()]
        for metric, part in zip(halves, (graphs[:3], graphs[3:]), strict=True):
            for graph in part:
                metric.update(stretch, graph)
        halves[0].merge_state(halves[1])
        expected = errors_of(stretch, graphs, num_samples=5)
        for key in KEYS:
            close(float(halves[0].compute()[key]), expected[key], atol=1e-12)

    def test_the_call_gives_the_value_of_its_batch(self, graphs):
        metric = make_metric()
        metric.update(stretch, graphs[0])
        value = metric(stretch, graphs[1])
        expected = errors_of(stretch, graphs[1:2], num_samples=5)
        close(float(value["E"]), expected["E"], atol=1e-13)

    def test_it_is_smaller_for_better_models(self):
        assert EquivarianceError.higher_is_better is False


class TestRefusals:
    @pytest.mark.parametrize("name", ["num_samples", "chunk_size", "max_graphs"])
    def test_a_number_that_is_not_positive(self, graphs, name):
        with pytest.raises(ValueError, match=f"`{name}` must be positive, got 0"):
            errors_of(stretch, graphs, **{name: 0})

    def test_an_undeclared_target(self, graphs):
        with pytest.raises(ValueError, match="`reps` must declare 'force'"):
            errors_of(stretch, graphs, target="force")

    def test_an_empty_loader(self):
        with pytest.raises(ValueError, match="`loader` must yield at least one graph, got none"):
            errors_of(stretch, [])

    def test_a_prediction_of_another_shape_than_the_target(self, graphs):
        with pytest.raises(ValueError, match=r"in the target's shape \[4, 3\], got \[4, 1\]"):
            errors_of(lambda batch: batch.pos[:, :1], graphs)

    def test_a_prediction_of_another_width_than_its_kind(self, graphs):
        del graphs[0].y
        with pytest.raises(ValueError, match=r"`y` must have width 3 .* got width 1"):
            errors_of(lambda batch: batch.pos[:, :1], graphs[:1])

    def test_rows_of_no_level(self, graphs):
        del graphs[0].y
        with pytest.raises(ValueError, match="`y` must have one row for each node, edge or graph"):
            errors_of(lambda batch: batch.pos[1:], graphs[:1])

    def test_a_model_that_mixes_the_copies(self, graphs):
        with pytest.raises(ValueError, match=r"must predict \[4, 3\] for each copy of a batch, go"):
            errors_of(lambda batch: batch.pos[:4], graphs[:1], num_samples=2)


def test_a_target_of_a_hetero_graph_is_found():
    data = HeteroData()
    data["atom"].pos = torch.randn(2, 3, dtype=torch.float64)
    data["bead"].pos = torch.randn(3, 3, dtype=torch.float64)
    data["bead"].y = torch.randn(3, 3, dtype=torch.float64)
    reps = {"pos": "point", "y": "vector"}
    errors = errors_of(lambda batch: batch["bead"].pos, [data, data], reps=reps, num_samples=3)
    assert errors["E_prime_relative"] < 1e-14


def test_elements_are_drawn_in_the_precision_of_the_data():
    recorder = Recorder(stretch)
    graph = make_graph()
    errors_of(recorder, [graph], num_samples=1)
    element = SO3().sample(1, generator=derive_generator(0, "equivariance"), dtype=torch.float64)
    close(recorder.batches[1].pos, graph.pos @ element.matrix[0].T, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_does_not_stop_the_sums(dtype):
    graphs = [make_graph(dtype=torch.float32) for _ in range(4)]
    options = {"reps": REPS, "num_samples": 600}
    exact = equivariance_error(lambda b: 10 * b.pos.abs(), graphs, SO3(), **options)
    halves = [
        graph.clone().apply(lambda x: x.to(dtype) if x.is_floating_point() else x)
        for graph in graphs
    ]
    half = equivariance_error(lambda b: 10 * b.pos.abs(), halves, SO3(), **options)
    assert half["E_prime"] == pytest.approx(exact["E_prime"], rel=0.05)


def test_a_value_of_one_batch_does_not_repeat_fresh_draws():
    batch = make_batch((3,))
    metric = EquivarianceError(SO3(), REPS, num_samples=3, fresh=True)
    first, second = (metric(lambda b: b.pos.abs(), batch)["E"] for _ in range(2))
    assert first != second


def test_a_lone_batch_may_take_the_loaders_place():
    batch = make_batch()
    one = equivariance_error(lambda b: b.pos.abs(), batch, SO3(), reps=REPS, num_samples=3)
    assert one == equivariance_error(
        lambda b: b.pos.abs(), [batch], SO3(), reps=REPS, num_samples=3
    )


def test_the_callers_batch_stays_on_its_device(monkeypatch):
    def update(self, model, batch):
        raise RuntimeError(f"on {batch.pos.device}")

    monkeypatch.setattr(EquivarianceError, "update", update)
    batch = make_batch()
    with pytest.raises(RuntimeError, match="on meta"):
        equivariance_error(nn.Linear(3, 3, device="meta"), [batch], SO3(), reps=REPS)
    assert batch.pos.device.type == "cpu"


@pytest.mark.parametrize("target", [["y"], {"y": 1.0}], ids=str)
def test_several_targets_are_refused(target):
    with pytest.raises(TypeError, match="`target` must name one attribute"):
        EquivarianceError(SO3(), REPS, target)


def test_missing_labels_do_not_matter():
    graphs = [make_graph() for _ in range(2)]
    expected = errors_of(lambda batch: batch.pos.abs(), graphs, num_samples=3)
    graphs[0].y[0] = float("nan")
    assert errors_of(lambda batch: batch.pos.abs(), graphs, num_samples=3) == expected


def test_what_cannot_be_joined_is_evaluated_one_by_one():
    graph = make_graph()
    expected = errors_of(lambda batch: batch.pos.abs(), [graph], num_samples=3)
    graph.edge_index = EdgeIndex([[0, 1], [1, 0]])
    with pytest.raises(TypeError, match=r"`edge_index` must be .* `chunk_size=1` of a metric"):
        errors_of(lambda batch: batch.pos.abs(), [graph], num_samples=3)
    errors = errors_of(lambda batch: batch.pos.abs(), [graph], num_samples=3, chunk_size=1)
    assert errors == pytest.approx(expected, rel=1e-12, nan_ok=True)
