"""Molecules drawn in a plane."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pyg_remul.molecular_drawing import ELEMENTS, FACE, draw_atoms, draw_bonds, face_on
from pyg_remul.molecules import MOLECULES, load_molecule

FLAT = ("benzene", "naphthalene", "salicylic", "uracil")
ETHENE = torch.tensor([[-0.7, 0.0, 0.0], [0.7, 0.0, 0.0]])


def positions(name):
    return torch.from_numpy(load_molecule(name).positions)


def picture(pos):
    return torch.from_numpy(FACE.project(pos @ face_on(pos).mT)[0])


@pytest.fixture
def axes():
    return Figure().subplots()


def lines(axes):
    """Solid and broken segments."""
    return [c.get_segments() for c in axes.collections if isinstance(c, LineCollection)]


@pytest.mark.parametrize("name", MOLECULES)
def test_view_is_a_rotation(name):
    turn = face_on(positions(name))
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).double(), atol=1e-12, rtol=0)
    assert turn.det().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", FLAT)
def test_flat_molecules_are_seen_face_on(name):
    pos = positions(name)
    distances, seen = torch.pdist(pos), torch.pdist(picture(pos))
    torch.testing.assert_close(seen, distances, atol=0.01, rtol=0)


@pytest.mark.parametrize("name", MOLECULES)
def test_no_atom_hides_another(name):
    assert torch.pdist(picture(positions(name))).min() > 0.6


@pytest.mark.parametrize("name", MOLECULES)
def test_pictures_are_wider_than_high(name):
    width, height = np.ptp(picture(positions(name)).numpy(), axis=0)
    assert width > height


def test_view_turns_with_the_molecule():
    pos = positions("aspirin")
    turn = torch.linalg.qr(torch.randn(3, 3).double()).Q
    turned = picture(pos @ (turn * turn.det()).mT)
    torch.testing.assert_close(torch.pdist(turned), torch.pdist(picture(pos)), atol=0.2, rtol=0)


def test_atoms_have_the_colours_and_letters_of_their_elements(axes):
    z = torch.tensor([1, 6, 7, 8])
    draw_atoms(axes, torch.arange(4.0)[:, None] * torch.tensor([[1.0, 0, 0]]), z, size=10)
    (dots,) = axes.collections[1:]
    assert [tuple(color[:3]) for color in dots.get_facecolor()] == [
        to_rgb(ELEMENTS[number][1]) for number in z.tolist()
    ]
    assert [text.get_text() for text in axes.texts] == ["H", "C", "N", "O"]


def test_hidden_atoms_have_no_letter(axes):
    pos = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.1], [2.0, 0.0, 0.0]])
    draw_atoms(axes, pos, torch.tensor([1, 6, 1]), size=10)
    assert [text.get_text() for text in axes.texts] == ["C", "H"]


def test_letters_can_be_left_out(axes):
    draw_atoms(axes, ETHENE, torch.tensor([6, 6]), size=10, letters=False)
    assert not axes.texts


@pytest.mark.parametrize("order", [1, 2, 3])
def test_bond_has_a_line_for_each_pair_of_electrons(axes, order):
    draw_bonds(axes, ETHENE, torch.tensor([[0], [1]]), torch.tensor([float(order)]))
    solid, broken = lines(axes)
    heights = [segment[0, 1] for segment in solid]
    assert (len(solid), broken) == (order, [])
    assert sum(heights) == pytest.approx(0, abs=1e-12)
    assert len(set(heights)) == order


def test_delocalised_bond_has_a_broken_line_within_its_ring(axes):
    angle = torch.deg2rad(torch.arange(6) * 60.0)
    ring = torch.stack([angle.cos(), torch.zeros(6), angle.sin()], dim=1)
    bonds = torch.stack([torch.arange(6), (torch.arange(6) + 1) % 6])
    draw_bonds(axes, ring, bonds, torch.full((6,), 1.5))
    solid, broken = (np.array(segments) for segments in lines(axes))
    assert len(solid) == len(broken) == 6
    middle = np.linalg.norm(broken.mean(axis=1), axis=1)
    assert (middle < np.linalg.norm(solid.mean(axis=1), axis=1) - 0.1).all()
