"""The transforms."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers import (
    REPS,
    assert_same,
    close,
    make_batch,
    make_graph,
    make_hetero,
    seeded,
    snapshot,
    turn,
)
from torch_geometric.data import Batch, Data
from torch_geometric.data.datapipes import DatasetAdapter
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyg_remul import E3, SE3, SO2, SO3, RandomRotation, SubtractCenterOfMass


def distances(pos):
    return torch.cdist(pos, pos, compute_mode="donot_use_mm_for_euclid_dist")


@pytest.mark.parametrize("transform", [RandomRotation, SubtractCenterOfMass])
def test_a_lone_graph_that_says_it_holds_several_is_refused(transform):
    graph = make_graph(batch=torch.tensor([0, 0, 1, 1]))
    with pytest.raises(ValueError, match=r"a `batch` vector; use `Batch\.from_data_list`"):
        transform(REPS)(graph)


@pytest.mark.parametrize("transform", [RandomRotation, SubtractCenterOfMass])
def test_missing_labels_pass_where_they_are_unchecked(transform):
    graph = make_graph()
    graph.y[1] = float("nan")
    moved = transform(REPS, unchecked=["y"])(graph)
    assert moved.y.isnan().any(dim=1).tolist() == graph.y.isnan().any(dim=1).tolist()
    with pytest.raises(ValueError, match="`y` must be finite"):
        transform(REPS)(graph)


class TestRandomRotation:
    def test_what_is_no_group_is_refused(self):
        with pytest.raises(TypeError, match=r"`group` must be a group such as SO3\(\), got 10"):
            RandomRotation(REPS, 10)

    def test_a_lone_graph_is_turned_as_r_v(self):
        data = make_graph()
        turned = RandomRotation(REPS, generator=seeded())(data)
        matrix = SO3().sample(1, generator=seeded(), dtype=torch.float64).matrix
        for name in REPS:
            close(turned[name], data[name] @ matrix[0].T, atol=1e-14)

    def test_graphs_of_a_batch_are_turned_by_elements_of_their_own(self):
        batch = make_batch()
        turned = RandomRotation(REPS, generator=seeded())(batch)
        matrices = SO3().sample(3, generator=seeded(), dtype=torch.float64).matrix
        close(turned.y, turn(batch, matrices).y, atol=1e-14)

    @pytest.mark.parametrize("group", [SO3(), E3(), SO2("y")], ids=repr)
    def test_distances_between_inputs_and_targets_are_kept(self, group):
        data = make_graph()
        turned = RandomRotation(REPS, group)(data)
        both, turned_both = (torch.cat([graph.pos, graph.y]) for graph in (data, turned))
        close(distances(turned_both), distances(both), atol=1e-13)

    def test_equal_graphs_are_turned_differently(self):
        turned = RandomRotation(REPS)(Batch.from_data_list([make_graph()] * 2))
        assert not torch.allclose(turned[0].pos, turned[1].pos)

    def test_calls_draw_anew(self):
        rotate, data = RandomRotation(REPS), make_graph()
        assert not torch.allclose(rotate(data).pos, rotate(data).pos)

    def test_the_global_generator_is_the_default(self):
        rotate, data = RandomRotation(REPS), make_graph()
        torch.manual_seed(5)
        first = rotate(data).pos
        torch.manual_seed(5)
        assert torch.equal(rotate(data).pos, first)

    def test_a_thousand_readings_leave_an_item_as_it_is(self):
        dataset = [make_graph()]
        before = snapshot(dataset[0])
        rotate = RandomRotation(REPS)
        for _ in range(1000):
            rotate(dataset[0])
        assert_same(snapshot(dataset[0]), before)

    def test_it_composes(self):
        data = make_graph()
        turned = Compose([SubtractCenterOfMass(REPS), RandomRotation(REPS)])(data)
        close(distances(turned.pos), distances(data.pos), atol=1e-13)

    def test_datapipes_know_it_by_name(self):
        data = make_graph()
        (turned,) = DatasetAdapter([data]).random_rotation(REPS, generator=seeded())
        assert torch.equal(turned.pos, RandomRotation(REPS, generator=seeded())(data).pos)

    def test_hetero_graphs_turn(self):
        data = make_hetero()
        turned = RandomRotation({"pos": "point", "dipole": "vector"})(data)
        close(distances(turned["bead"].pos), distances(data["bead"].pos), atol=1e-13)
        close(turned.dipole.norm(), data.dipole.norm(), atol=1e-14)

    def test_the_representation_shows_the_options(self):
        assert repr(RandomRotation({"pos": "point"}, SO2("x"))) == (
            "RandomRotation({'pos': 'point'}, group=SO2(axis='x'))"
        )


class TestWorkers:
    """Draws in the processes of a loader."""

    def epochs(self, seed, num=1, **options):
        torch.manual_seed(seed)
        dataset = [Data(pos=torch.eye(3, dtype=torch.float64)) for _ in range(4)]
        rotate = RandomRotation({"pos": "point"}, **options)
        loader = DataLoader(Rotated(dataset, rotate), batch_size=1, num_workers=2)
        return [[batch.pos.flatten().tolist() for batch in loader] for _ in range(num)]

    @pytest.mark.parametrize("explicit", [False, True], ids=["global", "explicit"])
    def test_workers_and_epochs_draw_differently_and_repeatably(self, explicit):
        def run():
            return self.epochs(3, num=2, **({"generator": seeded()} if explicit else {}))

        first = run()
        assert len({tuple(rows) for epoch in first for rows in epoch}) == 8
        assert run() == first

    def test_another_explicit_seed_draws_otherwise(self):
        assert self.epochs(3, generator=seeded(1)) != self.epochs(3, generator=seeded(2))


class Rotated(torch.utils.data.Dataset):
    def __init__(self, graphs, transform):
        self.graphs, self.transform = graphs, transform

    def __len__(self):
        return len(self.graphs)

    def __getitem__(self, position):
        return self.transform(self.graphs[position])


class TestSubtractCenterOfMass:
    def test_the_mean_is_subtracted_from_all_points(self):
        data = make_graph()
        centred = SubtractCenterOfMass(REPS)(data)
        close(centred.pos, data.pos - data.pos.mean(dim=0), atol=1e-14)
        close(centred.y, data.y - data.pos.mean(dim=0), atol=1e-14)

    def test_vectors_stay(self):
        data = make_graph()
        assert torch.equal(SubtractCenterOfMass(REPS)(data).vel, data.vel)

    @pytest.mark.parametrize("shape", [(4,), (4, 1)], ids=str)
    def test_masses_weight_the_centre(self, shape):
        mass = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)
        data = make_graph(mass=mass.view(shape))
        centred = SubtractCenterOfMass(REPS, weight="mass")(data)
        close(mass @ centred.pos, torch.zeros(3, dtype=torch.float64), atol=1e-14)
        close(centred.center_of_mass, (mass @ data.pos / 10)[None], atol=1e-14)

    def test_a_batch_is_centred_as_its_graphs(self):
        batch = make_batch((4, 1, 3))
        centre = SubtractCenterOfMass(REPS)
        singles = Batch.from_data_list([centre(graph) for graph in batch.to_data_list()])
        centred = centre(batch)
        for name in ("pos", "y", "center_of_mass"):
            close(centred[name], singles[name], atol=1e-14)

    def test_the_shift_puts_predictions_back(self):
        batch = make_batch()
        centred = SubtractCenterOfMass(REPS)(batch)
        close(centred.y + centred.center_of_mass[batch.batch], batch.y, atol=1e-14)

    def test_the_shift_turns_with_the_graph(self):
        batch = make_batch()
        centred = SubtractCenterOfMass(REPS)(batch)
        turned = RandomRotation(REPS, generator=seeded())(centred)
        expected = RandomRotation(REPS, generator=seeded())(batch)
        close(turned.y + turned.center_of_mass[batch.batch], expected.y, atol=1e-13)

    def test_the_shift_of_a_lone_graph_turns(self):
        data = make_graph()
        turned = RandomRotation(REPS, generator=seeded())(SubtractCenterOfMass(REPS)(data))
        expected = RandomRotation(REPS, generator=seeded())(data)
        close(turned.y + turned.center_of_mass, expected.y, atol=1e-13)

    def test_translations_leave_the_shift_alone(self):
        data = SubtractCenterOfMass(REPS)(make_graph())
        moved = RandomRotation(REPS, SE3(degrees=0))(data)
        close(moved.center_of_mass, data.center_of_mass, atol=1e-14)

    def test_the_shift_comes_out_of_a_batch_with_its_graph(self):
        batch = SubtractCenterOfMass(REPS)(make_batch())
        assert torch.equal(batch[1].center_of_mass, batch.center_of_mass[1:2])

    def test_shifts_of_two_centrings_add_up(self):
        data = make_graph(mass=torch.tensor([1.0, 2, 3, 4]))
        once = SubtractCenterOfMass(REPS)(data)
        twice = SubtractCenterOfMass(REPS, weight="mass")(once)
        close(twice.y + twice.center_of_mass, data.y, atol=1e-14)

    def test_a_second_centring_moves_nothing(self):
        centre = SubtractCenterOfMass(REPS)
        once = centre(make_batch())
        twice = centre(once)
        close(twice.pos, once.pos, atol=1e-14)
        close(twice.center_of_mass, once.center_of_mass, atol=1e-14)

    def test_it_is_equivariant(self):
        data, centre = make_graph(), SubtractCenterOfMass(REPS)
        moved = centre(RandomRotation(REPS, SE3(), generator=seeded())(data))
        matrix = SE3().sample(1, generator=seeded(), dtype=torch.float64).matrix[0]
        close(moved.pos, centre(data).pos @ matrix.T, atol=1e-13)

    def test_a_graph_without_nodes_stays(self):
        centred = SubtractCenterOfMass(REPS)(make_batch((3, 0)))
        assert centred.center_of_mass[1].tolist() == [0, 0, 0]

    def test_an_empty_lone_graph_stays(self):
        assert SubtractCenterOfMass(REPS)(make_graph(0)).center_of_mass.tolist() == [[0, 0, 0]]

    def test_types_of_a_hetero_graph_share_their_centre(self):
        data = make_hetero()
        centre = SubtractCenterOfMass({"pos": "point", "dipole": "vector"})
        centred = centre(Batch.from_data_list([data, make_hetero(1, 1)]))
        mean = torch.cat([data["atom"].pos, data["bead"].pos]).mean(dim=0)
        close(centred.center_of_mass[0], mean, atol=1e-14)
        close(centred[0]["bead"].pos, data["bead"].pos - mean, atol=1e-14)

    def test_points_inside_a_sum_move(self):
        data = Data(pos=torch.tensor([[1.0, 2, 3]]), x=torch.arange(7.0)[None])
        centred = SubtractCenterOfMass({"pos": "point", "x": "scalar + point + vector"})(data)
        assert centred.x.tolist() == [[0, 0, 0, 0, 4, 5, 6]]

    def test_nothing_is_written_in_place(self):
        batch = make_batch()
        before = snapshot(batch)
        SubtractCenterOfMass(REPS)(SubtractCenterOfMass(REPS)(batch))
        assert_same(snapshot(batch), before)

    def test_a_copy_of_a_centred_batch_keeps_its_shift(self):
        centre = SubtractCenterOfMass(REPS)
        once = centre(make_batch())
        before = snapshot(once)
        centre(copy.copy(once))
        assert_same(snapshot(once), before)

    @pytest.mark.parametrize("mass", [[0.0, 0, 0, 0], [1.0, -2, 0, 0]], ids=["0", "negative"])
    def test_masses_without_positive_sum_are_refused(self, mass):
        data = make_graph(mass=torch.tensor(mass))
        with pytest.raises(ValueError, match="`weight` must have a positive sum in every graph"):
            SubtractCenterOfMass(REPS, weight="mass")(data)

    def test_a_missing_weight_is_refused(self):
        with pytest.raises(
            ValueError, match="`weight` must name an attribute of the graph, got 'm"
        ):
            SubtractCenterOfMass(REPS, weight="mass")(make_graph())

    def test_a_missing_reference_is_refused(self):
        with pytest.raises(ValueError, match=r"`reference` must name an attribute of .* got 'x'"):
            SubtractCenterOfMass({**REPS, "x": "point"}, reference="x").forward(make_graph())

    @pytest.mark.parametrize("reps", [{"y": "point"}, {"pos": "vector", "y": "point"}])
    def test_a_reference_that_would_stay_is_refused(self, reps):
        with pytest.raises(ValueError, match="must declare the reference 'pos' with a point"):
            SubtractCenterOfMass(reps)

    def test_weights_that_are_not_one_a_node_are_refused(self):
        graph = make_graph()
        graph.mass = torch.ones(graph.num_nodes, 2)
        with pytest.raises(ValueError, match="`weight` must name one number for each of"):
            SubtractCenterOfMass(REPS, weight="mass")(graph)

    def test_datapipes_know_it_by_name(self):
        (centred,) = DatasetAdapter([make_graph()]).subtract_center_of_mass(REPS)
        close(centred.pos.mean(dim=0), torch.zeros(3, dtype=torch.float64), atol=1e-14)

    def test_the_representation_shows_the_options(self):
        assert repr(SubtractCenterOfMass({"pos": "point"}, weight="mass")) == (
            "SubtractCenterOfMass({'pos': 'point'}, reference='pos', weight='mass')"
        )


class Turned(torch.utils.data.Dataset):
    """One graph through a transform, again and again."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return self.transform(Data(pos=torch.eye(3), vel=torch.eye(3), y=torch.eye(3)))


def test_an_explicit_generator_reaches_spawned_workers():
    def read():
        torch.manual_seed(0)
        dataset = Turned(RandomRotation(REPS, generator=seeded()))
        loader = DataLoader(dataset, 2, num_workers=1, multiprocessing_context="spawn")
        return torch.cat([batch.pos for batch in loader]).view(4, 3, 3)

    first = read()
    assert torch.equal(read(), first)
    assert not torch.allclose(first[0], first[1])


def test_a_copy_goes_on_with_the_generators_stream():
    rotate = RandomRotation(REPS, generator=seeded())
    rotate(make_graph())
    twin, data = copy.deepcopy(rotate), make_graph()
    assert torch.equal(twin(data).pos, rotate(data).pos)
