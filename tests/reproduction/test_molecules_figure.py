"""The figures of the molecules."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest
import torch

from pyg_remul.reproduction import molecules_figure
from pyg_remul.reproduction.molecules_figure import draw_molecules

TITLES = [
    "aspirin, C$_{9}$H$_{8}$O$_{4}$",
    "benzene, C$_{6}$H$_{6}$",
    "ethanol, C$_{2}$H$_{6}$O",
    "malonaldehyde, C$_{3}$H$_{4}$O$_{2}$",
    "naphthalene, C$_{10}$H$_{8}$",
    "salicylic acid, C$_{7}$H$_{6}$O$_{3}$",
    "toluene, C$_{7}$H$_{8}$",
    "uracil, C$_{4}$H$_{4}$N$_{2}$O$_{2}$",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("molecules") / "new"
    draw_molecules(folder, dpi=40)
    return folder


@pytest.fixture
def figures(monkeypatch, tmp_path):
    """The flat and the solid figure."""
    saved = []
    monkeypatch.setattr(
        molecules_figure, "save_figures", lambda figure, _: saved.append(figure) or []
    )
    draw_molecules(tmp_path, dpi=20)
    return saved


def test_both_are_saved_as_png_and_svg(folder):
    names = [f"molecules-{kind}.{ending}" for kind in ("2d", "3d") for ending in ("png", "svg")]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_files_are_told(tmp_path):
    assert {path.parent for path in draw_molecules(tmp_path, dpi=20)} == {tmp_path}


@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_pictures_are_seven_inches_wide(folder, kind):
    image = matplotlib.image.imread(folder / f"molecules-{kind}.png")
    assert image.shape[1] == 7 * 300
    assert image[..., :3].std() > 0.05


def test_every_molecule_is_named_with_its_formula(figures):
    for figure in figures:
        assert [axes.texts[-1].get_text() for axes in figure.axes] == TITLES


def test_molecules_have_one_scale(figures):
    for figure in figures:
        scales = set()
        for axes in figure.axes:
            box = axes.get_window_extent()
            scales |= {
                round(box.width / (axes.get_xlim()[1] - axes.get_xlim()[0]), 6),
                round(box.height / (axes.get_ylim()[1] - axes.get_ylim()[0]), 6),
            }
        assert max(scales) - min(scales) < 1e-3


def test_molecules_are_within_their_panels(figures):
    for axes in figures[1].axes:
        (image,) = axes.get_images()
        edges = image.get_array()[..., 3]
        assert not edges[[0, -1]].any()
        assert not edges[:, [0, -1]].any()


def test_letters_are_large_enough_to_read(figures):
    sizes = [text.get_fontsize() for axes in figures[0].axes for text in axes.texts]
    assert min(sizes) > 4.5


def test_no_atom_hides_another_in_the_solid_figure(monkeypatch, tmp_path):
    drawn = []

    def render(centres, radii, *arguments, **options):
        drawn.append((torch.from_numpy(centres[:, :2]), radii.max()))
        return np.zeros((1, 1, 4))

    monkeypatch.setattr(molecules_figure, "render_balls_and_sticks", render)
    draw_molecules(tmp_path, dpi=20)
    assert len(drawn) == len(TITLES)
    for centres, radius in drawn:
        assert torch.pdist(centres).min() > 1.4 * radius  # at least 0.17 A of a hydrogen show
