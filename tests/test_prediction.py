"""What models return."""

from __future__ import annotations

import pytest
import torch
from helpers import make_batch

from pyg_remul.prediction import call_model, check_shape, named_predictions

ROWS = torch.zeros(4, 3)


def test_a_model_is_called_with_the_batch():
    assert call_model(lambda batch: batch + 1, 1, None) == 2


def test_an_adapter_is_called_with_model_and_batch():
    assert call_model(max, 3, lambda model, batch: model(batch, 2)) == 3


def test_one_tensor_is_the_only_target():
    assert named_predictions(ROWS, ["y"])["y"] is ROWS


def test_a_mapping_is_reduced_to_the_targets():
    assert list(named_predictions({"a": ROWS, "b": ROWS, "c": ROWS}, ["c", "a"])) == ["c", "a"]


@pytest.mark.parametrize(
    ("output", "targets", "message"),
    [
        (ROWS, ["a", "b"], "must return a mapping of target names to tensors for .* got Tensor"),
        ((ROWS, ROWS), ["a"], "must return a tensor for .* got tuple; adapt it with `forward=`"),
        (None, ["a"], "must return a tensor for .* got NoneType"),
    ],
    ids=["one tensor for two targets", "tuple", "nothing"],
)
def test_another_type_is_refused(output, targets, message):
    with pytest.raises(TypeError, match=message):
        named_predictions(output, targets)


@pytest.mark.parametrize("output", [{"b": ROWS}, {"a": None, "b": ROWS}], ids=["absent", "none"])
def test_a_missing_target_is_refused(output):
    with pytest.raises(ValueError, match="must return a tensor for target 'a', got"):
        named_predictions(output, ["a"])


def test_a_prediction_in_the_targets_shape_passes():
    check_shape("y", torch.zeros(12, 3), make_batch())


@pytest.mark.parametrize("shape", [(12,), (12, 1), (1, 3), (4, 3)], ids=str)
def test_a_prediction_in_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"in the target's shape \[12, 3\], got \["):
        check_shape("y", torch.zeros(shape), make_batch())


def test_without_target_there_is_nothing_to_check():
    check_shape("force", torch.zeros(1), make_batch())
