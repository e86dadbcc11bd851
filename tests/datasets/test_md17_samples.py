from __future__ import annotations

from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch
from trajectories import ETHANOL, arrays, write

from pyg_remul.datasets._md17_samples import molecular_graph, read_labels, read_positions

T = np.array([500, 7, 999 - 30, 7])
HEAVY = ETHANOL.numbers > 1


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_inputs_and_targets_are_frames(tmp_path: Path, dtype: str) -> None:
    x = arrays()["R"].astype(dtype).astype(float)[:, HEAVY]
    path = write(tmp_path, R=arrays()["R"].astype(dtype))
    first, fields = read_positions(path, T, 30, HEAVY, progress=False)
    assert np.array_equal(first, x[0])
    assert np.array_equal(fields["pos"], x[T])
    assert np.array_equal(fields["vel"], x[T + 1] - x[T])
    assert np.array_equal(fields["y"], x[T + 30])


def test_energies_keep_their_precision(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path), ["energy"], T, HEAVY, progress=False)
    assert labels["energy"].shape == (4, 1, 1)
    assert np.array_equal(labels["energy"].numpy().ravel(), arrays()["E"][T, 0])


def test_forces_are_those_of_the_input_frames(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path), ["force"], T, HEAVY, progress=False)
    assert np.array_equal(labels["force"], arrays()["F"][T][:, HEAVY].astype(np.float32))


@pytest.mark.parametrize(("name", "member"), [("energy", "E"), ("force", "F")])
def test_labels_that_a_file_lacks_are_refused(tmp_path: Path, name: str, member: str) -> None:
    path = write(tmp_path, **{member: None})
    with pytest.raises(ValueError, match=rf"refused: it has no array `{member}`, .*`{name}=True`"):
        read_labels(path, [name], T, HEAVY, progress=False)


def graph_of(atoms: ase.Atoms) -> dict[str, torch.Tensor]:
    return molecular_graph(torch.tensor(atoms.positions), torch.tensor(atoms.numbers))


def test_bonds_of_ethanol_are_hops_of_one() -> None:
    graph = graph_of(ETHANOL[HEAVY])
    hops = dict(zip(map(tuple, graph["edge_index"].T.tolist()), graph["edge_attr"], strict=True))
    z = ETHANOL.numbers
    bonds = {pair for pair, attr in hops.items() if attr[2] == 1}
    carbons, oxygen = [i for i in range(3) if z[i] == 6], int((z == 8).argmax())
    ends = [i for i in carbons if (i, oxygen) not in bonds]
    assert len(bonds) == 4
    assert {pair for pair, attr in hops.items() if attr[2] == 2} == {
        (ends[0], oxygen),
        (oxygen, ends[0]),
    }


def test_edges_begin_with_the_element_that_receives() -> None:
    graph = graph_of(ETHANOL)
    source, target = graph["edge_index"]
    expected = torch.stack([graph["z"][target], graph["z"][source]], dim=1).float()
    assert torch.equal(graph["edge_attr"][:, :2], expected)


@pytest.mark.parametrize(
    ("name", "num_bonds"), [("C6H6", 12), ("CH3CH2OH", 8), ("H2O", 2), ("CH4", 4)]
)
def test_hydrogen_is_bonded_once(name: str, num_bonds: int) -> None:
    graph = graph_of(ase.build.molecule(name))
    assert int((graph["edge_attr"][:, 2] == 1).sum()) == 2 * num_bonds


def test_charges_are_relative_to_the_largest() -> None:
    graph = graph_of(ETHANOL)
    assert torch.equal(graph["charge"], (graph["z"] / 8).float()[:, None])
