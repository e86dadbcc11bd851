"""Reading ASF files."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias, TypeVar

from pyg_remul.datasets._hierarchy import ROOT, Bones, depth_first, read_parents
from pyg_remul.datasets._numbered_lines import (
    FormatError,
    Line,
    naming,
    numbered_lines,
    parse_numbers,
)
from pyg_remul.datasets._skeletons import Angle, Bone, Skeleton

__all__ = ["read_asf"]

# Characters of a file and bones of a skeleton; those of CMU have 9,000 and 30.
MAX_SIZE = 2**20
MAX_BONES = 512

_ANGLES: Final[dict[str, Angle]] = {"deg": "deg", "rad": "rad"}
_ORDERS: Final = {order: order for order in ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")}
_ROTATIONS = ("RX", "RY", "RZ")
_TRANSLATIONS = ("TX", "TY", "TZ")
_SECTIONS = ("units", "root", "bonedata", "hierarchy")
_ROOT_KEYWORDS = ("order", "axis", "position", "orientation")
_BONE_KEYWORDS = ("name", "direction", "length", "axis", "dof")
# Commas and brackets are white space in the definition of the format.
_BLANKS: Final = str.maketrans(",()", "   ")

_T = TypeVar("_T")
_Vector: TypeAlias = tuple[float, float, float]
# The line on which a section or a bone begins, and its lines.
_Block: TypeAlias = tuple[int, list[Line]]


def read_asf(path: str | os.PathLike[str]) -> Skeleton:
    r"""Reads a skeleton from an ASF file.

    Args:
        path: The file.

    Returns:
        The skeleton, its bones in depth-first order, children as the file lists them.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is malformed or uses what is not supported: a root with a position
            or orientation of its own, bones that slide or stretch. Names the file, the line and the
            reason.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> text = '''
        ... :name pendulum
        ... :units
        ...   length 0.45
        ...   angle deg
        ... :root
        ...   order TX TY TZ RX RY RZ
        ...   axis XYZ
        ... :bonedata
        ...   begin
        ...     name rod
        ...     direction 0 -1 0
        ...     length 2.5
        ...     axis 0 0 90 XYZ
        ...     dof rz
        ...   end
        ... :hierarchy
        ...   root rod
        ... '''
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "pendulum.asf"
        ...     _ = path.write_text(text)
        ...     skeleton = read_asf(path)
        >>> skeleton.joints, skeleton.lengths.tolist()
        (('root', 'rod'), [0.0, 2.5])
    """
    with naming(path):
        sections = _split_sections(numbered_lines(path, MAX_SIZE))
        angle, length = _read_units(sections["units"])
        root = _read_root(sections["root"])
        bones = _read_bones(sections["bonedata"], angle)
        parents = read_parents(sections["hierarchy"][1], bones)
        _, name = sections.get("name", (0, []))
        joined = " ".join(token for _, tokens in name for token in tokens)
        return Skeleton(joined, depth_first(root, bones, parents), angle, length)


def _split_sections(lines: Iterable[Line]) -> dict[str, _Block]:
    sections: dict[str, _Block] = {}
    current: list[Line] | None = None
    for number, tokens in lines:
        if tokens[0].startswith(":"):
            keyword = tokens.pop(0)[1:].lower()
            if keyword in sections:
                raise FormatError(number, f"the section `:{keyword}` appears twice")
            current = []
            sections[keyword] = number, current
        if current is None:
            raise FormatError(number, "a section such as `:units` must come first")
        if tokens:
            current.append((number, tokens))
    for keyword in _SECTIONS:
        if keyword not in sections:
            raise FormatError(None, f"it has no section `:{keyword}`")
    return sections


def _read_units(block: _Block) -> tuple[Angle, float]:
    begin, fields = block[0], _fields(block, ("length", "angle"))
    line, tokens = _field(begin, fields, "length", 1)
    (length,) = parse_numbers(line, tokens)
    if not 1e-6 <= length <= 1e6:
        raise FormatError(line, f"the unit of length must be between 1e-6 and 1e6, got {length}")
    line, tokens = _field(begin, fields, "angle", 1)
    return _choice(line, tokens[0].lower(), _ANGLES), length


def _read_root(block: _Block) -> Bone:
    begin, fields = block[0], _fields(block, _ROOT_KEYWORDS)
    for keyword in ("position", "orientation"):
        line, tokens = fields.get(keyword, (begin, []))
        if any(parse_numbers(line, tokens)):
            raise FormatError(line, f"a root with a `{keyword}` other than zero is not supported")
    line, tokens = _field(begin, fields, "axis", 1)
    order = _choice(line, tokens[0].upper(), _ORDERS)
    line, tokens = _field(begin, fields, "order")
    if not tokens:
        raise FormatError(line, "`order` takes at least 1 value, got 0")
    dof = _read_dof(line, tokens, _TRANSLATIONS + _ROTATIONS)
    return Bone(ROOT, -1, (0.0, 0.0, 0.0), 0.0, (0.0, 0.0, 0.0), order, dof)


def _read_bones(block: _Block, angle: Angle) -> Bones:
    bones: Bones = {}
    for begin, lines in _split_bones(block[1]):
        bone = _read_bone((begin, lines), angle)
        if bone.name in bones:
            raise FormatError(begin, f"the bone {bone.name!r} is defined twice")
        if len(bones) == MAX_BONES:
            raise FormatError(begin, f"it has more than {MAX_BONES} bones")
        bones[bone.name] = begin, bone
    return bones


def _split_bones(lines: Iterable[Line]) -> Iterator[_Block]:
    """The lines between each ``begin`` and ``end``."""
    begin = 0
    body: list[Line] | None = None
    for number, tokens in lines:
        keyword = tokens[0].lower()
        if (keyword == "begin") != (body is None):
            raise FormatError(number, "a bone must stand between `begin` and `end`")
        if body is None:
            begin, body = number, []
        elif keyword == "end":
            yield begin, body
            body = None
        else:
            body.append((number, tokens))
    if body is not None:
        raise FormatError(begin, "the bone has no `end`")


def _read_bone(block: _Block, angle: Angle) -> Bone:
    begin, fields = block[0], _fields(block, _BONE_KEYWORDS)
    line, (name,) = _field(begin, fields, "name", 1)
    if name == ROOT or name.isdecimal() or name.startswith(":"):
        raise FormatError(line, f"a bone cannot have the name {name!r}")
    line, tokens = _field(begin, fields, "direction", 3)
    direction = _vector(line, tokens)
    if not math.isclose(norm := math.hypot(*direction), 1, abs_tol=0.01):
        raise FormatError(line, f"the direction must be a unit vector, got one of length {norm:g}")
    line, tokens = _field(begin, fields, "length", 1)
    (length,) = parse_numbers(line, tokens)
    if length < 0:
        raise FormatError(line, f"the length must not be negative, got {length:g}")
    line, (*tokens, order) = _field(begin, fields, "axis", 4)
    x, y, z = _vector(line, tokens)
    axis = (math.radians(x), math.radians(y), math.radians(z)) if angle == "deg" else (x, y, z)
    axis_order = _choice(line, order.upper(), _ORDERS)
    dof = _read_dof(*fields.get("dof", (begin, [])), _ROTATIONS)
    return Bone(name, -1, direction, length, axis, axis_order, dof)


def _read_dof(line: int, tokens: list[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
    choices = {token: token for token in allowed}
    dof = tuple(_choice(line, token.upper(), choices) for token in tokens)
    if len(set(dof)) < len(dof):
        raise FormatError(line, "a degree of freedom appears twice")
    return dof


def _fields(block: _Block, keywords: Iterable[str]) -> dict[str, Line]:
    """The lines that begin with one of the keywords; the format has others, of no use here."""
    fields: dict[str, Line] = {}
    for number, (keyword, *tokens) in block[1]:
        if (key := keyword.lower()) in keywords:
            if key in fields:
                raise FormatError(number, f"`{key}` appears twice")
            fields[key] = number, " ".join(tokens).translate(_BLANKS).split()
    return fields


def _field(begin: int, fields: dict[str, Line], keyword: str, num: int | None = None) -> Line:
    if keyword not in fields:
        raise FormatError(begin, f"`{keyword}` is missing in what begins here")
    line, tokens = fields[keyword]
    if num is not None and len(tokens) != num:
        raise FormatError(line, f"`{keyword}` takes {num} values, got {len(tokens)}")
    return line, tokens


def _vector(line: int, tokens: list[str]) -> _Vector:
    x, y, z = parse_numbers(line, tokens)
    return x, y, z


def _choice(line: int, token: str, choices: Mapping[str, _T]) -> _T:
    if token not in choices:
        raise FormatError(line, f"{token[:80]!r} is none of {', '.join(choices)}")
    return choices[token]
