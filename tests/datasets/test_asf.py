from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skeleton_files import ASF, JOINTS, write

from pyg_remul.datasets.asf_amc import Skeleton, read_asf

BONE = "begin\n name {}\n direction 0 1 0\n length 1\n axis 0 0 0 XYZ\nend\n"
FRAME = ":units\nlength 1\nangle deg\n:root\norder TX\naxis XYZ\n:bonedata\n{}:hierarchy\n{}"


def read(folder: Path, text: str) -> Skeleton:
    return read_asf(write(folder / "file.asf", text))


def read_tree(folder: Path, names: str, *hierarchy: str) -> Skeleton:
    """A skeleton of equal bones."""
    bones = "".join(BONE.format(name) for name in names)
    return read(folder, FRAME.format(bones, "\n".join(hierarchy)))


def test_bones_are_in_depth_first_order(tmp_path: Path) -> None:
    skeleton = read(tmp_path, ASF)
    assert skeleton.joints == JOINTS
    assert skeleton.parents == (-1, 0, 1, 0, 0)


def test_children_keep_their_order_at_any_depth(tmp_path: Path) -> None:
    skeleton = read_tree(tmp_path, "abcde", "root a", "a c b e", "b d")
    assert "".join(skeleton.joints[1:]) == "acbde"


def test_a_skeleton_holds_what_the_file_says(tmp_path: Path) -> None:
    skeleton = read(tmp_path, ASF)
    spine = skeleton.bones[4]
    assert (skeleton.name, skeleton.angle, skeleton.length) == ("Two Legs", "deg", 0.45)
    assert (spine.direction, spine.length, spine.axis_order) == ((0, 1, 0), 4, "XYZ")
    assert spine.axis == pytest.approx((math.pi / 18, math.pi / 9, math.pi / 6), abs=1e-15)
    assert spine.dof == ("RX", "RY", "RZ")
    assert skeleton.lengths.tolist() == [0, 2.5, 1.25, 2.5, 4]
    assert skeleton.directions[1].tolist() == [0.6, -0.8, 0]


def test_channels_are_the_columns_of_a_motion(tmp_path: Path) -> None:
    skeleton = read(tmp_path, ASF)
    assert skeleton.channels == {
        "root": slice(0, 6),
        "lleg": slice(6, 8),
        "rleg": slice(8, 9),
        "spine": slice(9, 12),
    }
    assert skeleton.num_channels == 12


def test_edges_are_the_bones(tmp_path: Path) -> None:
    skeleton = read(tmp_path, ASF)
    assert skeleton.edge_index.tolist() == [[0, 1, 0, 0], [1, 2, 3, 4]]


def test_a_unit_of_cmu_is_fifty_six_millimetres(tmp_path: Path) -> None:
    assert read(tmp_path, ASF).metres == pytest.approx(0.0564444, abs=1e-7)


def test_a_skeleton_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="cannot assign to field 'name'"):
        read(tmp_path, ASF).name = "other"


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(" ", "\t "),
        lambda text: text.replace("\n", "  \n\n"),
        lambda text: text.replace("\n", " # note\n"),
        lambda text: text.replace("dof rx", "DOF RX").replace(":units", ":UNITS"),
        lambda text: text.replace("10 20 30 XYZ", "(10, 20, 30) xyz"),
        lambda text: text.replace("   position 0 0 0\n   orientation 0 0 0\n", ""),
        lambda text: text.replace("  begin\n    root", "    root").replace("lfoot\n  end", "lfoot"),
        lambda text: text.replace("lleg rleg spine\n", "lleg\n root rleg\nroot spine\n"),
        lambda text: text + ":skin\n  other data\n",
        lambda text: text.replace(" id 1\n", " bodymass 10\n cofmass 1\n"),
    ],
    ids=[
        "carriage returns",
        "byte order mark",
        "tabs",
        "blank lines",
        "comments",
        "capitals",
        "brackets",
        "no offset",
        "bare hierarchy",
        "one child a line",
        "more sections",
        "more keywords",
    ],
)
def test_the_way_of_writing_does_not_matter(tmp_path: Path, rewrite) -> None:
    assert rewrite(ASF) != ASF
    assert read(tmp_path, rewrite(ASF)) == read(tmp_path, ASF)


def test_radians_are_left_alone(tmp_path: Path) -> None:
    skeleton = read(tmp_path, ASF.replace("angle deg", "angle rad"))
    assert skeleton.angle == "rad"
    assert skeleton.bones[4].axis == (10, 20, 30)


def test_orders_are_kept(tmp_path: Path) -> None:
    text = ASF.replace("order TX TY TZ RX RY RZ", "order RX RY RZ TX TY TZ")
    text = text.replace("10 20 30 XYZ", "10 20 30 ZYX").replace("dof rx rz", "dof rz rx")
    root, lleg, *_, spine = read(tmp_path, text).bones
    assert root.dof == ("RX", "RY", "RZ", "TX", "TY", "TZ")
    assert lleg.dof == ("RZ", "RX")
    assert spine.axis_order == "ZYX"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (":units", ":unit", "file.asf is refused: it has no section `:units`"),
        (":root\n", ":base\n", "is refused: it has no section `:root`"),
        (":bonedata", ":bones", "is refused: it has no section `:bonedata`"),
        (":hierarchy", ":tree", "is refused: it has no section `:hierarchy`"),
        ("# a comment", "comment", "line 1: a section such as `:units` must come first"),
        (":hierarchy", ":root\n:hierarchy", "line 50: the section `:root` appears twice"),
        ("  length 0.45\n", "", "line 4: `length` is missing"),
        ("length 0.45", "length 0", "line 6: the unit of length must be between 1e-6 and 1e6"),
        ("length 0.45", "length", "line 6: `length` takes 1 values, got 0"),
        ("angle deg", "angle grad", "line 7: 'grad' is none of deg, rad"),
        ("position 0 0 0", "position 0 1 0", "line 13: a root with a `position` other than zero"),
        ("orientation 0 0 0", "orientation 9 0 0", "line 14: a root with a `orientation` other"),
        ("axis XYZ\n   pos", "axis XXY\n   pos", "line 12: 'XXY' is none of XYZ, XZY"),
        ("order TX TY", "order TX TX", "line 11: a degree of freedom appears twice"),
        ("order TX TY TZ RX RY RZ", "order", "line 11: `order` takes at least 1 value"),
        ("order TX", "order QX", "line 11: 'QX' is none of TX"),
        ("     name spine\n", "", "line 16: `name` is missing"),
        ("name spine", "name", "line 18: `name` takes 1 values, got 0"),
        ("name spine", "name root", "line 18: a bone cannot have the name 'root'"),
        ("name spine", "name 12", "line 18: a bone cannot have the name '12'"),
        ("name lleg", "name spine", "line 27: the bone 'spine' is defined twice"),
        ("     direction 0 1 0\n", "", "line 16: `direction` is missing"),
        ("direction 0 1 0", "direction 0 0 0", "line 19: .* unit vector, got one of length 0"),
        ("direction 0 1 0", "direction 0 1", "line 19: `direction` takes 3 values, got 2"),
        ("direction 0 1 0", "direction 0 nan 0", "line 19: '0 nan 0' are not all finite"),
        ("direction 0 1 0", "direction 0 a 0", "line 19: '0 a 0' are not all numbers"),
        ("length 4", "length -4", "line 20: the length must not be negative, got -4"),
        ("length 4", "length inf", "line 20: 'inf' are not all finite"),
        ("length 4", "length 4\nlength 5", "line 21: `length` appears twice"),
        ("10 20 30 XYZ", "10 20 30", "line 21: `axis` takes 4 values, got 3"),
        ("10 20 30 XYZ", "10 20 30 40", "line 21: '40' is none of XYZ"),
        ("dof rx ry rz", "dof rx ry tz", "line 22: 'TZ' is none of RX, RY, RZ"),
        ("dof rx ry rz", "dof rx rx", "line 22: a degree of freedom appears twice"),
        ("  begin\n     id 2", "     id 2", "line 27: a bone must stand between `begin` and"),
        ("30.0)\n  end", "30.0)", "line 26: a bone must stand between `begin` and `end`"),
        ("    dof rx\n  end", "    dof rx", "line 42: the bone has no `end`"),
        ("lleg lfoot", "lleg toes", "line 53: the hierarchy names the unknown bone 'toes'"),
        ("lleg lfoot", "toes lfoot", "line 53: the hierarchy names the unknown bone 'toes'"),
        ("lleg lfoot", "rleg lleg", "line 53: 'lleg' cannot have a parent, or another"),
        ("lleg lfoot", "lleg root", "line 53: 'root' cannot have a parent"),
        ("    lleg lfoot\n", "", "line 35: the bone 'lfoot' is not connected to the root"),
    ],
    ids=lambda value: re.sub(r"\s+", " ", value)[:40] if isinstance(value, str) else "",
)
def test_a_malformed_file_is_refused_by_line(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert ASF.count(old) >= 1
    with pytest.raises(ValueError, match=reason):
        read(tmp_path, ASF.replace(old, new, 1))


@pytest.mark.parametrize(
    "hierarchy",
    [("a a",), ("a b", "b a"), ("root c", "a b", "b a")],
    ids=["own parent", "of two", "beside the tree"],
)
def test_a_cycle_is_refused(tmp_path: Path, hierarchy: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"file.asf is refused at line \d+: .* its own ancestor"):
        read_tree(tmp_path, "abc", *hierarchy)


def test_a_bone_that_hangs_from_a_loose_one_names_the_loose_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="line 14: the bone 'b' is not connected to the root"):
        read_tree(tmp_path, "abc", "root a", "b c")


def test_a_deep_tree_is_read(tmp_path: Path) -> None:
    names = [f"b{index}" for index in range(512)]
    chain = [f"{a} {b}" for a, b in zip(["root", *names], names, strict=False)]
    bones = "".join(map(BONE.format, names))
    skeleton = read(tmp_path, FRAME.format(bones, "\n".join(chain)))
    assert skeleton.parents == tuple(range(-1, 512))


def test_too_many_bones_are_refused(tmp_path: Path) -> None:
    bones = "".join(BONE.format(f"b{index}") for index in range(513))
    with pytest.raises(ValueError, match=r"line 3080: it has more than 512 bones"):
        read(tmp_path, FRAME.format(bones, "root b0"))


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the file is longer than 1048576 characters"):
        read(tmp_path, ":documentation\n" + "more\n" * 300_000)


@st.composite
def trees(draw: st.DrawFn) -> list[int]:
    """The parent of each of some bones, of which bone 0 is the root."""
    return [draw(st.integers(0, index)) for index in range(draw(st.integers(1, 20)))]


@given(trees())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(tmp_path: Path, parents: list[int]) -> None:
    lines = [f"{f'b{p - 1}' if p else 'root'} b{child}" for child, p in enumerate(parents)]
    bones = "".join(BONE.format(f"b{child}") for child in range(len(parents)))
    skeleton = read(tmp_path, FRAME.format(bones, "\n".join(lines)))
    names = ["root", *(f"b{child}" for child in range(len(parents)))]
    expected = {f"b{child}": names[p] for child, p in enumerate(parents)}
    found = dict(zip(skeleton.joints, (skeleton.joints[p] for p in skeleton.parents), strict=True))
    assert all(parent < joint for joint, parent in enumerate(skeleton.parents))
    assert {name: found[name] for name in expected} == expected


@given(st.integers(0, len(ASF)), st.integers(0, 60), st.text(max_size=12))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_spoilt_file_is_read_or_refused_by_name(
    tmp_path: Path, start: int, size: int, inserted: str
) -> None:
    try:
        skeleton = read(tmp_path, ASF[:start] + inserted + ASF[start + size :])
    except ValueError as error:
        assert str(error).startswith(f"The file {tmp_path}")  # noqa: PT017
    else:
        assert torch.isfinite(skeleton.directions).all()
