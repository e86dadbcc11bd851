"""Losses by name."""

from __future__ import annotations

import pytest
import torch
from helpers import close, make_batch
from torch.nn.functional import huber_loss, l1_loss, mse_loss
from torch_geometric.data import Batch

from pyg_remul.criteria import Criteria, label_of, target_weights

ONES, TWOS = torch.ones(4, 3), torch.full((4, 3), 3.0)


def evaluate(choice, weights=None, prediction=TWOS, **options):
    criteria = Criteria("objective", choice, weights or {"y": 1.0}, **options)
    names = list(criteria.weights)
    batch = Batch()
    return criteria(dict.fromkeys(names, prediction), dict.fromkeys(names, ONES), batch)


@pytest.mark.parametrize(
    ("name", "value"), [("mse", 4.0), ("l1", 2.0), ("huber", 1.5)], ids=["mse", "l1", "huber"]
)
def test_a_loss_is_known_by_name(name, value):
    close(evaluate(name), value, atol=1e-6)


def test_a_loss_may_be_a_function():
    close(evaluate(lambda one, other: (one + other).sum()), 48.0, atol=1e-5)


def test_the_sum_is_weighted():
    close(evaluate("l1", {"a": 1.0, "b": 0.25}), 2.5, atol=1e-6)


def test_targets_may_have_losses_of_their_own():
    actual = evaluate({"a": "l1", "b": mse_loss}, {"a": 1.0, "b": 1.0})
    close(actual, l1_loss(TWOS, ONES) + mse_loss(TWOS, ONES), atol=1e-6)


@pytest.mark.parametrize("mask", ["known", {"a": "known"}], ids=["every target", "one target"])
def test_a_mask_selects_rows(mask):
    batch = make_batch((2, 2))
    batch.known = torch.tensor([True, False, False, True])
    prediction = torch.arange(12.0).view(4, 3)
    criteria = Criteria("objective", "huber", {"a": 1.0, "b": 1.0}, mask)
    actual = criteria(dict.fromkeys("ab", prediction), dict.fromkeys("ab", ONES), batch)
    masked = huber_loss(prediction[batch.known], ONES[batch.known])
    other = masked if mask == "known" else huber_loss(prediction, ONES)
    close(actual, masked + other, atol=1e-6)


def test_a_mask_cuts_out_rows_for_a_loss_that_is_a_function():
    batch = make_batch((2, 2))
    batch.known = torch.tensor([True, False, False, True])
    criteria = Criteria("objective", lambda one, _: (one + 1).mean(), {"y": 1.0}, "known")
    prediction = torch.arange(12.0).view(4, 3)
    expected = (prediction[batch.known] + 1).mean()
    close(criteria({"y": prediction}, {"y": ONES}, batch), expected, atol=0)


@pytest.mark.parametrize("name", ["mse", "l1", "huber"])
def test_a_mask_keeps_missing_labels_from_the_gradient(name):
    batch = make_batch((2, 2))
    batch.known = torch.tensor([True, False, True, True])
    labels = torch.where(batch.known[:, None], ONES, torch.nan)
    prediction = TWOS.clone().requires_grad_()
    criteria = Criteria("objective", name, {"y": 1.0}, "known")
    criteria({"y": prediction}, {"y": labels}, batch).backward()
    assert prediction.grad.isfinite().all()
    assert torch.equal(prediction.grad.ne(0).all(dim=1), batch.known)


@pytest.mark.parametrize(
    "mask",
    [torch.ones(4, dtype=torch.long), torch.ones(3, dtype=torch.bool)],
    ids=["integers", "too short"],
)
def test_a_mask_that_does_not_fit_is_refused(mask):
    batch = make_batch((2, 2))
    batch.known = mask
    criteria = Criteria("objective", "mse", {"y": 1.0}, "known")
    with pytest.raises(ValueError, match="`mask` must name a boolean attribute with 4 rows, got"):
        criteria({"y": TWOS}, {"y": ONES}, batch)


@pytest.mark.parametrize("name", ["mse", "l1", "huber"])
def test_a_mask_that_selects_no_row_gives_0_with_a_gradient_of_0(name):
    batch = make_batch((2, 2))
    batch.known = torch.zeros(4, dtype=torch.bool)
    prediction = TWOS.clone().requires_grad_()
    loss = Criteria("objective", name, {"y": 1.0}, "known")({"y": prediction}, {"y": ONES}, batch)
    loss.backward()
    close(loss.detach(), 0.0, atol=0)
    close(prediction.grad, torch.zeros(4, 3), atol=0)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="`objective` must be one of 'mse', 'l1', 'huber', got 'x"):
        evaluate("xent")


def test_a_target_without_loss_is_refused():
    with pytest.raises(ValueError, match="`objective` must give a loss for target 'b', got"):
        evaluate({"a": "l1"}, {"a": 1.0, "b": 1.0})


@pytest.mark.parametrize(
    ("target", "weights"),
    [
        ("y", {"y": 1.0}),
        (["a", "b"], {"a": 1.0, "b": 1.0}),
        ({"a": 2, "b": 0.5}, {"a": 2.0, "b": 0.5}),
    ],
    ids=["name", "names", "weights"],
)
def test_targets_have_weights(target, weights):
    assert target_weights(target) == weights


@pytest.mark.parametrize("target", [[], {}], ids=["names", "weights"])
def test_no_target_is_refused(target):
    with pytest.raises(ValueError, match="`target` must name at least one attribute, got"):
        target_weights(target)


def test_a_label_is_the_attribute_of_the_batch():
    batch = make_batch()
    assert label_of(batch, "y") is batch.y


def test_a_missing_label_is_refused():
    with pytest.raises(ValueError, match="`target` names 'force', which the batch lacks"):
        label_of(make_batch(), "force")


@pytest.mark.parametrize("option", ["mask", "choice"])
def test_a_key_that_is_no_target_is_refused(option):
    options = {"choice": "mse", option: {"y": "mse", "typo": "mse"}}
    with pytest.raises(ValueError, match=r"must be for targets .* got {'typo'}"):
        Criteria("objective", weights={"y": 1.0}, **options)


def test_a_loss_that_is_no_mean_is_refused():
    criteria = Criteria("penalty", torch.nn.MSELoss(reduction="none"), {"y": 1.0})
    with pytest.raises(ValueError, match="`penalty` must return a mean, 0-dimensional, got shape"):
        criteria({"y": torch.ones(4, 3)}, {"y": torch.zeros(4, 3)}, Batch())


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_negative_or_not_finite_is_refused(weight):
    with pytest.raises(ValueError, match="`target` must have finite, not negative weights"):
        target_weights({"y": weight})


def test_a_missing_label_that_counts_is_refused():
    batch = make_batch((2, 3))
    batch.keep = torch.tensor([True, True, False, False, True])
    reference = batch.y.clone()
    reference[0] = float("nan")
    criteria = Criteria("objective", "mse", {"y": 1.0}, "keep")
    with pytest.raises(ValueError, match="`y` must be finite"):
        criteria({"y": batch.pos}, {"y": reference}, batch)
