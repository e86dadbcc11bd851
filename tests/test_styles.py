"""Styles of methods."""

from __future__ import annotations

import pytest

from pyg_remul.styles import STYLES


@pytest.mark.parametrize("feature", ["color", "marker", "linestyle"])
def test_styles_tell_methods_apart_by_each_feature(feature):
    assert len({str(style[feature]) for style in STYLES.values()}) == len(STYLES)
