"""Packages that the core does without."""

from __future__ import annotations

import pytest

from pyg_remul.extras import exit_without


@pytest.mark.parametrize("extra", ["train", "xtb"])
def test_missing_package_is_named_with_its_extra(extra):
    message = rf"needs the package any\.thing; .*: pip install 'pyg_remul\[{extra}\]'"
    with pytest.raises(SystemExit, match=message):
        exit_without(ModuleNotFoundError("no module", name="any.thing"), extra)


@pytest.mark.parametrize("name", [None, "pyg_remul.demo"])
def test_fault_of_this_package_keeps_its_trace(name):
    with pytest.raises(ModuleNotFoundError, match="no module"):
        exit_without(ModuleNotFoundError("no module", name=name), "train")
