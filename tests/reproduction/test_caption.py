"""The lines above a table."""

from __future__ import annotations

import pytest
from synthetic import ETHANOL, NBODY, RUN, make_diverged, make_method, make_outcome

from pyg_remul.presets import preset
from pyg_remul.provenance import Provenance
from pyg_remul.reproduction.caption import describe_case
from pyg_remul.reproduction.summary import summarise

MD17 = Provenance(source="published", published=True, graphs={"train": 500, "test": 24})


@pytest.fixture
def describe():
    def write(*outcomes):
        ((case, lines),) = summarise(outcomes).items()
        return describe_case(case, lines)

    return write


@pytest.fixture
def make(tmp_path):
    """An outcome whose runs have the options of a preset."""

    def build(case=ETHANOL, model="gnn", name="paper", *, setting=None, provenance=MD17, **options):
        method = make_method("plain", model)
        setting = {} if setting is None else setting
        outcome = make_outcome(tmp_path, case, method, setting=setting, provenance=provenance)
        task = case.options["task"]
        for run in outcome.runs:
            run.claim(preset(task, model, name, **{**options, **setting}))
        return outcome

    return build


def test_caption_says_where_data_come_from_and_of_which_sizes_runs_are(describe, make):
    assert describe(make()) == (
        "**ethanol. Data: published.** Graphs: 500 train, 24 test. Sizes, all the paper's where no "
        "row says otherwise: gnn: num layers 4, hidden channels 64; training: batch size 200, "
        "steps 1,500, which are 500 epochs."
    )


def test_sizes_that_are_not_the_papers_stand_beside_them(describe, make):
    assert describe(make(steps=240)) == (
        "**ethanol. Data: published. Sizes are not the paper's.** Graphs: 500 train, 24 test. "
        "Sizes, the paper's in brackets where they differ and no row says otherwise: gnn: num "
        "layers 4, hidden channels 64; training: batch size 200, steps 240 (1,500), which are 80 "
        "epochs."
    )


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("transformer", "num layers 4 (10), hidden channels 64 (384), heads 4 (8)"),
        ("gatr", "num layers 4 (12), hidden channels 8 (16), heads 4 (8), hidden scalars 32 (128)"),
        (
            "se3",
            "num layers 2 (4), hidden channels 8, heads 1, num degrees 3 (4), hops default (30)",
        ),
    ],
)
def test_each_model_has_its_sizes(describe, make, model, sizes):
    assert f"differ and no row says otherwise: {model}: {sizes}; training: " in describe(
        make(RUN, model, "small")
    )


def test_models_come_before_training_which_is_said_once(describe, make):
    text = describe(*(make(NBODY, model, "small") for model in ("transformer", "gatr")))
    assert text.index("transformer: ") < text.index("gatr: ") < text.index("training: ")
    assert text.count("steps 1,500 (50,000)") == text.count("num eval 1,000 (default)") == 1


def test_size_that_a_setting_chooses_is_left_to_its_row(describe, make):
    text = describe(make(RUN, "mlp", setting={"hidden_channels": 170}))
    assert (
        "Sizes, all the paper's where no row says otherwise: mlp: num layers 3; training: " in text
    )


@pytest.mark.parametrize(
    ("case", "model", "options", "told"),
    [
        (
            RUN,
            "mlp",
            {"lr_final": 0.1, "patience": 9},
            "mlp: lr final 0.1 (1.0), patience 9 (none)",
        ),
        (NBODY, "gatr", {"clip": None}, "gatr: clip none (10.0)"),
    ],
)
def test_training_unlike_the_papers_is_told(describe, make, case, model, options, told):
    text = describe(make(case, model, **options))
    assert text.endswith(f" where it differs and no row says otherwise: {told}.")


def test_training_unlike_the_papers_does_not_make_its_sizes_others(describe, make):
    assert "Sizes, all the paper's where no row says otherwise: " in describe(make(lr=1e-3))


def test_departure_that_a_setting_chooses_is_left_to_its_row(describe, make):
    assert "differs" not in describe(make(setting={"lr": 1e-3}))


def test_runs_that_may_stop_early_have_so_many_steps_at_most(describe, make):
    assert "steps at most 34,000" in describe(make(RUN, "mlp", patience=100))


def test_numbers_of_the_paper_are_said_to_be_for_other_data(describe, tmp_path):
    text = describe(make_outcome(tmp_path))
    assert "3,000 frames ahead. The paper's numbers are for other data. Sizes" in text


def test_case_that_the_paper_has_not_needs_no_warning(describe, tmp_path):
    assert "The paper's numbers" not in describe(make_outcome(tmp_path, NBODY))


@pytest.mark.parametrize(("delta", "warned"), [(None, False), (3000, False), (5000, True)])
def test_another_number_of_frames_is_warned_of(describe, make, delta, warned):
    text = describe(make(delta=delta))
    assert ("The paper's numbers are most probably for 3,000 frames ahead.**" in text) is warned


def test_first_method_may_have_diverged(describe, make):
    diverged = make_diverged(method=make_method("rival", "egnn"), chosen=True)
    assert describe(diverged, make()) == describe(make())


def test_case_without_a_finished_run_says_so(describe):
    assert describe(make_diverged(chosen=True)) == "**ethanol: every run diverged.**"
