from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_remul import SE3, SO3, RemulLoss
from pyg_remul.models import GATr
from pyg_remul.representations import parse_representation

REPS = {"mass": "scalar", "pos": "point", "vel": "vector", "y": "point"}
PINNED, PINNED_PENALTY = [2.0702247792, 2.9865443469, 2.4653147443], 0.0255544474
RICH = {"a": "3xscalar + vector", "b": "2xpoint", "c": "vector + point + vector"}


def small(**options):
    return GATr(
        **{"hidden_channels": 4, "num_layers": 2, "hidden_scalars": 8, "heads": 2, **options}
    ).double()


def close(x, y, tolerance=1e-12):
    torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance)


def draw(reps=None, num_nodes=5, dtype=torch.float64):
    reps = REPS if reps is None else reps
    widths = {name: parse_representation(rep).width(3) or 1 for name, rep in reps.items()}
    values = {name: torch.randn(num_nodes, width).to(dtype) for name, width in widths.items()}
    return Data(**values)


def move(data, reps, element):
    return Data(**{name: element.act(data[name], rep) for name, rep in reps.items()})


# Kinds of inputs and outputs


@pytest.mark.parametrize(
    ("reps", "out_rep"),
    [
        (RICH, "2xpoint + scalar + 3xvector"),
        (RICH, "vector"),
        (RICH, "2xscalar"),
        ({"pos": "point"}, "vector + point"),
        ({"mass": "scalar", "vel": "vector"}, "vector + scalar"),
        ({"mass": "2xscalar"}, "scalar"),
    ],
    ids=["rich", "rich-vector", "rich-scalars", "points", "no-points", "scalars"],
)
def test_every_kind_of_output_moves_with_the_inputs(reps, out_rep):
    model, data = small(inputs=tuple(reps), reps=reps, out_rep=out_rep), draw(reps)
    element = SE3(translation=3.0).sample(1, dtype=torch.float64)
    out = model(data)
    close(model(move(data, reps, element)), element.act(out, out_rep), 1e-10)
    assert out.any()


def test_constant_scalar_of_one_equals_no_scalar():
    bare = small(inputs=("pos", "vel"))
    full = small(inputs=("one", "pos", "vel"), reps={**REPS, "one": "scalar"})
    full.load_state_dict(bare.state_dict())
    data = draw()
    data.one = torch.zeros(5, dtype=torch.float64)
    assert torch.equal(full(data), bare(data))


def test_single_precision_holds_far_from_the_origin():
    model, data = small().float(), draw(dtype=torch.float32)
    far = data.clone()
    far.pos = data.pos + 1000.0
    error = (model(far) - 1000.0 - model(data)).norm() / model(data).norm()
    assert error < 1e-4


def test_point_of_weight_zero_does_not_depend_on_the_origin():
    model, data = small(), draw()
    with torch.no_grad():
        model.readout.weight[3:] *= 1e-9
    far = data.clone()
    far.pos = data.pos + 7.0
    close(model(far), model(data) + 7.0, 1e-10)


# Values


def test_outputs_and_penalty_are_those_pinned():
    model, ramp = small(), torch.linspace(-1, 1, 21, dtype=torch.float64).view(3, 7)
    with torch.no_grad():
        for parameter in model.parameters():
            entries = torch.arange(parameter.numel(), dtype=torch.float64)
            parameter.copy_((entries.sin() / 2).view_as(parameter))
    data = Data(mass=ramp[:, :1] + 2, pos=ramp[:, 1:4].cos(), vel=ramp[:, 4:].sin())
    close(model(data).sum(dim=1), torch.tensor(PINNED, dtype=torch.float64), 1e-8)
    close(model.regularisation().item(), PINNED_PENALTY, 1e-8)


# Batches


def test_graphs_of_a_batch_do_not_see_each_other():
    model, batch = small(), Batch.from_data_list([draw(num_nodes=4), draw(num_nodes=6)])
    batch.pos.requires_grad_()
    (gradient,) = torch.autograd.grad(model(batch)[:4].sum(), batch.pos)
    assert gradient[:4].any()
    assert not gradient[4:].any()


def test_ragged_batch_with_empty_graphs_gives_finite_gradients():
    model = small()
    batch = Batch.from_data_list([draw(num_nodes=size) for size in (0, 1, 4, 0)])
    (model(batch).square().sum() + model.regularisation()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("num_graphs", [1, 2])
def test_empty_graphs_alone_give_no_rows(num_graphs):
    model = small()
    assert model(Batch.from_data_list([draw(num_nodes=0)] * num_graphs)).shape == (0, 3)
    assert model.regularisation() == 0


# Penalty


def test_penalty_is_the_mean_over_graphs():
    model = small()
    graphs = [draw(num_nodes=size) for size in (2, 5, 3)]
    singles = []
    for graph in graphs:
        model(graph)
        singles.append(model.regularisation())
    model(Batch.from_data_list(graphs))
    close(model.regularisation(), torch.stack(singles).mean())


def test_penalty_is_the_weighted_excess_of_the_last_pass():
    model, data = small(penalty=0.5), draw()
    model(draw())
    model(data)
    _, summands = model.core(model.node_inputs(data))
    close(model.regularisation(), 0.5 * summands.sum())


def test_penalty_trains_the_weight_of_points():
    model, data = small(penalty=1.0), draw()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    first = None
    for _ in range(50):
        model(data)
        loss = model.regularisation()
        first = loss.item() if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * first


@pytest.mark.parametrize("passes", [0, 1], ids=["before-a-pass", "after-a-pass"])
def test_penalty_is_zero_without_a_pass_in_training(passes):
    model, data = small(), draw()
    if passes:
        model(data)
    model.eval()
    if passes:
        model(data)
    assert model.regularisation() == 0
    assert not model.regularisation().requires_grad


def test_penalty_of_a_joint_pass_is_that_of_both_halves():
    model = small()
    batch = Batch.from_data_list([draw(), draw()])
    RemulLoss(SO3(), reps=REPS, target="y")(model, batch)
    joint = model.regularisation()
    model(batch)
    close(joint, model.regularisation(), 1e-10)  # the penalty of turned graphs is the same


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"]
)
def test_model_can_be_copied_after_a_pass(duplicate):
    model, data = small(), draw()
    out = model(data)
    other = duplicate(model)
    assert other.regularisation() == 0
    assert torch.equal(other(data), out)
    assert model.regularisation().requires_grad


# Mistakes


@pytest.mark.parametrize("name", ["hidden_channels", "hidden_scalars"])
def test_heads_that_do_not_divide_the_channels_are_refused(name):
    expected = rf"`heads` must be a divisor of twice `{name}`, 18, got 4\."
    with pytest.raises(ValueError, match=expected):
        small(heads=4, **{name: 9})


def test_points_out_without_points_in_are_refused():
    with pytest.raises(ValueError, match="`inputs` must hold a point for `out_rep` to hold one"):
        small(inputs=("mass", "vel"))


@pytest.mark.parametrize("option", ["reps", "out_rep"])
def test_kind_that_is_not_understood_is_refused(option):
    value = {"reps": {**REPS, "vel": "tensor"}, "out_rep": "tensor"}[option]
    expected = rf"`{option}` must be made of 'scalar', 'vector', 'point', got 'tensor'\."
    with pytest.raises(ValueError, match=expected):
        small(**{option: value})


def test_negative_penalty_is_refused():
    with pytest.raises(ValueError, match=r"`penalty` must not be negative, got -1\."):
        small(penalty=-1)
