"""The layers of the perceptrons on tensors, against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import silu

from pyg_remul import SO3
from pyg_remul.models._tensor_layers import BilinearLayer, GatedNonlinearity, LeakyGate
from pyg_remul.models._tensor_representation import TensorRepresentation, TensorTerm

TENSORS = TensorRepresentation(
    (TensorTerm(0, 1, 5), TensorTerm(1, 1, 4), TensorTerm(2, 1, 2), TensorTerm(3, 1, 1))
)


def turned(representation, x, rotation):
    """Applies a rotation to every index of every tensor."""
    parts = []
    for term, part in zip(representation.terms, representation.split(x), strict=True):
        tensors = part.unflatten(-1, (3,) * term.rank) if term.rank else part.squeeze(-1)
        for axis in range(2, 2 + term.rank):
            tensors = (tensors.movedim(axis, -1) @ rotation.T).movedim(-1, axis)
        parts.append(tensors.flatten(1))
    return torch.cat(parts, dim=1)


def coefficients(layer):
    """The coefficients of every pair of ranks, [n_a, K, n_b]."""
    found = {}
    for (a, partners), weight in zip(layer.contracting.items(), layer.contractions, strict=True):
        sizes = [layer.drawn[a + b] * layer.counts[b] for b in partners]
        for b, part in zip(partners, weight.split(sizes, dim=1), strict=True):
            found[a, b] = part.unflatten(1, (layer.drawn[a + b], layer.counts[b]))
    for (b, partners), weight in zip(layer.expanding.items(), layer.expansions, strict=True):
        sizes = [layer.counts[a] * layer.drawn[a + b] for a in partners]
        for a, part in zip(partners, weight.split(sizes, dim=0), strict=True):
            found[a, b] = part.unflatten(0, (layer.counts[a], layer.drawn[a + b]))
    return found


def test_bilinear_layer_follows_the_formula():
    layer, x = BilinearLayer(TENSORS).double(), torch.randn(2, TENSORS.size, dtype=torch.float64)
    tensors = dict(enumerate(TENSORS.split(x)))
    expected = {rank: torch.zeros_like(part) for rank, part in tensors.items()}
    for (a, b), c in coefficients(layer).items():
        factors = tensors[a + b][:, layer.get_buffer(f"drawn_{a + b}")].unflatten(2, (3**a, 3**b))
        expected[a] += torch.einsum("ikj,Bkpq,Bjq->Bip", c, factors, tensors[b])
    joined = torch.cat([part.flatten(1) for part in expected.values()], dim=1)
    torch.testing.assert_close(layer(x), joined, rtol=1e-12, atol=1e-12)


def test_every_pair_of_ranks_whose_sum_occurs_has_coefficients():
    pairs = {(a, b) for a in range(4) for b in range(4) if 0 < a + b <= 3}
    assert set(coefficients(BilinearLayer(TENSORS))) == pairs


@pytest.mark.parametrize(("width", "count"), [(532, 102_105), (348, 60_099)])
def test_bilinear_layer_has_the_published_number_of_coefficients(width, count):
    layer = BilinearLayer(TensorRepresentation.evenly(width, "SO3").gated())
    assert sum(parameter.numel() for parameter in layer.parameters()) == count


def test_at_most_as_many_tensors_are_drawn_as_a_rank_has_components():
    layer = BilinearLayer(TensorRepresentation.evenly(532, "SO3").gated())
    assert layer.drawn == {1: 3, 2: 9, 3: 4, 4: 1}


def test_drawn_tensors_are_in_range_and_part_of_the_state():
    state = BilinearLayer(TENSORS).state_dict()
    for rank, count in {1: 4, 2: 2, 3: 1}.items():
        assert 0 <= state[f"drawn_{rank}"].min() <= state[f"drawn_{rank}"].max() < count


def test_drawn_tensors_differ_from_layer_to_layer():
    drawn = {tuple(BilinearLayer(TENSORS).drawn_1.tolist()) for _ in range(20)}
    assert len(drawn) > 1


def test_coefficients_start_standard_normal():
    layer = BilinearLayer(TensorRepresentation.evenly(348, "SO3").gated())
    values = torch.cat([parameter.flatten() for parameter in layer.parameters()])
    assert values.mean().item() == pytest.approx(0, abs=0.02)
    assert values.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("make", [BilinearLayer, GatedNonlinearity], ids=["bilinear", "gate"])
def test_layer_commutes_with_rotations(make):
    layer = make(TENSORS).double()
    source = TENSORS if make is BilinearLayer else TENSORS.gated()
    x = torch.randn(2, source.size, dtype=torch.float64)
    rotation = SO3().sample(1, dtype=torch.float64).matrix[0]
    expected = turned(TENSORS, layer(x), rotation)
    torch.testing.assert_close(layer(turned(source, x, rotation)), expected, rtol=0, atol=1e-11)


def test_bilinear_layer_is_quadratic():
    layer, x = BilinearLayer(TENSORS).double(), torch.randn(2, TENSORS.size, dtype=torch.float64)
    torch.testing.assert_close(layer(-3 * x), 9 * layer(x), rtol=1e-12, atol=1e-12)


def gate_inputs():
    """Two scalars and a vector, with the gate of the vector behind the scalars."""
    representation = TensorRepresentation((TensorTerm(0, 1, 2), TensorTerm(1, 1, 1)))
    return representation, torch.tensor([[0.5, -1.0, 2.0, 1.0, -2.0, 3.0]], dtype=torch.float64)


def test_scalars_gate_themselves_and_vectors_have_a_gate():
    representation, x = gate_inputs()
    gate = torch.sigmoid(x[:, 2])
    expected = torch.cat([silu(x[:, :2]), gate * x[:, 3:]], dim=1)
    torch.testing.assert_close(GatedNonlinearity(representation)(x), expected, rtol=0, atol=1e-12)


def test_leaky_gate_adds_a_weighted_part_for_every_component():
    representation, x = gate_inputs()
    layer = LeakyGate(representation).double()
    torch.nn.init.normal_(layer.weight)
    kept = x[:, [0, 1, 3, 4, 5]]
    expected = GatedNonlinearity(representation)(x) + layer.weight * silu(kept)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_weights_of_the_leaky_gate_start_at_a_thousandth():
    representation, _ = gate_inputs()
    assert LeakyGate(representation).weight.tolist() == pytest.approx([1e-3] * 5)
