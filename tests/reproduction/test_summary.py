"""What a study shows."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from synthetic import ETHANOL, NBODY, make_diverged, make_method, make_outcome

from pyg_remul.reproduction.summary import find_remul, group_cases, rank, summarise

GNN, REMUL, GRADUAL = make_method(), make_method("remul"), make_method("gradnorm")


@pytest.fixture
def make(tmp_path):
    def build(method=GNN, case=ETHANOL, **options):
        return make_outcome(tmp_path, case, method, **options)

    return build


def standings(outcomes):
    (lines,) = summarise(outcomes).values()
    return [line.standing for line in lines]


def test_cases_and_methods_keep_their_order(make):
    outcomes = [make(REMUL), make(GNN), make(GNN, NBODY)]
    found = summarise(outcomes)
    assert list(found) == ["ethanol", "N-body"]
    assert [line.outcome for line in found["ethanol"]] == outcomes[:2]


def test_outcomes_are_grouped_by_case(make):
    first, second, third = make(), make(case=NBODY), make(REMUL)
    assert group_cases([first, second, third]) == {"ethanol": [first, third], "N-body": [second]}


def test_line_has_the_chosen_setting_and_the_number_of_all(make):
    tried = [make(setting={"lr": lr}, chosen=lr == 0.2, level=lr) for lr in (0.1, 0.2, 0.3)]
    (line,) = summarise(tried)["ethanol"]
    assert line.outcome is tried[1]
    assert line.num_settings == 3


def test_line_has_what_the_paper_prints(make):
    (line,) = summarise([make()])["ethanol"]
    assert line.published.mean == pytest.approx(0.0426, rel=1e-12)


def test_lowest_mean_is_best(make):
    best, other = make(REMUL, level=0.5), make(GNN, level=1.0)
    ranking = rank([other, best])["ethanol"]
    assert (ranking.best, ranking.near) == (best, ())
    assert standings([other, best]) == ["", "best"]


def test_mean_within_one_standard_deviation_of_the_best_is_near(make):
    best = make(REMUL)
    bound = 1 + best.spread("mse") / best.mean("mse")
    near, far = make(GNN, level=0.99 * bound), make(GRADUAL, level=1.01 * bound)
    assert rank([near, best, far])["ethanol"].near == (near,)
    assert standings([near, best, far]) == ["near", "best", ""]


def test_deviation_of_the_best_decides_and_not_that_of_the_other(make):
    best, other = make(REMUL, noise=0.001), make(GNN, level=1.2, noise=1.0)
    assert other.mean("mse") - other.spread("mse") < best.mean("mse") < other.mean("mse")
    assert standings([best, other]) == ["best", ""]


def test_rows_that_share_their_runs_stand_alike(make):
    best = make(GNN, level=0.5)
    control = dataclasses.replace(best, method=dataclasses.replace(GNN, name="again", control=True))
    assert standings([make(REMUL), best, control]) == ["", "best", "best"]


def test_setting_that_was_not_chosen_cannot_be_best(make):
    lucky = make(REMUL, setting={"beta": 1}, level=0.1, chosen=False)
    chosen = make(REMUL, setting={"beta": 2}, level=2.0)
    assert rank([lucky, chosen, make(GNN)])["ethanol"].best.method is GNN


def test_other_quantities_rank_otherwise(make):
    accurate, equivariant = make(GNN, level=0.5, error=1.0), make(REMUL, level=1.0, error=0.1)
    assert rank([accurate, equivariant], "E")["ethanol"].best is equivariant


def test_diverged_method_is_not_ranked(make):
    finished = make()
    outcomes = [make_diverged(method=REMUL, chosen=True), finished]
    assert rank(outcomes)["ethanol"].best is finished
    assert standings(outcomes) == ["", "best"]


def test_case_whose_runs_all_diverged_has_no_ranking():
    outcomes = [make_diverged(setting={"lr": lr}) for lr in (1, 2)]
    assert rank(outcomes) == {}
    (line,) = summarise(outcomes)["ethanol"]
    assert (line.standing, line.num_settings) == ("", 2)


def test_constant_mode_of_remul_is_compared_however_good_the_gradual_one_is(make):
    constant = make(REMUL, level=1.0, validation=2.0)
    gradual = make(GRADUAL, level=0.5, validation=1.0)
    assert find_remul([make(validation=0.1), gradual, constant]) is constant
    line, own = summarise([gradual, constant])["ethanol"]
    assert line.by_cluster["test"].ratio.value == pytest.approx(2.0, rel=1e-6)
    assert own.by_cluster == {}


def test_gradual_mode_alone_is_compared_with_nothing(make):
    assert find_remul([make(), make(GRADUAL)]) is None


def test_method_of_constant_weights_is_chosen_by_the_validation_loss(make):
    tried = [
        make(make_method("remul", name=name), level=level, validation=validation)
        for name, level, validation in (("a", 0.5, 2.0), ("b", 1.0, 1.0))
    ]
    assert find_remul(tried) is tried[1]


def test_study_without_remul_compares_nothing(make):
    (line,) = summarise([make()])["ethanol"]
    assert find_remul([make()]) is None
    assert (line.by_cluster, line.by_graph) == ({}, {})


def test_remul_is_compared_with_all_others_on_all_test_splits(make):
    origins = {"trial": torch.arange(24) // 4}
    options = {"case": NBODY, "splits": ("test", "ood"), "origins": origins}
    outcomes = [make(GNN, level=1.0, **options), make(REMUL, level=0.5, ood=6.0, **options)]
    line, own = summarise(outcomes)["N-body"]
    assert list(line.by_cluster) == ["test", "ood"]
    assert line.by_cluster["test"].ratio.value == pytest.approx(0.5, rel=1e-6)
    assert line.by_cluster["ood"].ratio.value == pytest.approx(0.75, rel=1e-6)
    assert line.by_cluster["test"].num_clusters == 6
    assert line.by_graph["test"].num_clusters == 24
    assert own.by_cluster == {}


def test_comparison_does_not_depend_on_the_other_methods(make):
    first, second, other = make(GNN, level=1.1), make(REMUL), make(make_method("rival", "egnn"))
    alone = summarise([first, second])["ethanol"][0].by_cluster
    assert summarise([other, first, second])["ethanol"][1].by_cluster == alone
