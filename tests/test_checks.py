"""Checks of options."""

from __future__ import annotations

import pytest

from pyg_remul.checks import check_choice


@pytest.mark.parametrize(("value", "choices"), [("b", ("a", "b")), (2, {1: "x", 2: "y"})])
def test_choice_passes(value, choices):
    check_choice("option", value, choices)


@pytest.mark.parametrize("value", [True, 1.0, "1", 3, None, [1]], ids=repr)
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError, match="`hops` must be one of 1, 2, got ") as error:
        check_choice("hops", value, (1, 2))
    assert str(error.value).endswith(f"got {value!r}.")
