"""Outcomes as tables."""

from __future__ import annotations

import csv
import json

import pytest
import torch
from synthetic import ETHANOL, NBODY, make_diverged, make_method, make_outcome

from pyg_remul.provenance import Provenance
from pyg_remul.reproduction.results_table import describe_setting, format_measured, write_tables
from pyg_remul.reproduction.summary import summarise

SIMULATED = Provenance(source="simulated", published=True, graphs={"train": 100, "test": 24})


@pytest.fixture
def make(tmp_path):
    def build(kind="plain", model="gnn", name=None, case=ETHANOL, **options):
        return make_outcome(tmp_path, case, make_method(kind, model, name), **options)

    return build


@pytest.fixture
def read(tmp_path):
    """Writes tables and reads them: the Markdown, its cells by method and column, the CSV's."""

    def write(outcomes):
        text = write_tables(outcomes, tmp_path / "out")
        assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8") == text + "\n"
        lines = [line for line in text.split("\n") if line.startswith("|")]
        header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
        with (tmp_path / "out" / "table.csv").open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(file))
        return text, {row[0]: dict(zip(header, row, strict=True)) for row in rows}, table

    return write


@pytest.fixture
def study(make):
    return [
        make("rival", "egnn", "EGNN", level=0.02, error=1e-15, setting={"lr": 1e-3}),
        make(name="GNN", level=0.01),
        make("remul", name="+ REMUL", level=0.009, setting={"beta": 0.1}),
        make("remul", name="+ REMUL", level=0.03, setting={"beta": 1.0}, chosen=False),
    ]


def test_row_says_what_was_chosen_among_how_many(study, read):
    row = read(study)[1]["+ REMUL"]
    assert [row[name] for name in ("setting", "tried", "passes", "seeds")] == [
        "beta 0.1",
        "2",
        "2",
        "3",
    ]


def test_passes_are_those_of_the_setting(make, read):
    _, rows, table = read([make("remul", name="+ REMUL", setting={"num_samples": 4})])
    assert rows["+ REMUL"]["passes"] == table[0]["passes"] == "5"


def test_result_stands_beside_that_of_the_paper(study, read):
    row = read(study)[1]["GNN"]
    mean, spread = (100 * value for value in (study[1].mean("mse"), study[1].spread("mse")))
    found = [float(value) for value in row["MSE (1e-2)"].split(" ± ")]
    assert found == pytest.approx([mean, spread], abs=0.006)
    assert row["paper"] == "4.26 ± 0.03"


def test_best_is_bold_and_what_is_near_italic(make, read):
    outcomes = [make(name="GNN"), make("augmentation", name="near", level=1.001)]
    outcomes.append(make("rival", "egnn", "far", level=9.0))
    marks = [row["MSE (1e-2)"].count("*") for row in read(outcomes)[1].values()]
    assert marks == [4, 2, 0]


def test_source_of_the_data_stands_above_the_table(study, read):
    first = read(study)[0].split("\n")[0]
    assert first.startswith(
        "**ethanol. Data: GFN2-xTB trajectory of this project, not MD17's DFT, "
    )


def test_equivariance_of_a_strict_model_is_that_of_rounding(study, read):
    rows = read(study)[1]
    assert (rows["EGNN"]["E"], rows["EGNN"]["E'"]) == ("1e-15", "5e-15")


def test_remul_is_compared_with_each_other_row(study, read):
    text, rows, _ = read(study)
    assert rows["GNN"]["REMUL / this"].startswith("0.900 [0.")
    assert rows["+ REMUL"]["REMUL / this"] == ""
    assert "the errors of REMUL, beta 0.1, to those of the row" in text
    assert "over 24 graphs." in text


def test_error_out_of_distribution_has_its_columns(make, read):
    options = {"case": NBODY, "splits": ("test", "ood"), "provenance": SIMULATED}
    rows = read([make(name="GNN", **options), make("remul", name="+ REMUL", **options)])[1]
    cells = (rows["GNN"][f"MSE {split}(1e-2)"].strip("*") for split in ("", "OOD "))
    inside, outside = (float(cell.split()[0]) for cell in cells)
    assert outside == pytest.approx(4 * inside, rel=0.01)
    assert rows["GNN"]["REMUL / this, ood"].startswith("1.000 [")


def test_each_case_has_its_table(make, tmp_path):
    text = write_tables([make(), make(case=NBODY)], tmp_path / "out")
    assert text.count("**ethanol. Data:") == text.count("**N-body. Data:") == 1
    assert text.count("| tried |") == 2


def test_diverged_method_says_so(make, read):
    diverged = make_diverged(method=make_method("rival", "emlp", "EMLP"), setting={"lr": 1.0})
    row = read([make(), diverged])[1]["EMLP"]
    assert (row["MSE (1e-2)"], row["seeds"], row["E"]) == ("diverged", "0", "")


def test_case_without_a_finished_run_says_so(read):
    text, rows, _ = read([make_diverged(chosen=True)])
    assert text.startswith("**ethanol: every run diverged.**")
    assert rows["gnn plain"]["MSE (1e-2)"] == "diverged"


def test_csv_has_every_setting_in_full_precision(study, read):
    table = read([*study, make_diverged(setting={"lr": 1.0})])[2]
    assert [json.loads(row["setting"]) for row in table[2:]] == [
        {"beta": 0.1},
        {"beta": 1.0},
        {"lr": 1.0},
    ]
    assert float(table[1]["mse"]) == study[1].mean("mse")
    assert [float(value) for value in table[1]["mse_seeds"].split()] == study[1].values("mse")
    assert [row["chosen"] for row in table] == ["True", "True", "True", "False", "False"]
    assert [row["diverged"] for row in table] == ["False"] * 4 + ["True"]
    assert table[3]["paper"] == ""
    assert table[1]["paper"] == "0.0426"


def test_study_that_the_paper_has_not_has_no_column_of_its_numbers(make, read):
    assert "paper" in read([make()])[1]["gnn plain"]
    assert "paper" not in read([make(case=NBODY)])[1]["gnn plain"]


def test_interval_of_the_table_is_that_over_groups_of_graphs(make, read):
    origins = {"trial": torch.arange(24) // 4}
    outcomes = [
        make("remul", name="REMUL", origins=origins),
        make(name="GNN", origins=origins, tilt=1.0),
    ]
    _, rows, table = read(outcomes)
    (line,) = [line for line in summarise(outcomes)["ethanol"] if line.by_cluster]
    cluster, graph = line.by_cluster["test"], line.by_graph["test"]
    assert cluster.ratio != graph.ratio
    expected = f"{cluster.ratio.value:.3f} [{cluster.ratio.low:.3f}, {cluster.ratio.high:.3f}]"
    assert rows["GNN"]["REMUL / this"] == expected
    for unit, found in (("cluster", cluster), ("graph", graph)):
        assert table[1][f"test_by_{unit}_num"] == str(found.num_clusters)
        assert float(table[1][f"remul_ratio_test_by_{unit}_value"]) == found.ratio.value
        assert float(table[1][f"remul_ratio_test_by_{unit}_low"]) == found.ratio.low
        assert float(table[1][f"remul_difference_test_by_{unit}_high"]) == found.difference.high


def test_csv_has_deviations_and_relative_errors(study, read):
    row = read(study)[2][1]
    for name in ("mse", "E"):
        assert float(row[f"{name}_sd"]) == study[1].spread(name)
    assert study[1].spread("mse") > 0
    assert float(row["E_relative"]) == pytest.approx(float(row["E"]) / 9, rel=1e-12)


def test_setting_that_was_only_tried_has_its_validation_loss(make, read):
    tried = make(setting={"lr": 0.5}, seeds=0, validation=0.25, chosen=False)
    row = read([make(), tried])[2][1]
    assert (row["validation_loss"], row["seeds"], row["mse"]) == ("0.25", "0", "")


def test_same_outcomes_give_the_same_files(study, tmp_path):
    for name in ("a", "b"):
        write_tables(study, tmp_path / name)
    for file in ("table.md", "table.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({}, ""),
        ({"beta": 0.1}, "beta 0.1"),
        ({"lr_final": 1e-2, "prior": 10}, "lr final 0.01, prior 10"),
    ],
    ids=["none", "one", "two"],
)
def test_setting_in_words(setting, text):
    assert describe_setting(setting) == text


@pytest.mark.parametrize(
    ("mean", "spread", "text"),
    [
        (0.624, 0.0053, "62.40 ± 0.53"),
        (1.1093, 0.053, "110.9 ± 5.3"),
        (0.0054, 0.00001, "0.5400 ± 0.0010"),
        (20.0, 3.0, "2000 ± 300"),
        (0.05, 0.0, "5.000"),
        (1e-17, 1e-18, "1e-15"),
        (0.0, 0.0, "0e+00"),
    ],
    ids=["usual", "large", "certain", "huge", "one seed", "rounding", "zero"],
)
def test_numbers_have_the_digits_that_the_spread_allows(mean, spread, text):
    assert format_measured(mean, spread, 1e-2) == text


def test_means_without_runs_are_not_formatted(make, read):
    assert "nan" not in read([make(), make_diverged(method=make_method("remul"))])[0]
