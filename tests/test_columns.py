"""Single attributes of many graphs."""

from __future__ import annotations

import pytest
import torch

from pyg_remul.columns import Column, Level, TextColumn, cut_rows, pointer


def make_column(value, sizes, dim=0, steps=None):
    level = Level(pointer(torch.tensor(sizes)))
    steps = torch.zeros(len(sizes), dtype=torch.long) if steps is None else torch.tensor(steps)
    return Column(value, level, dim, steps)


def select(column, index):
    index = torch.tensor(index)
    return column.select(column.level.cut(index, index))


def test_pointer_bounds_the_parts():
    assert pointer(torch.tensor([2, 0, 3])).tolist() == [0, 2, 2, 5]


@pytest.mark.parametrize(("sizes", "size"), [([2, 2, 2], 2), ([0, 0], 0), ([1, 2], None)])
def test_level_knows_whether_all_graphs_have_equally_many_rows(sizes, size):
    assert Level(pointer(torch.tensor(sizes))).size == size


@pytest.mark.parametrize("sizes", [[2, 2, 2], [1, 3, 2]], ids=["equal", "different"])
def test_level_bounds_the_selected_graphs(sizes):
    level, index = Level(pointer(torch.tensor(sizes))), torch.tensor([2, 1])
    cut = level.cut(index, index)
    assert cut.slices.tolist() == [0, sizes[2], sizes[2] + sizes[1]]
    batch, ptr = level.batch_and_ptr(cut)
    assert batch.tolist() == [0] * sizes[2] + [1] * sizes[1]
    assert ptr.tolist() == cut.slices.tolist()


def test_level_serves_more_graphs_after_fewer():
    level = Level(torch.tensor([0, 2, 4]))
    for index in (torch.tensor([1]), torch.tensor([0, 1, 1]), torch.tensor([0, 0])):
        assert level.cut(index, index).slices.tolist() == list(range(0, 2 * len(index) + 1, 2))


@pytest.mark.parametrize("sizes", [[2, 2, 2], [1, 3, 2]], ids=["equal", "different"])
@pytest.mark.parametrize("dim", [0, 1])
def test_rows_are_cut_along_their_axis(sizes, dim):
    value = torch.arange(12.0).reshape(6, 2).movedim(0, dim)
    parts = value.split(sizes, dim=dim)
    found, _ = select(make_column(value, sizes, dim), [2, 0])
    assert torch.equal(found, torch.cat([parts[2], parts[0]], dim=dim))


@pytest.mark.parametrize("sizes", [[2, 2, 2], [1, 3, 2]], ids=["equal", "different"])
def test_indices_are_raised_by_those_before(sizes):
    column = make_column(torch.zeros(1, 6, dtype=torch.long), sizes, 1, [5, 7, 9])
    found, incs = select(column, [1, 0, 2])
    assert incs.tolist() == [0, 7, 12]
    assert found[0].tolist() == [0] * sizes[1] + [7] * sizes[0] + [12] * sizes[2]


def test_repeated_integers_are_held_once():
    graph = torch.tensor([[0, 1], [1, 0]])
    column = make_column(torch.cat([graph] * 3, dim=1), [2, 2, 2], 1, [4, 4, 4])
    assert column._value.numel() == graph.numel()
    assert select(column, [2, 0])[0].tolist() == [[0, 1, 4, 5], [1, 0, 5, 4]]


@pytest.mark.parametrize(
    "value",
    [torch.zeros(3), torch.tensor([0, 0, 1]), torch.zeros(3, dtype=torch.bool)],
    ids=["floating", "different", "boolean"],
)
def test_other_values_are_held_in_full(value):
    assert make_column(value, [1, 1, 1])._value.numel() == 3


def test_zeros_keep_their_sign():
    found, _ = select(make_column(torch.tensor([0.0, -0.0]), [1, 1]), [1])
    assert torch.signbit(found).all()


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool, torch.float32])
@pytest.mark.parametrize("sizes", [[1, 1, 1], [0, 2, 1]], ids=["equal", "different"])
def test_raised_value_has_the_dtype_that_pyg_gives(dtype, sizes):
    value = torch.ones(3, dtype=dtype)
    found, _ = select(make_column(value, sizes, steps=[2, 3, 4]), [0, 1, 2])
    assert found.dtype == (value + torch.tensor(5)).dtype


def test_selection_is_a_new_tensor():
    value = torch.arange(3)
    found, _ = select(make_column(value, [3]), [0])
    found.zero_()
    assert value.tolist() == [0, 1, 2]


def test_texts_are_listed():
    column = TextColumn(["a", "b", "c"], Level(torch.arange(4)))
    assert select(column, [2, 0, 0]) == (["c", "a", "a"], None)


def test_graphs_are_cut_with_new_boundaries():
    value, slices = cut_rows(torch.arange(6), torch.tensor([0, 1, 4, 6]), 0, torch.tensor([2, 1]))
    assert value.tolist() == [4, 5, 1, 2, 3]
    assert slices.tolist() == [0, 2, 5]
