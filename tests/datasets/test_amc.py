from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skeleton_files import ASF, amc_text, draw_frames, write

from pyg_remul.datasets import _amc
from pyg_remul.datasets.asf_amc import Motion, Skeleton, read_amc, read_asf

FRAMES = draw_frames(3)
TEXT = amc_text(FRAMES, first=7)


@pytest.fixture
def skeleton(tmp_path: Path) -> Skeleton:
    return read_asf(write(tmp_path / "file.asf", ASF))


@pytest.fixture
def read(tmp_path: Path, skeleton: Skeleton):
    """Reads the text of a file."""

    def read(text: str) -> Motion:
        return read_amc(write(tmp_path / "file.amc", text), skeleton)

    return read


def equal(one: Motion, other: Motion) -> bool:
    return one.first_frame == other.first_frame and torch.equal(one.values, other.values)


def test_values_are_in_the_skeletons_order(read) -> None:
    motion = read(TEXT)
    rows = [[*f["root"], *f["lleg"], *f["rleg"], *f["spine"]] for f in FRAMES]
    expected = torch.tensor(rows, dtype=torch.float64)
    expected[:, 3:] *= math.pi / 180
    torch.testing.assert_close(motion.values, expected, rtol=1e-14, atol=0)


def test_the_first_frame_may_have_any_number(read) -> None:
    assert read(TEXT).first_frame == 7
    assert read(amc_text(FRAMES, first=0)).first_frame == 0


def test_radians_are_left_alone(read) -> None:
    motion = read(amc_text(FRAMES, header=":RADIANS\n"))
    assert motion.values[0, 6:8].tolist() == FRAMES[0]["lleg"]


@pytest.mark.parametrize("unit", ["deg", "rad"])
def test_without_a_word_angles_are_in_the_skeletons_unit(tmp_path: Path, unit: str) -> None:
    asf = write(tmp_path / "file.asf", ASF.replace("angle deg", f"angle {unit}"))
    header = {"deg": ":DEGREES\n", "rad": ":RADIANS\n"}[unit]
    plain, said = (
        read_amc(write(tmp_path / "file.amc", amc_text(FRAMES, header=h)), read_asf(asf))
        for h in ("", header)
    )
    assert equal(plain, said)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(" ", "\t  "),
        lambda text: text.replace("\n", "  \n\n"),
        lambda text: text.replace("\n", " # note\n"),
        lambda text: text.replace(":DEGREES", ":SAMPLES-PER-SECOND 120\n:degrees"),
        lambda text: text[:-1],
    ],
    ids=[
        "carriage returns",
        "byte order mark",
        "tabs",
        "blank lines",
        "comments",
        "more keywords",
        "no line end",
    ],
)
def test_the_way_of_writing_does_not_matter(read, rewrite) -> None:
    assert rewrite(TEXT) != TEXT
    assert equal(read(rewrite(TEXT)), read(TEXT))


def test_the_order_of_bones_does_not_matter(read) -> None:
    mixed = [FRAMES[0], dict(reversed(FRAMES[1].items())), FRAMES[2]]
    assert equal(read(amc_text(mixed, first=7)), read(TEXT))


def test_bones_that_are_left_out_do_not_move(read) -> None:
    partial = [{name: values for name, values in f.items() if name != "lleg"} for f in FRAMES]
    whole = [f | {"lleg": [0.0, 0.0]} for f in FRAMES]
    assert equal(read(amc_text(partial)), read(amc_text(whole)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t[:0], "is refused: it has no frames"),
        (lambda t: t[: t.index("7")], "is refused: it has no frames"),
        (lambda t: t.replace("7\n", "", 1), "line 4: a frame number must come first"),
        (lambda t: t.replace("\n8\n", "\n9\n"), "line 9: frame 9 comes after frame 7"),
        (lambda t: t.replace("\n8\n", "\n7\n"), "line 9: frame 7 comes after frame 7"),
        (lambda t: t.replace("\n8\n", "\n-8\n"), "line 9: the skeleton has no bone '-8' that"),
        (lambda t: t.replace("\n7\n", "\n" + "7" * 5000 + "\n"), "line 4: .* more than 9 digits"),
        (lambda t: t.replace("rleg", "tail"), "line 7: the skeleton has no bone 'tail' that"),
        (lambda t: t.replace("rleg", "lfoot"), "line 7: the skeleton has no bone 'lfoot' that"),
        (lambda t: t.replace("rleg", "rleg 1"), "line 7: the bone 'rleg' takes 1 values, got 2"),
        (lambda t: t.replace("spine", "spine\n"), "line 8: .* 'spine' takes 3 values, got 0"),
        (lambda t: t.replace("rleg", "rleg nan #"), "line 7: 'nan' are not all finite"),
        (lambda t: t.replace("rleg", "rleg 1e30 #"), "line 7: '1e30' are not all finite and below"),
        (lambda t: t.replace("rleg", "rleg 1,5 #"), "line 7: '1,5' are not all numbers"),
        (lambda t: t.replace("\n8\n", "\nrleg 1\n8\n"), "line 9: frame 7 lists .* 'rleg' twice"),
        (lambda t: t.replace("\n8\n", "\n:RADIANS\n8\n"), "line 9: .* no bone ':RADIANS'"),
        (lambda t: t.replace("root", "#"), "line 9: frame 7 lacks the bone 'root'"),
        (lambda t: t[: t.rindex("spine")], "is refused: frame 9 lacks the bone 'spine'"),
        (lambda t: t[: t.rindex("\n9\n") + 3], "is refused: frame 9 lacks the bone 'lleg'"),
        (
            lambda t: t.replace("spine", "#", 1),
            "line 14: frame 8 has, unlike the first, the bone 'spine'",
        ),
    ],
    ids=[
        "empty",
        "only a header",
        "no frame number",
        "skipped frame",
        "repeated frame",
        "negative frame",
        "endless number",
        "unknown bone",
        "bone that does not move",
        "too many values",
        "too few values",
        "not a number",
        "huge",
        "comma",
        "repeated bone",
        "late keyword",
        "no root",
        "cut off in a frame",
        "cut off after a frame number",
        "more than the first",
    ],
)
def test_a_malformed_file_is_refused_by_line(read, change, reason: str) -> None:
    with pytest.raises(ValueError, match=f"file.amc .*{reason}"):
        read(change(TEXT))


def test_too_many_frames_are_refused(read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_amc, "MAX_VALUES", 30)  # twice the coordinates of five joints
    with pytest.raises(ValueError, match="line 14: it has more than 2 frames"):
        read(TEXT)


@given(st.integers(0, len(TEXT)), st.integers(0, 60), st.text(max_size=12))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_spoilt_file_is_read_or_refused_by_name(
    tmp_path: Path, read, start: int, size: int, inserted: str
) -> None:
    try:
        motion = read(TEXT[:start] + inserted + TEXT[start + size :])
    except ValueError as error:
        assert str(error).startswith(f"The file {tmp_path}")  # noqa: PT017
    else:
        assert torch.isfinite(motion.values).all()
        assert motion.values.shape[1] == 12
