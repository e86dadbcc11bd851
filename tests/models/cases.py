"""Small models, the graphs they are tried on, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from unittest import mock

import pytest
import torch

from pyg_remul import GroupElement
from pyg_remul.models import (
    EGNN,
    EMLP,
    GNN,
    PER,
    RPP,
    FlatMLP,
    GATr,
    GraphTransformer,
    MultiChannelEGNN,
    SE3Transformer,
)
from pyg_remul.representations import parse_representation

NUM_NODES = 5


@dataclass(frozen=True)
class Case:
    """A small model and what sets it apart."""

    name: str
    build: Callable
    reads_edges: bool = True
    fixed_size: bool = False
    without_gradient: str = "none"  # prefix of the parameters that the output does not depend on
    reflections: bool = True  # whether an exact symmetry includes them
    translations: bool = True
    declared: bool = False  # whether the inputs are declared by `reps` instead of `in_channels`
    overflows: bool = False  # whether huge inputs overflow single precision, and are refused
    rounding: float = 1e-12  # by how much huge coordinates may miss the symmetry, relatively
    out_rep: str = "point"
    sizes: tuple[str, ...] = ("in_channels", "hidden_channels", "out_channels", "num_layers")

    @property
    def symmetry(self):
        return self.build.func.symmetry

    @property
    def width(self):
        return parse_representation(self.out_rep).width(3)


SMALL = {"hidden_channels": 16, "num_layers": 2}
small_egnn = partial(EGNN, edge_dim=3, **SMALL)
still_egnn = partial(small_egnn, velocity=None)
bounded_egnn = partial(small_egnn, normalize=True, tanh=True, clamp=1e-4)
channels_egnn = partial(
    MultiChannelEGNN,
    edge_dim=3,
    inputs=("mass", "pos", "force", "vel"),
    reps={"mass": "scalar", "pos": "point", "force": "vector", "vel": "vector", "y": "point"},
    **SMALL,
)
declared = {"declared": True, "sizes": ("hidden_channels", "num_layers", "dim")}
small_transformer = partial(GraphTransformer, heads=4, **SMALL)
small_se3 = partial(
    SE3Transformer, hidden_channels=4, num_layers=2, num_degrees=3, div=2, edge_dim=3
)
se3_traits = {
    "reflections": False,
    "declared": True,
    "sizes": ("hidden_channels", "num_layers", "num_degrees", "heads", "div"),
}
small_gatr = partial(GATr, hidden_channels=4, num_layers=2, hidden_scalars=8, heads=2)
gatr_traits = {
    "reads_edges": False,
    "reflections": False,
    "declared": True,
    "sizes": ("hidden_channels", "num_layers", "hidden_scalars", "heads"),
    "without_gradient": "embedding.from_scalars",  # the scalar beside the multivector is zero
}
tensor_perceptron = {"num_nodes": NUM_NODES, "hidden_channels": 33, "num_layers": 2}
emlp_traits = {
    "reads_edges": False,
    "fixed_size": True,
    "reflections": False,
    "translations": False,
    "declared": True,
    "overflows": True,
    "rounding": 1e-10,  # quadratic layers multiply it
    "without_gradient": "head.bias",  # a constant vector would not turn
    "sizes": ("num_nodes", "hidden_channels", "num_layers"),
}
HEADLESS = (EGNN, EMLP, GATr, MultiChannelEGNN, RPP, SE3Transformer)
CASES = [
    Case("FlatMLP", partial(FlatMLP, NUM_NODES, **SMALL), reads_edges=False, fixed_size=True),
    Case("GNN", partial(GNN, **SMALL)),
    Case("GNN-bare-edges", partial(GNN, edge_dim=0, **SMALL)),
    Case("EGNN", small_egnn, without_gradient="layers.1.node_mlp"),
    Case("EGNN-still", still_egnn, without_gradient="layers.1.node_mlp"),
    Case("EGNN-bounded", bounded_egnn, without_gradient="layers.1.node_mlp"),
    Case(
        "EGNN-attention", partial(small_egnn, attention=True), without_gradient="layers.1.node_mlp"
    ),
    Case("MultiChannelEGNN", channels_egnn, without_gradient="layers.1.node_mlp", **declared),
    Case(
        "MultiChannelEGNN-outputs",
        partial(channels_egnn, out_rep="point + 2xvector + 3xscalar", attention=True),
        out_rep="point + 2xvector + 3xscalar",
        **declared,
    ),
    Case("GraphTransformer", small_transformer, reads_edges=False),
    Case(
        "GraphTransformer-graph-norm",
        partial(small_transformer, norm_axes="graph"),
        reads_edges=False,
    ),
    Case("SE3Transformer", small_se3, **se3_traits),
    Case("SE3Transformer-heads", partial(small_se3, heads=2, mass=None), **se3_traits),
    Case(
        "SE3Transformer-outputs",
        partial(small_se3, out_rep="point + 2e + scalar"),
        out_rep="point + 2e + scalar",
        **se3_traits,
    ),
    Case("GATr", small_gatr, **gatr_traits),
    Case("EMLP", partial(EMLP, **tensor_perceptron), **emlp_traits),
    Case(
        "EMLP-O3",
        partial(EMLP, group="O3", **tensor_perceptron),
        **emlp_traits | {"reflections": True},
    ),
    Case(
        "EMLP-nodes",
        partial(EMLP, **tensor_perceptron | {"num_nodes": None}),
        **emlp_traits | {"fixed_size": False},
    ),
    Case(
        "RPP",
        partial(RPP, **tensor_perceptron),
        **emlp_traits | {"without_gradient": "head.equivariant_bias"},
    ),
    Case("PER", partial(PER, **tensor_perceptron), **emlp_traits | {"without_gradient": "none"}),
]


def over(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


every_case = over(CASES)
both_dtypes = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)
both_stages = pytest.mark.parametrize("num_steps", [0, 5], ids=["initial", "trained"])


def train(model, data, num_steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    target = data.pos + 0.5 * data.vel + data.pos[:, [1, 2, 0]]
    target = target.repeat(1, model(data).size(1) // 3)
    for _ in range(num_steps):
        optimizer.zero_grad()
        (model(data) - target).square().mean().backward()
        optimizer.step()


def moved(data, matrix, shift):
    """The same graph turned by a matrix and then translated."""
    out = data.clone()
    out.pos = data.pos @ matrix.T + shift
    out.vel, out.force = data.vel @ matrix.T, data.force @ matrix.T
    return out


def moved_output(case, out, matrix, shift):
    """The output turned by a matrix and then translated, as its representation wants."""
    element, index = GroupElement(matrix[None], shift[None]), torch.zeros(len(out)).long()
    return parse_representation(case.out_rep).transform(out, element, index)


def relative_error(case, model, data, matrices, *, translate=True):
    """Sum of errors of equivariance over sum of output norms about the graph's mean."""
    dtype = data.pos.dtype
    error = norm = 0.0
    with torch.no_grad():
        out = model(data)
        for matrix in matrices.to(dtype):
            shift = torch.randn(3, dtype=dtype) * translate
            expected = moved_output(case, out, matrix, shift)
            error += (model(moved(data, matrix, shift)) - expected).norm()
            norm += (out - out.mean(dim=0)).norm()
    return float(error / norm)


def rotations(matrices):
    """Orthogonal matrices with the sign of the reflections among them turned."""
    return matrices * torch.linalg.det(matrices)[:, None, None]


def permuted(data, order):
    """The same graph with node `order[k]` in place k."""
    out = data.clone()
    for name in ("mass", "charge", "pos", "vel", "force"):
        out[name] = data[name][order]
    out.edge_index = order.argsort()[data.edge_index]
    return out


def core_arguments(model, data):
    with mock.patch.object(model, "core", wraps=model.core) as core:
        model(data)
    return core.call_args.args


def first_tensor(output):
    return output[0] if isinstance(output, tuple) else output


# Awkward graphs, made from a fully connected one


def keep_edges(data, kept):
    data.edge_index, data.edge_attr = data.edge_index[:, kept], data.edge_attr[kept]
    return data


def without_edges(data):
    return keep_edges(data, torch.zeros(data.num_edges, dtype=torch.bool))


def with_isolated_nodes(data):
    return keep_edges(data, (data.edge_index < 3).all(dim=0))


def with_self_loops(data):
    loops = torch.arange(data.num_nodes).expand(2, -1)
    data.edge_index = torch.cat([data.edge_index, loops], dim=1)
    data.edge_attr = torch.cat([data.edge_attr, data.edge_attr[: data.num_nodes]])
    return data


def with_coincident_nodes(data):
    data.pos[1] = data.pos[0]
    return data


def collapsed(data):
    data.pos.zero_()
    return data


def collapsed_at_rest(data):
    data.vel.zero_()
    return collapsed(data)


def single_node(data):
    return data.subgraph(torch.tensor([0]))


def huge(data):
    data.pos *= 1e6
    return data


def far_away(data):
    data.pos += 1e6
    return data


AWKWARD = [
    without_edges,
    with_isolated_nodes,
    with_self_loops,
    with_coincident_nodes,
    collapsed,
    collapsed_at_rest,
    single_node,
    huge,
    far_away,
]


def over_awkward_graphs(cases, *dtypes):
    return pytest.mark.parametrize(
        ("case", "awkward", "dtype"),
        [
            pytest.param(case, awkward, dtype, id=f"{case.name}-{awkward.__name__}-{dtype}")
            for case in cases
            for awkward in AWKWARD
            for dtype in dtypes
            if not (case.fixed_size and awkward is single_node)
            and not (case.overflows and awkward in (huge, far_away) and dtype == torch.float32)
        ],
    )
