"""The page of results."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image, ImageChops

from pyg_remul.reproduction.settings import TargetName

DOCS = Path(__file__).parent.parent / "docs"
OLD = "before\n\n<!-- table2 laptop -->\nold\n<!-- end -->\n\nafter\n"


def draw(path, colour="black"):
    Image.new("RGB", (2, 2), colour).save(path)


@pytest.fixture
def renewed(monkeypatch, tmp_path):
    """Renews a page from the folder `out`."""

    def renew(page=OLD):
        path = tmp_path / "docs" / "results.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(page, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["results.py", str(tmp_path / "out")])
        runpy.run_path(str(DOCS / "results.py"))["main"](path)
        return path.read_text(encoding="utf-8")

    return renew


@pytest.fixture
def out(tmp_path):
    """What the target table2 wrote at one scale."""
    folder = tmp_path / "out" / "table2-laptop"
    folder.mkdir(parents=True)
    (folder / "table.md").write_text("| MSE ± sd |\n", encoding="utf-8")
    return folder


def test_table_takes_the_place_of_the_old(renewed, out):
    place = "<!-- table2 laptop -->\n\n| MSE ± sd |\n\n<!-- end -->"
    assert renewed() == f"before\n\n{place}\n\nafter\n"


def test_page_can_be_renewed_again(renewed, out):
    first = renewed()
    assert renewed(first) == first


def test_place_of_figures_alone_has_no_table(renewed, out):
    for name in ("figure.png", "figure-E.png"):
        draw(out / name)
    page = renewed(OLD.replace("laptop -->", "laptop figures -->"))
    assert "MSE" not in page
    assert re.findall(r"results/[\w-]+\.png", page) == [
        "results/table2-laptop-figure.png",
        "results/table2-laptop-figure-E.png",
    ]


def test_place_of_another_scale_is_left(renewed, out):
    page = OLD.replace("laptop", "paper")
    assert renewed(page) == page


def test_results_on_other_data_follow_in_the_place_of_their_target(renewed, out):
    for name in ("table2-5000-laptop", "table2-xtb-ethanol-laptop", "table2-5000-paper"):
        (out.parent / name).mkdir()
        (out.parent / name / "table.md").write_text(f"from {name}\n", encoding="utf-8")
        draw(out.parent / name / "E.png")
    page = renewed()
    words = ("MSE", "from table2-5000-laptop", "-5000-laptop-E.png", "from table2-xtb", "after")
    places = [page.index(word) for word in words]
    assert places == sorted(places)
    assert "5000-paper" not in page


def test_usual_number_of_frames_is_before_another(renewed, out):
    for name in ("table2-xtb-5000-laptop", "table2-xtb-laptop"):
        (out.parent / name).mkdir()
        (out.parent / name / "table.md").write_text(f"from {name}\n", encoding="utf-8")
    page = renewed()
    assert page.index("from table2-xtb-laptop") < page.index("from table2-xtb-5000-laptop")


def test_place_does_not_take_the_results_of_another_target():
    for target in get_args(TargetName):
        assert not [name for name in get_args(TargetName) if name.startswith(f"{target}-")]


def test_figures_are_copied_and_shown_below_the_table(renewed, out, tmp_path):
    draw(out / "E.png", "red")
    draw(out / "E_prime.png", "blue")
    (out / "E.svg").touch()
    page = renewed()
    shown = re.findall(r"!\[(.*?)\]\((.*?)\)", page)
    assert shown == [
        ("table2-laptop, E", "results/table2-laptop-E.png"),
        ("table2-laptop, E_prime", "results/table2-laptop-E_prime.png"),
    ]
    colours = [
        Image.open(tmp_path / "docs" / path).convert("RGB").getpixel((0, 0)) for _, path in shown
    ]
    assert colours == [(255, 0, 0), (0, 0, 255)]
    assert page.index("MSE") < page.index("![")


def test_copied_figure_has_a_palette_and_looks_the_same(renewed, out, tmp_path):
    shades = Image.linear_gradient("L").convert("RGB").resize((256, 300))
    shades.save(out / "E.png")
    renewed()
    with Image.open(tmp_path / "docs" / "results" / "table2-laptop-E.png") as copied:
        assert (copied.mode, copied.size) == ("P", shades.size)
        difference = ImageChops.difference(copied.convert("RGB"), shades)
    assert max(high for _, high in difference.getextrema()) <= 2


def test_target_may_have_figures_alone(renewed, out):
    (out / "table.md").unlink()
    draw(out / "E.png")
    assert "old" not in renewed()


def test_unfinished_picture_of_another_writer_is_not_shown(renewed, out):
    draw(out / ".E.0123456789abcdef.png")
    assert "![" not in renewed()


def test_places_of_the_page_name_targets_and_scales():
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    places = re.findall(r"<!-- ([\w-]+) (\w+)(?: figures)? -->\n", page)
    assert len(places) == page.count("<!-- end -->") > 10
    assert {scale for _, scale in places} <= {"laptop", "paper"}
