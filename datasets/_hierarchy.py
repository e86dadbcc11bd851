"""The tree of an ASF file's bones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeAlias

from pyg_remul.datasets._numbered_lines import FormatError, Line
from pyg_remul.datasets._skeletons import Bone

__all__ = ["ROOT", "Bones", "depth_first", "read_parents"]

ROOT: Final = "root"

# By name the line on which a bone begins, and the bone, the parent of which is not known yet.
Bones: TypeAlias = dict[str, tuple[int, Bone]]
# By name of a child the line on which it stands, and the parent.
_Parents: TypeAlias = dict[str, tuple[int, str]]


def read_parents(lines: Iterable[Line], bones: Bones) -> _Parents:
    """Reads the hierarchy, on each line a parent and its children.

    Args:
        lines: The lines of the section.
        bones: The bones that there are.

    Returns:
        For each child, in the order of the file, its line and parent.

    Raises:
        FormatError: If a bone is unknown or has two parents.
    """
    parents: _Parents = {}
    for number, (parent, *children) in lines:
        if not children and parent.lower() in ("begin", "end"):
            continue
        for name in (parent, *children):
            if name not in bones and name != ROOT:
                raise FormatError(number, f"the hierarchy names the unknown bone {name[:80]!r}")
        for child in children:
            if child in parents or child == ROOT:
                raise FormatError(
                    number, f"{child!r} cannot have a parent, or another parent, here"
                )
            parents[child] = number, parent
    return parents


def depth_first(root: Bone, bones: Bones, parents: _Parents) -> tuple[Bone, ...]:
    """Orders the bones along the tree.

    Args:
        root: The root.
        bones: The other bones.
        parents: Their parents, children of one parent in their order.

    Returns:
        The root and the bones, depth first, each with the index of its parent.

    Raises:
        FormatError: If bones are not connected to the root.
    """
    children: dict[str, list[str]] = {ROOT: [], **{name: [] for name in bones}}
    for child, (_, parent) in parents.items():
        children[parent].append(child)
    ordered = [root]
    stack = [(name, 0) for name in reversed(children[ROOT])]
    while stack:
        name, parent_index = stack.pop()
        stack += [(child, len(ordered)) for child in reversed(children[name])]
        ordered.append(replace(bones[name][1], parent=parent_index))
    reached = {bone.name for bone in ordered}
    for name, (line, _) in bones.items():
        if name not in reached:
            raise _detached(name, line, parents)
    return tuple(ordered)


def _detached(name: str, line: int, parents: Mapping[str, tuple[int, str]]) -> FormatError:
    """Says why a bone is not reached: for want of a parent, or for a cycle."""
    passed = set()
    while name in parents and name not in passed:
        passed.add(name)
        line, name = parents[name]
    if name in passed:
        return FormatError(line, f"the bone {name!r} is its own ancestor")
    return FormatError(line, f"the bone {name!r} is not connected to the root")
