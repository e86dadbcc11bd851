"""How group elements act on graphs."""

from __future__ import annotations

import warnings

import pytest
import torch
from helpers import REPS, assert_same, close, make_batch, make_graph, make_hetero, snapshot, turn
from torch_geometric.data import Batch, Data

from pyg_remul import O3, SE3, SO2, SO3, GroupElement
from pyg_remul.action import GraphAction


def draw(group, num, seed=1):
    return group.sample(num, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def element():
    return draw(SO3(), 3)


@pytest.fixture
def quarter():
    """A quarter turn about the z axis, which takes x to y."""
    return GroupElement(torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]], dtype=torch.float64))


def test_a_vector_is_turned_as_r_v(quarter):
    data = Data(vel=torch.tensor([[1.0, 0, 0]], dtype=torch.float64))
    assert GraphAction({"vel": "vector"})(data, quarter).vel.tolist() == [[0, 1, 0]]


def test_each_graph_is_turned_by_its_own_element(element):
    batch = make_batch()
    turned, expected = GraphAction(REPS)(batch, element), turn(batch, element.matrix)
    for name in REPS:
        close(turned[name], expected[name], atol=1e-14)


def test_one_element_turns_all_graphs(element):
    batch = make_batch()
    turned = GraphAction(REPS)(batch, element[:1])
    close(turned.pos, turn(batch, element.matrix[:1].expand(3, 3, 3)).pos, atol=1e-14)


def test_points_move_and_vectors_do_not():
    element = draw(SE3(), 3)
    batch = make_batch()
    turned, rotated = GraphAction(REPS)(batch, element), turn(batch, element.matrix)
    shift = element.translation[batch.batch]
    close(turned.pos, rotated.pos + shift, atol=1e-14)
    close(turned.y, rotated.y + shift, atol=1e-14)
    close(turned.vel, rotated.vel, atol=1e-14)


def test_the_inverse_element_turns_back():
    element = draw(SE3(), 3)
    batch = make_batch()
    action = GraphAction(REPS)
    back = action(action(batch, element), element.inverse())
    close(back.pos, batch.pos, atol=1e-14)


def test_a_composed_element_acts_as_both():
    first, second = draw(SE3(), 3, seed=1), draw(SE3(), 3, seed=2)
    action, batch = GraphAction(REPS), make_batch()
    both = action(batch, second.compose(first))
    close(action(action(batch, first), second).pos, both.pos, atol=1e-13)


def test_edge_attributes_turn_with_the_graph_of_their_edge():
    graphs = [make_graph(n, e, force=torch.randn(e, 3).double()) for n, e in ((2, 3), (3, 2))]
    batch = Batch.from_data_list(graphs)
    element = draw(SO3(), 2)
    turned = GraphAction({**REPS, "force": "vector"})(batch, element)
    for position, (graph, matrix) in enumerate(zip(graphs, element.matrix, strict=True)):
        close(turned[position].force, graph.force @ matrix.T, atol=1e-14)


def test_an_attribute_of_the_whole_graph_turns(element):
    graphs = [make_graph(n, dipole=torch.randn(1, 3).double()) for n in (1, 2, 3)]
    turned = GraphAction({**REPS, "dipole": "vector"})(Batch.from_data_list(graphs), element)
    expected = torch.cat([g.dipole @ m.T for g, m in zip(graphs, element.matrix, strict=True)])
    close(turned.dipole, expected, atol=1e-14)


def test_undeclared_attributes_stay(element):
    batch = make_batch()
    turned = GraphAction(REPS)(batch, element)
    assert turned.edge_index is batch.edge_index


def test_values_keep_their_dtype(element):
    turned = GraphAction(REPS)(make_batch(dtype=torch.float32), element)
    assert turned.pos.dtype == torch.float32


def test_nothing_is_written_in_place(element):
    batch = make_batch()
    before = snapshot(batch)
    GraphAction(REPS)(batch, element)
    assert_same(snapshot(batch), before)


class TestHetero:
    @pytest.fixture
    def batch(self):
        return Batch.from_data_list([make_hetero(2, 1), make_hetero(1, 3)])

    @pytest.fixture
    def element(self):
        return draw(SO3(), 2)

    def rotated(self, batch, element, kind):
        matrices = element.matrix[batch[kind].batch]
        return torch.einsum("nij,nj->ni", matrices, batch[kind].pos)

    def test_a_plain_name_means_every_type(self, batch, element):
        turned = GraphAction({"pos": "point", "dipole": "vector"})(batch, element)
        for kind in ("atom", "bead"):
            close(turned[kind].pos, self.rotated(batch, element, kind), atol=1e-14)

    @pytest.mark.filterwarnings("ignore:`pos` has 3 columns")
    def test_a_pair_means_one_type(self, batch, element):
        turned = GraphAction({("atom", "pos"): "point", "dipole": "vector"})(batch, element)
        close(turned["atom"].pos, self.rotated(batch, element, "atom"), atol=1e-14)
        assert torch.equal(turned["bead"].pos, batch["bead"].pos)

    def test_a_pair_takes_precedence_over_a_plain_name(self, batch, element):
        reps = {"pos": "point", ("bead", "pos"): "scalar", "dipole": "vector"}
        turned = GraphAction(reps)(batch, element)
        close(turned["atom"].pos, self.rotated(batch, element, "atom"), atol=1e-14)
        assert torch.equal(turned["bead"].pos, batch["bead"].pos)

    def test_an_attribute_of_the_whole_graph_turns(self, batch, element):
        turned = GraphAction({"pos": "point", "dipole": "vector"})(batch, element)
        expected = torch.einsum("bij,bj->bi", element.matrix, batch.dipole)
        close(turned.dipole, expected, atol=1e-14)

    def test_a_lone_graph_turns(self, element):
        data = make_hetero()
        turned = GraphAction({"pos": "point", "dipole": "vector"})(data, element[:1])
        close(turned["bead"].pos, data["bead"].pos @ element.matrix[0].T, atol=1e-14)

    @pytest.mark.filterwarnings("ignore:`pos` has 3 columns")
    def test_a_missing_type_is_refused(self, batch, element):
        with pytest.raises(ValueError, match=r"declares '\('ion', 'pos'\)', .* types \['atom', 'b"):
            GraphAction({("ion", "pos"): "point", "dipole": "vector"})(batch, element)


class TestRefusals:
    @pytest.mark.parametrize(
        ("value", "error", "message"),
        [
            (torch.rand(4, 2), ValueError, r"`vel` must have width 3 .* got width 2"),
            (torch.rand(3), ValueError, r"`vel` must have shape .* one row, \[1, 3\]"),
            (torch.ones(4, 3, dtype=torch.long), TypeError, "`vel` must be a floating tensor"),
            ([1.0, 2.0], TypeError, "`vel` must be a tensor to be turned, got list"),
            (None, ValueError, "`reps` declares 'vel', which the graph lacks"),
        ],
        ids=["width", "no row axis", "integers", "list", "absent"],
    )
    def test_an_attribute_that_cannot_turn(self, value, error, message):
        data = Data(pos=torch.rand(4, 3), vel=value)
        action = GraphAction({"pos": "point", "vel": "vector"})
        with pytest.raises(error, match=message):
            action(data, action.sample(data, SO3(), 1))

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_values_that_are_not_finite(self, value):
        data = make_graph()
        data.vel[2, 1] = value
        with pytest.raises(ValueError, match=r"`vel` must be finite, .* in 1 of 4 rows, .* row 2"):
            GraphAction(REPS)(data, draw(SO3(), 1))

    def test_an_absent_attribute_names_those_there(self):
        with pytest.raises(ValueError, match=r"its attributes are \['edge_index', 'pos', 'vel', "):
            GraphAction({**REPS, "force": "vector"})(make_graph(), draw(SO3(), 1))

    def test_reps_that_are_no_mapping(self):
        with pytest.raises(TypeError, match="`reps` must map attributes to representations"):
            GraphAction(["pos"])

    def test_no_reps(self):
        with pytest.raises(ValueError, match="`reps` must declare at least one attribute"):
            GraphAction({})

    def test_an_unknown_description(self):
        with pytest.raises(ValueError, match=r"`reps` must hold one of .*, got 'velocity'"):
            GraphAction({"vel": "velocity"})

    def test_a_description_that_is_no_string(self):
        with pytest.raises(TypeError, match="`reps` must hold strings, got 1"):
            GraphAction({"vel": 1})


def test_an_optional_attribute_may_be_absent(element):
    action = GraphAction({**REPS, "force": "vector"})
    assert "force" not in action(make_batch(), element, optional=["force"])


class TestWarning:
    def test_an_undeclared_geometric_attribute_warns_by_name(self):
        with pytest.warns(UserWarning, match="`vel` has 3 columns but `reps` does not declare it"):
            GraphAction({"pos": "point", "y": "point"})(make_graph(), draw(SO3(), 1))

    def test_it_comes_once(self):
        action = GraphAction({"pos": "point", "y": "point"})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                action(make_graph(), draw(SO3(), 1))
        assert len(caught) == 1

    @pytest.mark.parametrize(
        "value",
        [torch.rand(4, 2), torch.ones(4, 3, dtype=torch.long), torch.rand(3)],
        ids=["two columns", "integers", "one axis"],
    )
    def test_others_do_not_warn(self, value):
        GraphAction(REPS)(make_graph(other=value), draw(SO3(), 1))

    def test_a_declared_scalar_does_not_warn(self):
        GraphAction({**REPS, "color": "scalar"})(make_graph(color=torch.rand(4, 3)), draw(O3(), 1))


class TestSample:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_elements_have_the_precision_of_the_data(self, dtype):
        element = GraphAction(REPS).sample(make_batch(dtype=dtype), SO3(), 3)
        assert element.matrix.dtype == dtype

    def test_the_highest_precision_counts(self):
        data = Data(pos=torch.rand(2, 3), vel=torch.rand(2, 3).double())
        action = GraphAction({"pos": "point", "vel": "vector"})
        assert action.sample(data, SO3(), 1).matrix.dtype == torch.float64


class TestTurnPrediction:
    def test_rows_turn_as_those_of_the_target(self, element):
        batch = make_batch()
        actual = GraphAction(REPS).turn_prediction("y", batch.vel, element, batch)
        expected = torch.einsum("nij,nj->ni", element.matrix[batch.batch], batch.vel)
        close(actual, expected, atol=1e-14)

    def test_the_target_may_be_absent(self, element):
        batch = make_batch()
        value = batch.vel
        expected = GraphAction(REPS).turn_prediction("y", value, element, batch)
        del batch.y
        assert torch.equal(GraphAction(REPS).turn_prediction("y", value, element, batch), expected)

    def test_the_gradient_passes(self, element):
        batch = make_batch()
        value = batch.vel.requires_grad_()
        GraphAction(REPS).turn_prediction("y", value, element, batch).square().sum().backward()
        close(value.grad, 2 * batch.vel.detach(), atol=1e-13)

    def test_an_undeclared_target_is_refused(self, element):
        with pytest.raises(ValueError, match="`reps` must declare 'force'"):
            GraphAction(REPS).turn_prediction("force", torch.ones(12, 3), element, make_batch())


def test_a_group_of_the_plane_acts_on_two_columns():
    data = Data(pos=torch.tensor([[1.0, 0.0]]))
    turned = GraphAction({"pos": "point"})(data, SO2(degrees=(90, 90)).sample(1))
    close(turned.pos.abs(), torch.tensor([[0.0, 1.0]]), atol=1e-6)


def test_more_elements_than_graphs_are_refused():
    with pytest.raises(ValueError, match="`element` must hold one element, or one for each of 3"):
        GraphAction(REPS)(make_batch(), SO3().sample(4, dtype=torch.float64))


def test_a_target_of_one_type_is_known_by_its_plain_name():
    action = GraphAction({"pos": "point", ("atom", "y"): "vector"})
    assert str(action["y"]) == str(action["atom", "y"]) == "vector"


def test_part_of_another_name_is_not_that_name():
    with pytest.raises(ValueError, match=r"`reps` must declare 'o' \('scalar' if"):
        GraphAction({"pos": "point"})["o"]
