"""The studies of the paper's tables and figures."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path

import pytest

from pyg_remul.reproduction import catalogue
from pyg_remul.reproduction.methods import BETAS

STUDIES = {
    "nbody": catalogue.nbody_study,
    "motion": lambda *args: catalogue.motion_study(("run", "walk"), *args),
    "perceptron": lambda *args: catalogue.perceptron_study(("run", "walk"), *args),
    "md17": lambda *args: catalogue.md17_study(("ethanol", "uracil"), 3000, "xtb", *args),
    "samples": catalogue.samples_study,
}


def configs(study):
    return [
        (case, method, setting, study.config(case, method, setting, seed=0, data=Path("data")))
        for case in study.cases
        for method in study.methods
        for setting in method.settings
    ]


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
@pytest.mark.parametrize("name", STUDIES)
def test_every_run_is_possible(name, scale):
    study = STUDIES[name](scale)
    for case, method, setting, _ in configs(study):
        study.trial(case, method, setting, data=Path("data"))


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", STUDIES)
def test_settings_of_a_method_are_different_runs(name, scale):
    study = STUDIES[name](scale)
    for case in study.cases:
        for method in study.methods:
            runs = [c.identity() for k, m, _, c in configs(study) if (k, m) == (case, method)]
            assert all(runs.count(run) == 1 for run in runs), method.name


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", ["nbody", "motion", "perceptron", "md17"])
def test_rivals_are_tuned_over_as_many_settings_as_remul(name, scale):
    methods = STUDIES[name](scale).methods
    rivals = [m for m in methods if m.kind != "gradnorm" and not m.control]
    assert {method.name: len(method.settings) for method in rivals} == {
        method.name: len(BETAS) for method in rivals
    }


@pytest.mark.parametrize("name", ["nbody", "motion", "perceptron", "md17"])
def test_remul_tries_the_grid_of_weights(name):
    (remul,) = (m for m in STUDIES[name]("paper").methods if m.kind == "remul")
    assert [setting["beta"] for setting in remul.settings] == list(BETAS)


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", ["nbody", "motion", "perceptron", "md17"])
def test_controls_differ_from_remul_in_their_loss_alone(name, scale):
    methods = STUDIES[name](scale).methods
    (remul,) = (method for method in methods if method.kind == "remul")
    plain, turned = (method for method in methods if method.control)
    assert plain.settings == turned.settings == ({},)
    assert turned.passes == remul.passes
    assert plain.options == remul.options | {"method": "plain"}
    assert turned.options == remul.options | {"method": "augmentation", "num_samples": 2}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", ["nbody", "motion", "md17"])
def test_gradual_mode_has_the_options_of_the_constant_one(name, scale):
    options = {method.kind: method.options for method in STUDIES[name](scale).methods}
    assert options["gradnorm"] == options["remul"] | {"method": "gradnorm"}


@pytest.mark.parametrize("name", ["nbody", "motion", "md17"])
def test_rate_of_remul_is_one_that_the_plain_model_had_to_choose_from(name):
    rates, of_remul = defaultdict(set), []
    for case, method, _, config in configs(STUDIES[name]("laptop")):
        if method.kind == "plain" and not method.control:
            rates[case.name].add(config.lr)
        elif method.kind == "remul":
            of_remul.append((case.name, config.lr))
    assert of_remul
    assert all(rate in rates[case] for case, rate in of_remul)


def test_rate_of_remul_on_a_molecule_without_a_known_one_is_ethanols():
    known, unknown = catalogue.md17_study(("ethanol", "aspirin")).cases
    assert unknown.options == known.options | {"molecule": "aspirin"}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", STUDIES)
def test_gradients_of_strict_transformers_alone_are_clipped(name, scale):
    for *_, config in configs(STUDIES[name](scale)):
        assert config.clip == (10.0 if config.model in ("se3", "gatr") else None)


@pytest.mark.parametrize("name", STUDIES)
def test_three_seeds_are_run_but_for_smoke(name):
    assert (STUDIES[name]("paper").seeds, STUDIES[name]("smoke").seeds) == (3, 1)


@pytest.mark.parametrize(
    ("name", "model", "sizes"),
    [
        ("nbody", "transformer", (384, 10, 50_000, 64)),
        ("motion", "transformer", (384, 10, 34_000, 12)),
        ("perceptron", "per", (532, 3, 34_000, 12)),
        ("md17", "gnn", (64, 4, 1500, 200)),
    ],
)
def test_paper_scale_has_the_published_sizes(name, model, sizes):
    found = {
        (config.hidden_channels, config.num_layers, config.steps, config.batch_size)
        for *_, config in configs(STUDIES[name]("paper"))
        if config.model == model and config.method in ("plain", "remul")
    }
    assert found == {sizes}


@pytest.mark.parametrize("name", STUDIES)
def test_paper_scale_has_all_graphs(name):
    found = {(c.num_train, c.num_eval, c.error_graphs) for *_, c in configs(STUDIES[name]("paper"))}
    assert found == {(None, None, 100)}


def test_gradual_weights_begin_on_the_grid_of_the_constant_ones():
    (gradual,) = (m for m in catalogue.nbody_study("paper").methods if m.kind == "gradnorm")
    assert [setting["beta"] for setting in gradual.settings] == [0.01, 0.1, 1.0, 10.0]


CURVES = {
    "motion": partial(catalogue.motion_study, ("walk",)),
    "md17": partial(catalogue.md17_study, ("ethanol",)),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("curve", [True, False])
def test_all_weights_are_trained_in_full_for_curves_alone(name, curve):
    study = CURVES[name](curve=curve)
    (remul,) = (method for method in study.methods if method.kind == "remul")
    assert remul.sweep is curve


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_made_of_runs_of_the_table_and_of_further_weights(name):
    table, figure = (CURVES[name](curve=curve) for curve in (False, True))
    tuned = {m.name for m in table.methods if m.kind in ("plain", "augmentation")}
    controls = {m.name for m in table.methods if m.control}
    assert {m.name for m in table.methods} - {m.name for m in figure.methods} == tuned - controls
    settings = {m.name: (m.options, m.settings) for m in table.methods}
    assert all(settings[m.name] == (m.options, m.settings) for m in figure.methods)
