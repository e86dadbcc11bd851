"""Checks of options."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from pyg_remul.checks import check_choice, check_integers, check_numbers


@pytest.mark.parametrize(("value", "choices"), [("b", ("a", "b")), (2, {1: "x", 2: "y"})])
def test_choice_passes(value, choices):
    check_choice("option", value, choices)


@pytest.mark.parametrize("value", [True, 1.0, "1", 3, None, [1]], ids=repr)
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError, match="`hops` must be one of 1, 2, got ") as error:
        check_choice("hops", value, (1, 2))
    assert str(error.value).endswith(f"got {value!r}.")


@pytest.mark.parametrize("value", [1, np.int64(3)], ids=repr)
def test_integer_passes(value):
    check_integers(steps=value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, torch.tensor(1)], ids=repr)
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(TypeError, match=f"`steps` must be an integer.*{re.escape(repr(value))}"):
        check_integers(steps=value)


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2)], ids=repr)
def test_number_passes(value):
    check_numbers(lr=value)


@pytest.mark.parametrize("value", [True, "1", None, 1j], ids=repr)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=f"`lr` must be a number, got {re.escape(repr(value))}"):
        check_numbers(lr=value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")], ids=repr)
@pytest.mark.parametrize("sign", ["positive", "not negative", "any"])
def test_number_must_be_finite(sign, value):
    with pytest.raises(ValueError, match=f"`lr` must be finite, got {value}"):
        check_numbers(sign, lr=value)


@pytest.mark.parametrize("check", [check_integers, check_numbers])
@pytest.mark.parametrize(
    ("sign", "value", "allowed"),
    [
        ("positive", 0, False),
        ("positive", 1, True),
        ("not negative", -1, False),
        ("not negative", 0, True),
        ("any", -1, True),
    ],
)
def test_sign_is_required(check, sign, value, allowed):
    if allowed:
        check(sign, option=value)
        return
    verb = "be positive" if sign == "positive" else "not be negative"
    with pytest.raises(ValueError, match=rf"`option` must {verb}, got {value}(\.0)?\.$"):
        check(sign, option=value)


def test_the_wrong_one_of_several_is_named():
    with pytest.raises(ValueError, match="`second` must be positive, got 0"):
        check_integers(first=1, second=0)
