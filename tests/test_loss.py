"""The REMUL loss against its equations, evaluated by hand."""

from __future__ import annotations

import pytest
import torch
from helpers import (
    REPS,
    NodeLinear,
    Recorder,
    assert_same,
    close,
    equivariant,
    make_batch,
    make_graph,
    pretend_rank,
    seeded,
    snapshot,
    turn,
)
from torch import nn
from torch.nn.functional import huber_loss, l1_loss, mse_loss
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.nn import global_mean_pool

from pyg_remul import O3, SE3, SO2, SO3, ConstantWeighting, GradNorm, RandomRotation, RemulLoss
from pyg_remul.models import GNN, GraphTransformer

REFERENCES = ["label", "prediction", "detached"]


def make_criterion(group=None, **options):
    return RemulLoss(group or SO3(), REPS, **options)


def haar(num, seed=1):
    """The matrices that a loss draws from an equally seeded generator."""
    return SO3().sample(num, generator=seeded(seed), dtype=torch.float64).matrix


def rotated_rows(values, batch, matrices):
    return torch.einsum("nij,nj->ni", matrices[batch.batch], values)


def gradients(loss, model):
    model.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.fixture
def model():
    return NodeLinear()


@pytest.fixture
def batch():
    return make_batch((4, 3, 5))


class TestEquations:
    def test_the_objective_is_equation_6(self, model, batch):
        out = make_criterion()(model, batch, generator=seeded())
        close(out.objective, mse_loss(model(batch), batch.y), atol=1e-13)

    def test_the_penalty_is_equation_8(self, model, batch):
        out = make_criterion()(model, batch, generator=seeded())
        turned = turn(batch, haar(3))
        close(out.equivariance, mse_loss(model(turned), turned.y), atol=1e-13)

    @pytest.mark.parametrize("reference", ["prediction", "detached"])
    def test_the_penalty_compares_with_the_turned_prediction(self, model, batch, reference):
        out = make_criterion(reference=reference)(model, batch, generator=seeded())
        expected = rotated_rows(model(batch), batch, haar(3))
        close(out.equivariance, mse_loss(model(turn(batch, haar(3))), expected), atol=1e-13)

    @pytest.mark.parametrize("reference", REFERENCES)
    def test_the_total_is_equation_7(self, model, batch, reference):
        weighting = ConstantWeighting(alpha=0.7, beta=0.2)
        out = make_criterion(weighting=weighting, reference=reference)(model, batch)
        close(out.loss, 0.7 * out.objective + 0.2 * out.equivariance, atol=1e-13)

    def test_the_weights_are_reported(self, model, batch):
        out = make_criterion(weighting=ConstantWeighting(alpha=0.5, beta=0.25))(model, batch)
        assert (float(out.alpha), float(out.beta)) == (0.5, 0.25)

    def test_the_prediction_is_that_of_the_plain_graphs(self, model, batch):
        out = make_criterion(num_samples=2)(model, batch)
        close(out.prediction, model(batch), atol=1e-14)

    def test_beta_0_gives_the_plain_loss(self, model, batch):
        out = make_criterion(weighting=ConstantWeighting(beta=0.0))(model, batch)
        close(out.loss, mse_loss(model(batch), batch.y), atol=1e-14)

    def test_beta_0_gives_the_plain_gradient(self, model, batch):
        out = make_criterion(weighting=ConstantWeighting(beta=0.0))(model, batch)
        actual = gradients(out.loss, model)
        close(actual, gradients(mse_loss(model(batch), batch.y), model), atol=1e-14)

    def test_the_gradient_is_that_of_both_terms(self, model, batch):
        weighting = ConstantWeighting(alpha=0.7, beta=0.2)
        out = make_criterion(weighting=weighting)(model, batch, generator=seeded())
        actual = gradients(out.loss, model)
        turned = turn(batch, haar(3))
        by_hand = 0.7 * mse_loss(model(batch), batch.y) + 0.2 * mse_loss(model(turned), turned.y)
        close(actual, gradients(by_hand, model), atol=1e-13)

    @pytest.mark.parametrize(("reference", "attached"), [("prediction", True), ("detached", False)])
    def test_the_gradient_reaches_the_reference_unless_detached(
        self, model, batch, reference, attached
    ):
        out = make_criterion(reference=reference)(model, batch, generator=seeded())
        actual = gradients(out.equivariance, model)
        expected = rotated_rows(model(batch), batch, haar(3))
        expected = expected if attached else expected.detach()
        by_hand = mse_loss(model(turn(batch, haar(3))), expected)
        close(actual, gradients(by_hand, model), atol=1e-13)

    def test_a_reflection_turns_labels_too(self, model, batch):
        out = make_criterion(O3())(model, batch, generator=seeded())
        turned = turn(batch, O3().sample(3, generator=seeded(), dtype=torch.float64).matrix)
        close(out.equivariance, mse_loss(model(turned), turned.y), atol=1e-13)


class TestExactlyEquivariantModel:
    @pytest.mark.parametrize("group", [SO3(), O3(), SE3(), SO2("x")], ids=repr)
    def test_penalty_equals_objective_with_labels(self, batch, group):
        out = make_criterion(group)(equivariant, batch)
        close(out.equivariance, out.objective, atol=1e-12)

    @pytest.mark.parametrize("group", [SO3(), O3(), SE3(), SO2("x")], ids=repr)
    @pytest.mark.parametrize("reference", ["prediction", "detached"])
    def test_penalty_is_0_with_predictions(self, batch, group, reference):
        out = make_criterion(group, reference=reference)(equivariant, batch)
        close(out.equivariance, torch.zeros_like(out.equivariance), atol=1e-24)

    @pytest.mark.parametrize("reference", ["prediction", "detached"])
    def test_another_model_has_a_penalty(self, batch, reference):
        stretch = torch.tensor([1.0, 2, 3], dtype=torch.float64)
        out = make_criterion(reference=reference)(lambda graphs: graphs.pos * stretch, batch)
        assert float(out.equivariance) > 0.1


class TestPasses:
    def test_both_terms_take_one_pass_of_twice_the_graphs(self, model, batch):
        recorder = Recorder(model)
        make_criterion()(recorder, batch)
        assert recorder.graphs == [6]

    def test_separate_terms_take_a_pass_each(self, model, batch):
        recorder = Recorder(model)
        make_criterion(passes="separate", num_samples=2)(recorder, batch)
        assert recorder.graphs == [3, 3, 3]

    def test_alpha_0_skips_the_plain_graphs(self, model, batch):
        recorder = Recorder(model)
        make_criterion(weighting=ConstantWeighting(0.0, 1.0))(recorder, batch)
        assert recorder.graphs == [3]

    def test_alpha_0_gives_neither_objective_nor_prediction(self, model, batch):
        out = make_criterion(weighting=ConstantWeighting(0.0, 1.0))(model, batch)
        assert out.objective is None
        assert out.prediction is None

    def test_alpha_0_keeps_the_plain_pass_that_the_reference_needs(self, model, batch):
        recorder = Recorder(model)
        weighting = ConstantWeighting(0.0, 1.0)
        make_criterion(weighting=weighting, reference="prediction")(recorder, batch)
        assert recorder.graphs == [6]

    def test_alpha_0_beta_1_is_augmentation_by_the_same_elements(self, model, batch):
        out = make_criterion(weighting=ConstantWeighting(0.0, 1.0))(
            model, batch, generator=seeded()
        )
        augmented = RandomRotation(REPS, generator=seeded())(batch)
        close(out.loss, mse_loss(model(augmented), augmented.y), atol=1e-14)

    @pytest.mark.parametrize("reference", REFERENCES)
    @pytest.mark.parametrize(
        "network",
        [
            lambda: GNN(7, 8, edge_dim=0, inputs=("mass", "pos", "vel")),
            lambda: GraphTransformer(hidden_channels=8, num_layers=2),
        ],
        ids=["GNN", "GraphTransformer"],
    )
    def test_joint_equals_separate(self, network, reference):
        model = network().double()
        graphs = [make_graph(n, mass=torch.rand(n, 1, dtype=torch.float64)) for n in (4, 3, 5)]
        batch = Batch.from_data_list(graphs)
        joint, separate = (
            make_criterion(passes=passes, num_samples=2, reference=reference)(
                model, batch, generator=seeded()
            )
            for passes in ("joint", "separate")
        )
        close(joint.loss, separate.loss.detach(), atol=1e-12)
        close(gradients(joint.loss, model), gradients(separate.loss, model), atol=1e-11)

    def test_separate_passes_keep_batch_statistics_apart(self, batch):
        norm = nn.BatchNorm1d(3, dtype=torch.float64)
        out = make_criterion(passes="separate")(lambda b: norm(b.pos), batch, generator=seeded())
        turned = turn(batch, haar(3))
        close(out.objective, mse_loss(norm(batch.pos), batch.y), atol=1e-13)
        close(out.equivariance, mse_loss(norm(turned.pos), turned.y), atol=1e-13)

    def test_a_joint_pass_mixes_batch_statistics(self, batch):
        norm = nn.BatchNorm1d(3, dtype=torch.float64)
        batch.pos = batch.pos + 3
        out = make_criterion()(lambda b: norm(b.pos), batch)
        apart = mse_loss(norm(batch.pos), batch.y)
        assert abs(float((out.objective - apart).detach())) > 1e-3


class TestSamples:
    def test_several_samples_give_their_mean(self, model, batch):
        out = make_criterion(num_samples=3)(model, batch, generator=seeded())
        matrices = haar(9)
        turned = [turn(batch, matrices[sample::3]) for sample in range(3)]
        expected = torch.stack([mse_loss(model(part), part.y) for part in turned]).mean()
        close(out.equivariance, expected.detach(), atol=1e-13)

    def test_the_copies_of_a_graph_are_turned_differently(self, model, batch):
        recorder = Recorder(model)
        make_criterion(num_samples=2)(recorder, batch)
        plain, first, second = recorder.batches[0].pos.tensor_split(3)
        assert not torch.allclose(first, second)
        close(plain, batch.pos, atol=0)

    def test_the_same_seed_gives_the_same_loss(self, model, batch):
        first, second = (make_criterion()(model, batch, generator=seeded(4)).loss for _ in range(2))
        assert torch.equal(first, second)

    def test_another_step_of_a_generator_gives_other_elements(self, model, batch, generator):
        criterion = make_criterion()
        first, second = (criterion(model, batch, generator=generator).loss for _ in range(2))
        assert not torch.equal(first, second)

    def test_the_global_generator_is_the_default(self, model, batch):
        torch.manual_seed(1)
        out = make_criterion()(model, batch)
        assert torch.equal(out.loss, make_criterion()(model, batch, generator=seeded(1)).loss)

    def test_a_given_generator_leaves_the_global_one_alone(self, model, batch, generator):
        before = torch.get_rng_state()
        make_criterion()(model, batch, generator=generator)
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_batch_is_not_written_to(self, model, batch):
        before = snapshot(batch)
        make_criterion(num_samples=2)(model, batch).loss.backward()
        assert_same(snapshot(batch), before)


class TestCriteria:
    @pytest.mark.parametrize(
        ("name", "function"), [("mse", mse_loss), ("l1", l1_loss), ("huber", huber_loss)]
    )
    def test_each_term_has_its_own_loss(self, model, batch, name, function):
        out = make_criterion(objective=name, penalty=l1_loss)(model, batch, generator=seeded())
        turned = turn(batch, haar(3))
        close(out.objective, function(model(batch), batch.y), atol=1e-13)
        close(out.equivariance, l1_loss(model(turned), turned.y), atol=1e-13)

    @pytest.mark.parametrize("reference", ["label", "prediction"])
    def test_a_mask_selects_rows_in_both_terms(self, model, batch, reference):
        batch.known = torch.arange(12) % 3 != 0
        out = make_criterion(mask="known", reference=reference)(model, batch, generator=seeded())
        turned = turn(batch, haar(3))
        compared = turned.y if reference == "label" else rotated_rows(model(batch), batch, haar(3))
        rows = batch.known
        close(out.objective, mse_loss(model(batch)[rows], batch.y[rows]), atol=1e-13)
        close(out.equivariance, mse_loss(model(turned)[rows], compared[rows]), atol=1e-13)


class EnergyAndForce(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4, dtype=torch.float64)

    def forward(self, batch):
        rows = self.linear(batch.pos)
        energy = global_mean_pool(rows[:, :1], batch.batch, batch.num_graphs)
        return {"energy": energy, "force": rows[:, 1:]}


ENERGY_REPS = {"pos": "point", "energy": "scalar", "force": "vector"}


@pytest.fixture
def energies():
    return Batch.from_data_list(
        [
            Data(
                pos=torch.randn(n, 3, dtype=torch.float64),
                force=torch.randn(n, 3, dtype=torch.float64),
                energy=torch.randn(1, 1, dtype=torch.float64),
            )
            for n in (3, 2, 4)
        ]
    )


class TestSeveralTargets:
    def criterion(self, **options):
        weights = {"energy": 1.0, "force": 10.0}
        return RemulLoss(SO3(), ENERGY_REPS, weights, **options)

    def test_targets_are_weighted(self, energies):
        model = EnergyAndForce()
        out = self.criterion()(model, energies)
        predicted = model(energies)
        expected = mse_loss(predicted["energy"], energies.energy)
        expected = expected + 10 * mse_loss(predicted["force"], energies.force)
        close(out.objective, expected.detach(), atol=1e-13)

    @pytest.mark.parametrize("reference", ["label", "prediction"])
    def test_vectors_turn_and_scalars_stay(self, energies, reference):
        model = EnergyAndForce()
        out = self.criterion(reference=reference)(model, energies, generator=seeded())
        turned = model(turn(energies, haar(3), names=("pos", "force")))
        source = model(energies) if reference == "prediction" else energies
        force = rotated_rows(source["force"], energies, haar(3))
        expected = mse_loss(turned["energy"], source["energy"]) + 10 * mse_loss(
            turned["force"], force
        )
        close(out.equivariance, expected.detach(), atol=1e-13)

    def test_each_target_may_have_its_own_loss(self, energies):
        model = EnergyAndForce()
        out = self.criterion(objective={"energy": "l1", "force": "mse"})(model, energies)
        predicted = model(energies)
        expected = l1_loss(predicted["energy"], energies.energy)
        expected = expected + 10 * mse_loss(predicted["force"], energies.force)
        close(out.objective, expected.detach(), atol=1e-13)

    def test_the_prediction_keeps_its_names(self, energies):
        out = self.criterion()(EnergyAndForce(), energies)
        assert {name: list(value.shape) for name, value in out.prediction.items()} == {
            "energy": [3, 1],
            "force": [9, 3],
        }

    @pytest.mark.parametrize("passes", ["joint", "separate"])
    def test_one_prediction_for_two_targets_is_refused(self, energies, passes):
        with pytest.raises(TypeError, match="`model` must return a mapping of target names"):
            self.criterion(passes=passes)(lambda batch: batch.pos, energies)


class TestInputs:
    @pytest.mark.parametrize("alpha", [0.0, 1.0], ids=["alpha 0", "alpha 1"])
    @pytest.mark.parametrize("passes", ["joint", "separate"])
    def test_a_lone_graph_is_a_batch_of_one(self, model, alpha, passes):
        criterion = make_criterion(weighting=ConstantWeighting(alpha, 1.0), passes=passes)
        graph = make_graph()
        alone = criterion(model, graph, generator=seeded())
        batched = criterion(model, Batch.from_data_list([graph]), generator=seeded())
        assert torch.equal(alone.loss, batched.loss)

    @pytest.mark.parametrize("reference", ["prediction", "detached"])
    def test_without_objective_targets_may_be_absent(self, model, batch, reference):
        weighting = ConstantWeighting(0.0, 1.0)
        criterion = make_criterion(weighting=weighting, reference=reference)
        with_labels = criterion(model, batch, generator=seeded())
        del batch.y
        without = criterion(model, batch, generator=seeded())
        assert torch.equal(with_labels.loss, without.loss)

    def test_with_objective_targets_must_be_there(self, model, batch):
        del batch.y
        with pytest.raises(ValueError, match="`reps` declares 'y', which the graph lacks"):
            make_criterion(reference="prediction")(model, batch)

    def test_an_empty_batch_is_refused(self, model):
        with pytest.raises(ValueError, match="`batch` must hold at least one graph"):
            make_criterion()(model, Batch(_num_graphs=0))

    def test_graphs_without_nodes_do_no_harm(self, model):
        batch = make_batch((3, 0, 2))
        out = make_criterion()(model, batch, generator=seeded())
        pos, vel, labels = (
            rotated_rows(batch[name], batch, haar(3)) for name in ("pos", "vel", "y")
        )
        expected = mse_loss(model(Data(pos=pos, vel=vel)), labels)
        close(out.equivariance, expected.detach(), atol=1e-13)

    @pytest.mark.parametrize("passes", ["joint", "separate"])
    def test_a_prediction_that_would_broadcast_is_refused(self, passes):
        graphs = [Data(pos=torch.rand(n, 3), y=torch.rand(n, 1)) for n in (3, 2)]
        criterion = RemulLoss(SO3(), {"pos": "point", "y": "scalar"}, passes=passes)
        with pytest.raises(ValueError, match=r"'y' in the target's shape \[5, 1\], got \[5\]"):
            criterion(lambda batch: batch.pos[:, 0], Batch.from_data_list(graphs))

    def test_a_lone_graph_that_says_it_holds_several_is_refused(self, model):
        graph = make_graph(batch=torch.tensor([0, 0, 1, 1]))
        with pytest.raises(ValueError, match=r"a `batch` vector; use `Batch\.from_data_list`"):
            make_criterion()(model, graph)

    def test_a_prediction_without_rows_is_refused(self, batch):
        with pytest.raises(ValueError, match=r"'y' with one row for each node, .* got shape \[\]"):
            make_criterion()(lambda batch: batch.pos.sum(), batch)

    def test_a_target_of_a_hetero_graph_is_found(self):
        batch = Batch.from_data_list([hetero_graph(2, 3), hetero_graph(1, 2)])
        criterion = RemulLoss(SO3(), {"pos": "point", "force": "vector"}, "force")
        out = criterion(lambda batch: batch["bead"].pos, batch, generator=seeded())
        matrices = haar(2)[batch["bead"].batch]
        close(out.objective, mse_loss(batch["bead"].pos, batch["bead"].force), atol=1e-13)
        pos = torch.einsum("nij,nj->ni", matrices, batch["bead"].pos)
        force = torch.einsum("nij,nj->ni", matrices, batch["bead"].force)
        close(out.equivariance, mse_loss(pos, force), atol=1e-13)

    def test_a_forward_adapter_calls_models_of_other_signature(self, batch):
        linear = nn.Linear(3, 3, dtype=torch.float64)
        adapted = make_criterion(forward=lambda net, data: net(data.pos))
        plain = make_criterion()
        actual = adapted(linear, batch, generator=seeded())
        expected = plain(lambda data: linear(data.pos), batch, generator=seeded())
        assert torch.equal(actual.loss, expected.loss)


class TestEdgeIndex:
    """Edges with metadata, which PyG batches and this package does not join."""

    @pytest.fixture
    def typed(self, batch):
        """The batch's graphs with edges of type EdgeIndex."""
        graphs = batch.to_data_list()
        for graph in graphs:
            graph.edge_index = EdgeIndex(graph.edge_index, sparse_size=(graph.num_nodes,) * 2)
        return Batch.from_data_list(graphs)

    @staticmethod
    def differences(batch):
        """Differences along edges, summed at their ends; not equivariant by its square."""
        source, target = batch.edge_index.as_subclass(torch.Tensor)
        square = (batch.pos[source] - batch.pos[target]).square()
        return torch.zeros_like(batch.pos).index_add(0, target, square)

    def test_separate_passes_take_it(self, batch, typed):
        criterion = make_criterion(passes="separate")
        seen = Recorder(self.differences)
        actual = criterion(seen, typed, generator=seeded())
        expected = criterion(self.differences, batch, generator=seeded())
        assert torch.equal(actual.loss, expected.loss)
        assert all(isinstance(part.edge_index, EdgeIndex) for part in seen.batches)

    def test_a_joint_pass_refuses_it_by_name(self, typed):
        with pytest.raises(TypeError, match=r"`edge_index` must be .* joined, got EdgeIndex"):
            make_criterion(passes="joint")(self.differences, typed)


def hetero_graph(atoms, beads):
    data = HeteroData()
    data["atom"].pos = torch.randn(atoms, 3, dtype=torch.float64)
    data["bead"].pos = torch.randn(beads, 3, dtype=torch.float64)
    data["bead"].force = torch.randn(beads, 3, dtype=torch.float64)
    return data


class TestProcesses:
    """Every process draws for all, and takes its part."""

    @pytest.mark.parametrize("num_samples", [1, 2])
    def test_two_processes_step_as_one(self, model, monkeypatch, num_samples):
        criterion = make_criterion(num_samples=num_samples, passes="separate")
        graphs = make_batch((3, 3, 3, 3)).to_data_list()
        whole = Recorder(model)
        criterion(whole, Batch.from_data_list(graphs), generator=seeded())
        parts = []
        for rank in range(2):
            pretend_rank(monkeypatch, rank, 2)
            parts.append(Recorder(model))
            own = Batch.from_data_list(graphs[2 * rank : 2 * rank + 2])
            criterion(parts[rank], own, generator=seeded())
        for position, everything in enumerate(whole.batches):
            pieces = [part.batches[position].pos for part in parts]
            assert torch.equal(torch.cat(pieces), everything.pos)

    def test_the_global_generator_is_not_shared_out(self, model, batch, monkeypatch):
        pretend_rank(monkeypatch, 1, 2)
        torch.manual_seed(1)
        recorder = Recorder(model)
        make_criterion()(recorder, batch)
        close(recorder.batches[0].pos[12:], turn(batch, haar(3)).pos, atol=1e-14)


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"num_samples": 0}, "`num_samples` must be positive, got 0"),
            ({"reference": "labels"}, "`reference` must be one of 'label', .* got 'labels'"),
            ({"passes": "both"}, "`passes` must be one of 'joint', 'separate', got 'both'"),
            ({"target": "force"}, "`reps` must declare 'force'"),
            ({"target": []}, "`target` must name at least one attribute"),
            ({"objective": "mae"}, "`objective` must be one of 'mse', .* got 'mae'"),
            ({"penalty": {}}, "`penalty` must give a loss for target 'y'"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_a_wrong_option_is_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            make_criterion(**options)

    def test_the_representation_shows_the_options(self):
        assert repr(make_criterion(target={"y": 2.0})).splitlines()[1].strip() == (
            "group=SO3(), reps={'pos': 'point', 'vel': 'vector', 'y': 'point'}, "
            "target={'y': 2.0}, reference='label', num_samples=1, passes='joint'"
        )

    def test_the_state_of_the_weighting_is_part_of_the_loss(self, model):
        criterion = make_criterion(weighting=GradNorm(head=model.head))
        assert set(criterion.state_dict()) == {"weighting.weights", "weighting.initial_losses"}


def test_labels_that_a_mask_leaves_out_may_be_missing():
    batch = make_batch()
    batch.keep = torch.arange(batch.num_nodes) % 2 == 0
    expected = RemulLoss(SO3(), REPS, mask="keep")(lambda b: b.pos, batch, generator=seeded())
    batch.y[~batch.keep] = float("nan")
    out = RemulLoss(SO3(), REPS, mask="keep")(lambda b: b.pos, batch, generator=seeded())
    assert torch.equal(out.loss, expected.loss)


@pytest.mark.parametrize("target", ["y", [("atom", "y")], {("atom", "y"): 2.0}], ids=str)
def test_a_target_of_one_node_type_may_be_named_with_it(target):
    graph = HeteroData()
    graph["atom"].pos, graph["atom"].y = torch.rand(3, 3), torch.rand(3, 3)
    graph["bead"].pos = torch.rand(2, 3)
    batch = Batch.from_data_list([graph, graph])
    criterion = RemulLoss(SO3(), {"pos": "point", ("atom", "y"): "vector"}, target)
    out = criterion(lambda b: b["atom"].pos, batch)
    close(
        out.objective,
        (2.0 if isinstance(target, dict) else 1.0) * mse_loss(batch["atom"].pos, batch["atom"].y),
        atol=1e-6,
    )


def test_an_unlabelled_type_is_turned_by_its_own_graphs():
    graphs = []
    for atoms, beads in ((3, 1), (2, 4)):
        graph = HeteroData()
        graph["atom"].pos, graph["bead"].pos = torch.rand(atoms, 3), torch.rand(beads, 3)
        graphs.append(graph)
    reps = {"pos": "point", ("atom", "y"): "vector"}
    weighting = ConstantWeighting(0.0, 1.0)
    criterion = RemulLoss(SO3(), reps, "y", weighting=weighting, reference="prediction")
    out = criterion(lambda b: b["atom"].pos, Batch.from_data_list(graphs))
    close(out.equivariance, 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": SO3}, "`group` must be a group such as SO3\\(\\)"),
        ({"weighting": 0.5}, "`weighting` must be one such as ConstantWeighting"),
        ({"weighting": ConstantWeighting}, "`weighting` must be one such as ConstantWeighting"),
    ],
    ids=["class for group", "number for weighting", "class for weighting"],
)
def test_an_option_of_the_wrong_type_is_refused(options, message):
    with pytest.raises(TypeError, match=message):
        RemulLoss(**{"group": SO3(), "reps": REPS, **options})
