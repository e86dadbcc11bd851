"""The numbers that the paper prints."""

from __future__ import annotations

import dataclasses

import pytest
from synthetic import ETHANOL, NBODY, RUN, make_method

from pyg_remul.reproduction.published import find_published
from pyg_remul.reproduction.study import Case

MOLECULES = (
    *("aspirin", "benzene", "ethanol", "malonaldehyde"),
    *("naphthalene", "salicylic", "toluene", "uracil"),
)
WALK = Case(name="walk", options={"task": "mocap-walk"})


def molecule(name):
    return Case(name=name, options={"task": "md17", "molecule": name})


@pytest.mark.parametrize(
    ("case", "kind", "model", "expected"),
    [
        (WALK, "rival", "se3", (0.1085, 0.013)),
        (WALK, "augmentation", "transformer", (0.053, 0.0018)),
        (WALK, "remul", "mlp", (0.0604, 0.0009)),
        (RUN, "rival", "gatr", (0.3238, 0.039)),
        (RUN, "rival", "emlp", (0.5738, 0.0839)),
        (RUN, "rival", "per", (0.3303, 0.0037)),
        (molecule("benzene"), "augmentation", "gnn", (1.1093, 0.053)),
        (molecule("salicylic"), "remul", "gnn", (0.0099, 0.00001)),
        (molecule("naphthalene"), "rival", "egnn", (0.0047, 0.0002)),
    ],
    ids=lambda value: getattr(value, "name", value) if isinstance(value, (str, Case)) else "",
)
def test_number_is_the_printed_one(case, kind, model, expected):
    found = find_published(case, make_method(kind, model))
    assert (found.mean, found.spread) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", MOLECULES)
def test_every_molecule_has_four_methods(name):
    methods = [make_method("rival", "egnn")]
    methods += [make_method(kind) for kind in ("plain", "augmentation", "remul")]
    assert all(find_published(molecule(name), method) for method in methods)


@pytest.mark.parametrize(
    ("case", "method"),
    [
        (NBODY, make_method("remul", "transformer")),
        (ETHANOL, make_method("remul", "transformer")),
        (ETHANOL, make_method("gradnorm")),
        (ETHANOL, make_method("augmentation", num_samples=2)),
        (ETHANOL, dataclasses.replace(make_method(), control=True)),
    ],
    ids=["other task", "other model", "other way of training", "more rotations", "control"],
)
def test_what_is_not_printed_has_no_number(case, method):
    assert find_published(case, method) is None


def test_remul_is_best_on_five_molecules_and_second_on_three():
    ranks = []
    for name in MOLECULES:
        found = [
            find_published(molecule(name), method).mean
            for method in (make_method("remul"), make_method(), make_method("rival", "egnn"))
        ]
        ranks.append(sum(other < found[0] for other in found[1:]))
    assert (ranks.count(0), ranks.count(1)) == (5, 3)
