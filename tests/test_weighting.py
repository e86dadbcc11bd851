"""The weights of the two terms, GradNorm against its algorithm evaluated by hand."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import REPS, NodeLinear, close, make_batch, pretend_rank, seeded
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from pyg_remul import SO3, ConstantWeighting, GradNorm, RemulLoss
from pyg_remul.weighting import gradnorm_gradient

SIGNS = {
    "+ -": ([1.0, 0.5], [2.0, 1.0], [1.0, 1.0], 1.5),
    "- +": ([1.0, 0.5], [0.5, 4.0], [1.0, 1.0], 1.5),
    "+ +": ([0.75, 1.25], [1.0, 1.0], [0.5, 1.5], 0.5),
    "- -": ([0.1, 1.9], [1.0, 1.0], [0.5, 1.5], 2.0),
}


@pytest.fixture
def model():
    return NodeLinear(hidden=5, dtype=torch.float32)


@pytest.fixture
def batch():
    return make_batch((4, 3, 5), dtype=torch.float32)


def make_criterion(weighting, **options):
    return RemulLoss(SO3(), REPS, weighting=weighting, **options)


def train_step(criterion, model, batch, seed, rate=0.1):
    """One step of gradient descent under a criterion."""
    out = criterion(model, batch, generator=seeded(seed))
    model.zero_grad()
    out.loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= rate * parameter.grad
    return out


def known(weighting, weight, values, slopes):
    """Calls a weighting with losses of known values and derivatives."""
    objective, penalty = (
        value + slope * weight.sum() for value, slope in zip(values, slopes, strict=True)
    )
    return weighting(objective, penalty, [])


def make_known(initial=(1.0, 1.0), **options):
    """GradNorm over one weight at 0, and the weight."""
    weight = nn.Parameter(torch.zeros(1))
    weighting = GradNorm(last_layer=weight, **options)
    weighting.initial_losses.copy_(torch.tensor(initial))
    return weighting, weight


def next_weights(weights, norms, rates, eta=0.025, gamma=1.5, renormalise=True):
    """Algorithm 1 with constant targets, in plain Python."""
    weighted = [w * g for w, g in zip(weights, norms, strict=True)]
    mean = sum(weighted) / 2
    relative = [2 * rate / sum(rates) for rate in rates]
    excess = [value - mean * r**gamma for value, r in zip(weighted, relative, strict=True)]
    slopes = [math.copysign(g, value) for g, value in zip(norms, excess, strict=True)]
    moved = [max(w - eta * slope, 1e-3) for w, slope in zip(weights, slopes, strict=True)]
    scale = sum(weights) / sum(moved) if renormalise else 1.0
    return [scale * w for w in moved]


class TestConstantWeighting:
    def test_the_total_is_the_weighted_sum(self):
        weighting = ConstantWeighting(0.5, 2.0)
        close(weighting(torch.tensor(3.0), torch.tensor(5.0), []), 11.5, atol=0)

    def test_without_objective_the_penalty_counts_alone(self):
        close(ConstantWeighting(0.0, 2.0)(None, torch.tensor(5.0), []), 10.0, atol=0)

    @pytest.mark.parametrize(("alpha", "uses"), [(0.0, False), (0.1, True)])
    def test_the_objective_is_used_if_it_has_weight(self, alpha, uses):
        assert ConstantWeighting(alpha, 1.0).uses_objective is uses

    @pytest.mark.parametrize("name", ["alpha", "beta"])
    @pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
    def test_a_wrong_weight_is_refused(self, name, value):
        with pytest.raises(
            ValueError, match=rf"`{name}` must (be finite|not be negative), got {value}\."
        ):
            ConstantWeighting(**{name: value})

    def test_two_weights_of_0_are_refused(self):
        with pytest.raises(ValueError, match="`alpha` and `beta` must not both be 0"):
            ConstantWeighting(0.0, 0.0)

    def test_the_representation_shows_the_weights(self):
        assert repr(ConstantWeighting(1, 0.5)) == "ConstantWeighting(alpha=1.0, beta=0.5)"


class TestGradient:
    @pytest.mark.parametrize(("weights", "norms", "rates", "gamma"), SIGNS.values(), ids=SIGNS)
    def test_it_differentiates_the_loss_with_constant_targets(self, weights, norms, rates, gamma):
        weights = torch.tensor(weights, requires_grad=True)
        norms, rates = torch.tensor(norms), torch.tensor(rates)
        target = (weights * norms).mean().detach() * rates**gamma
        (weights * norms - target).abs().sum().backward()
        actual = gradnorm_gradient(weights.detach(), norms, rates, gamma)
        close(actual, weights.grad, atol=1e-6)

    @pytest.mark.parametrize(("weights", "norms", "rates", "gamma"), SIGNS.values(), ids=SIGNS)
    def test_the_cases_cover_all_signs(self, request, weights, norms, rates, gamma):
        arguments = (torch.tensor(value) for value in (weights, norms, rates))
        signs = gradnorm_gradient(*arguments, gamma).sign().tolist()
        expected = request.node.callspec.id.split()
        assert ["+" if sign > 0 else "-" for sign in signs] == expected


class TestUpdate:
    @settings(max_examples=40)
    @given(
        values=st.tuples(*[st.floats(0.1, 10)] * 2),
        slopes=st.tuples(*[st.floats(0.1, 5)] * 2),
        gamma=st.sampled_from([0.0, 0.12, 1.5]),
        renormalise=st.booleans(),
    )
    def test_one_step_is_algorithm_1(self, values, slopes, gamma, renormalise):
        weighting, weight = make_known((1.0, 2.0), gamma=gamma, renormalise=renormalise, eta=0.03)
        rates = [values[0], values[1] / 2]
        weighted = torch.tensor(slopes)
        targets = weighted.mean() * (torch.tensor(rates) / (sum(rates) / 2)) ** gamma
        assume(float((weighted - targets).abs().min()) > 1e-4)  # no kink
        known(weighting, weight, values, slopes)
        expected = next_weights(
            [1.0, 1.0], slopes, rates, eta=0.03, gamma=gamma, renormalise=renormalise
        )
        close(weighting.weights, torch.tensor(expected), atol=1e-5)

    @pytest.mark.parametrize("passes", ["joint", "separate"])
    @pytest.mark.parametrize("reference", ["label", "prediction", "detached"])
    def test_steps_on_a_network_follow_algorithm_1(self, model, batch, passes, reference):
        weighting = GradNorm(head=model.head)
        criterion = make_criterion(weighting, passes=passes, reference=reference)
        plain = make_criterion(None, passes=passes, reference=reference)
        weights, initial = [1.0, 1.0], None
        for seed in range(4):
            out = plain(model, batch, generator=seeded(seed))
            losses = [out.objective, out.equivariance]
            norms = [
                float(torch.autograd.grad(loss, model.head.weight, retain_graph=True)[0].norm())
                for loss in losses
            ]
            values = [float(loss.detach()) for loss in losses]
            initial = initial or values
            rates = [value / first for value, first in zip(values, initial, strict=True)]
            weights = next_weights(weights, norms, rates)
            train_step(criterion, model, batch, seed)
            close(weighting.weights, torch.tensor(weights), atol=1e-5)

    def test_head_and_last_layer_give_the_same_weights(self, model, batch):
        by_head = GradNorm(head=model.head)
        by_weight = GradNorm(last_layer=model.head.weight)
        for seed in range(3):
            make_criterion(by_weight)(model, batch, generator=seeded(seed))
            train_step(make_criterion(by_head), model, batch, seed)
        close(by_head.weights, by_weight.weights, atol=1e-6)

    def test_a_step_uses_the_weights_from_before_its_update(self, model, batch):
        weighting = GradNorm(head=model.head, alpha=1.0, beta=0.5)
        out = make_criterion(weighting)(model, batch)
        expected = out.objective + 0.5 * out.equivariance
        close(out.loss, expected.detach(), atol=1e-6)
        assert (float(out.alpha), float(out.beta)) == (1.0, 0.5)
        assert weighting.weights.tolist() != [1.0, 0.5]

    def test_the_networks_gradient_uses_the_weights_from_before(self, model, batch):
        out = make_criterion(GradNorm(head=model.head))(model, batch, generator=seeded())
        actual = torch.autograd.grad(out.loss, list(model.parameters()))
        plain = make_criterion(None)(model, batch, generator=seeded())
        expected = torch.autograd.grad(plain.loss, list(model.parameters()))
        for one, other in zip(actual, expected, strict=True):
            close(one, other, atol=1e-6)

    def test_the_update_leaves_no_gradient_in_the_network(self, model, batch):
        make_criterion(GradNorm(head=model.head))(model, batch)
        assert all(parameter.grad is None for parameter in model.parameters())

    def test_a_faster_loss_loses_weight(self):
        weighting, weight = make_known()
        known(weighting, weight, (0.1, 1.0), (1.0, 1.0))
        assert weighting.alpha < 1 < weighting.beta


class TestManySteps:
    """Drift over a long run, with unweighted gradient norms of 1 and 2."""

    STEPS = 50_000
    NORMS = torch.tensor([[1.0], [2.0]])

    def run(self, weighting, values, steps):
        """Only the update: the gradients are given."""
        weighting.layer.gradients = lambda losses, predictions: self.NORMS  # noqa: ARG005
        losses = [torch.tensor(value) for value in values]
        for _ in range(steps):
            weighting(*losses, [])
        return weighting.weights

    @pytest.mark.parametrize("rate", [1.0, 1.6])
    def test_renormalised_weights_keep_their_sum(self, rate):
        weighting, _ = make_known()
        weights = self.run(weighting, (rate, 2 - rate), self.STEPS if rate == 1 else 2000)
        close(weights.sum(), 2.0, atol=1e-4)

    def test_renormalised_weights_stay_where_the_gradients_are_equal(self):
        weighting, _ = make_known()
        weights = self.run(weighting, (1.0, 1.0), 5000)
        close(weights, torch.tensor([4 / 3, 2 / 3]), atol=0.06)  # a step moves them by up to 0.05

    def test_the_literal_algorithm_drifts(self):
        weighting, _ = make_known(renormalise=False)
        weights = self.run(weighting, (1.6, 0.4), 4000)
        close(weights, torch.tensor([101.0, 7.3]), atol=0.5)


class TestNoUpdate:
    def test_in_eval_mode(self, model, batch):
        weighting = GradNorm(head=model.head).eval()
        make_criterion(weighting).eval()(model, batch)
        assert weighting.weights.tolist() == [1.0, 1.0]
        assert weighting.initial_losses.isnan().all()

    def test_without_gradients(self, model, batch):
        weighting = GradNorm(head=model.head)
        with torch.no_grad():
            make_criterion(weighting)(model, batch)
        assert weighting.weights.tolist() == [1.0, 1.0]

    def test_after_an_initial_loss_of_0(self):
        weighting, weight = make_known((float("nan"), float("nan")))
        for value in (0.0, 1.0):
            known(weighting, weight, (value, 1.0), (1.0, 2.0))
        assert weighting.weights.tolist() == [1.0, 1.0]

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_on_a_loss_that_is_not_finite(self, value):
        weighting, weight = make_known()
        known(weighting, weight, (value, 1.0), (1.0, 2.0))
        assert weighting.weights.tolist() == [1.0, 1.0]

    def test_on_a_gradient_that_is_not_finite(self):
        weighting, weight = make_known()
        known(weighting, weight, (1.0, 1.0), (float("nan"), 2.0))
        assert weighting.weights.tolist() == [1.0, 1.0]


class TestState:
    def test_constant_weights_have_none(self):
        assert not ConstantWeighting().state_dict()

    def test_gradnorms_is_its_weights_and_initial_losses(self, model):
        state = GradNorm(head=model.head).state_dict()
        assert set(state) == {"weights", "initial_losses"}

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_the_initial_losses_are_the_first_finite_ones(self, value):
        weighting, weight = make_known((float("nan"), float("nan")))
        for objective in (value, 3.0, 5.0):
            known(weighting, weight, (objective, 2.0), (1.0, 2.0))
        assert weighting.initial_losses.tolist() == [3.0, 2.0]

    def test_a_restored_state_continues_identically(self, model, batch):
        first = GradNorm(head=model.head)
        for seed in range(3):
            make_criterion(first)(model, batch, generator=seeded(seed))
        second = GradNorm(head=model.head)
        second.load_state_dict(first.state_dict())
        for weighting in (first, second):
            make_criterion(weighting)(model, batch, generator=seeded(9))
        assert torch.equal(first.weights, second.weights)

    def test_reset_returns_to_the_start(self, model, batch):
        weighting = GradNorm(head=model.head, alpha=2.0)
        make_criterion(weighting)(model, batch)
        weighting.reset()
        assert weighting.weights.tolist() == [2.0, 1.0]
        assert weighting.initial_losses.isnan().all()

    def test_the_representation_shows_the_options(self, model):
        assert repr(GradNorm(head=model.head)) == (
            "GradNorm(alpha=1.0, beta=1.0, eta=0.025, gamma=1.5, renormalise=True)"
        )


class TestRefusals:
    @pytest.mark.parametrize("name", ["alpha", "beta", "eta", "minimum"])
    def test_what_must_be_positive(self, model, name):
        with pytest.raises(ValueError, match=f"`{name}` must be positive, got 0"):
            GradNorm(head=model.head, **{name: 0.0})

    def test_a_negative_gamma(self, model):
        with pytest.raises(ValueError, match="`gamma` must not be negative, got -1"):
            GradNorm(head=model.head, gamma=-1.0)

    def test_a_missing_objective(self, model):
        with pytest.raises(ValueError, match="`objective` must be given for GradNorm"):
            GradNorm(head=model.head)(None, torch.tensor(1.0), [])

    @pytest.mark.parametrize("passes", ["joint", "separate"])
    def test_a_prediction_that_is_not_the_heads_output(self, model, batch, passes):
        criterion = make_criterion(GradNorm(head=model.head), passes=passes)
        with pytest.raises(ValueError, match="but the prediction is not its output; give the wei"):
            criterion(lambda graphs: graphs.pos + model(graphs), batch)

    def test_a_head_that_runs_more_than_once(self, model, batch):
        criterion = make_criterion(GradNorm(head=model.head))
        with pytest.raises(ValueError, match="but it ran 2 times for 1 passes"):
            criterion(lambda graphs: model(graphs) + model(graphs), batch)


def test_a_compiled_model_gets_the_weights_of_an_eager_one(model, batch):
    eager, compiled = GradNorm(head=model.head), None
    for seed in range(2):
        make_criterion(eager)(model, batch, generator=seeded(seed))
    twin = NodeLinear(hidden=5, dtype=torch.float32)
    twin.load_state_dict(model.state_dict())
    compiled = GradNorm(head=twin.head)
    network = torch.compile(twin, backend="aot_eager")
    for seed in range(2):
        make_criterion(compiled)(network, batch, generator=seeded(seed)).loss.backward()
    close(compiled.weights, eager.weights, atol=1e-6)


def test_processes_share_the_gradient_matrix_and_not_its_norm(model, monkeypatch):
    """Two processes with half a batch each update as one with the whole batch."""
    graphs = make_batch((4, 4), dtype=torch.float32)

    def update(batch):
        weighting = GradNorm(head=model.head, eta=0.3, renormalise=False)
        criterion = RemulLoss(SO3(degrees=0), REPS, weighting=weighting, penalty="l1")
        criterion(model, batch)
        return weighting

    expected = update(graphs)
    pretend_rank(monkeypatch, 1, 2)
    sent = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda value: sent.append(value.clone()))
    update(graphs[1])
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda value: value.add_(sent.pop(0)))
    actual = update(graphs[0])
    close(actual.initial_losses, expected.initial_losses, atol=1e-6)
    close(actual.weights, expected.weights, atol=1e-6)
