"""Puts what was reproduced into the places of docs/results.md, tables and figures.

Run: python docs/results.py [FOLDER], after pyg-remul reproduce TARGET [--out FOLDER] for each
target. The place of a target takes its results on all data, such as of several numbers of frames,
without their tables if it ends in "figures". Places of what the folder lacks stay as they are.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from PIL import Image

from pyg_remul.files import replacing, write_text

PAGE = Path(__file__).with_suffix(".md")
PLACE = re.compile(
    r"<!-- (?P<target>[\w-]+) (?P<scale>\w+)(?P<bare> figures)? -->\n.*?<!-- end -->", re.DOTALL
)


def main(page: Path = PAGE) -> None:
    """Rewrites the page, and copies the pictures that it shows to the folder of its name."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/reproduce")

    def renew(place: re.Match[str]) -> str:
        parts = [
            part
            for found in find_results(folder, place["target"], place["scale"])
            for part in (
                *([] if place["bare"] else read_table(found)),
                *show_figures(found, page.with_suffix("")),
            )
        ]
        if not parts:
            return place[0]
        return "\n\n".join([place[0].splitlines()[0], *parts, "<!-- end -->"])

    write_text(page, PLACE.sub(renew, page.read_text(encoding="utf-8")))


def find_results(folder: Path, target: str, scale: str) -> list[Path]:
    """The folders of a target: TARGET-SCALE, and then TARGET-SPECIAL-SCALE, short names first."""
    special = sorted(folder.glob(f"{target}-*-{scale}"), key=lambda found: (len(str(found)), found))
    return [folder / f"{target}-{scale}", *special]


def read_table(folder: Path) -> list[str]:
    """The table of a target, if it has one."""
    path = folder / "table.md"
    return [path.read_text(encoding="utf-8").strip()] if path.exists() else []


def show_figures(folder: Path, pictures: Path) -> list[str]:
    """Copies the figures of a target in 256 colours, a third of their size, and refers to them."""
    shown = []
    for path in sorted(folder.glob("[!.]*.png"), key=lambda path: path.stem):
        copied = pictures / f"{folder.name}-{path.name}"
        with replacing(copied) as temporary, Image.open(path) as picture:
            picture.convert("RGB").quantize(256).save(temporary, "PNG", optimize=True)
        shown.append(f"![{folder.name}, {path.stem}]({pictures.name}/{copied.name})")
    return shown


if __name__ == "__main__":
    main()
