"""The outer product against autograd."""

from __future__ import annotations

import pytest
import torch
from helpers import NodeLinear, close, make_batch
from torch import nn

from pyg_remul.last_layer import LastLayer


def losses_of(outputs):
    flat = torch.cat([output.reshape(-1) for output in outputs])
    return torch.stack([flat.square().mean(), (flat - 1).abs().sum()])


def autograd(losses, weight):
    return torch.stack([torch.autograd.grad(x, weight, retain_graph=True)[0] for x in losses])


@pytest.fixture
def model():
    return NodeLinear(hidden=5, dtype=torch.float32)


@pytest.mark.parametrize("passes", [1, 3])
def test_the_outer_product_is_the_gradient(model, passes):
    layer = LastLayer(model.head, None)
    with layer.recording():
        outputs = [model(make_batch(dtype=torch.float32)) for _ in range(passes)]
    losses = losses_of(outputs)
    close(layer.gradients(losses, outputs), autograd(losses, model.head.weight), atol=1e-5)


def test_a_prediction_may_be_the_heads_output_in_another_shape():
    head = nn.Linear(5, 6)
    layer = LastLayer(head, None)
    with layer.recording():
        output = head(torch.randn(4, 5)).view(8, 3)
    losses = losses_of([output])
    close(layer.gradients(losses, [output]), autograd(losses, head.weight), atol=1e-5)


def test_a_head_may_have_inner_axes():
    head = nn.Linear(5, 3)
    layer = LastLayer(head, None)
    with layer.recording():
        output = head(torch.randn(2, 4, 5))
    losses = losses_of([output])
    close(layer.gradients(losses, [output]), autograd(losses, head.weight), atol=1e-5)


def test_a_pass_that_a_loss_does_not_read_adds_nothing(model):
    layer = LastLayer(model.head, None)
    with layer.recording():
        outputs = [model(make_batch(dtype=torch.float32)) for _ in range(2)]
    losses = torch.stack([outputs[0].square().sum(), outputs[1].square().sum()])
    close(layer.gradients(losses, outputs), autograd(losses, model.head.weight), atol=1e-4)


def test_any_weight_can_be_the_last_layer(model):
    weight = model.body[0].weight
    losses = losses_of([model(make_batch(dtype=torch.float32))])
    close(LastLayer(None, weight).gradients(losses, []), autograd(losses, weight), atol=1e-5)


def test_gradients_are_in_float32_and_detached(model):
    layer = LastLayer(model.double().head, None)
    with layer.recording():
        outputs = [model(make_batch())]
    result = layer.gradients(losses_of(outputs), outputs)
    assert result.dtype == torch.float32
    assert not result.requires_grad


def test_passes_outside_the_recording_are_not_kept(model):
    layer = LastLayer(model.head, None)
    model(make_batch(dtype=torch.float32))
    with layer.recording():
        outputs = [model(make_batch(dtype=torch.float32))]
    model(make_batch(dtype=torch.float32))
    assert layer.gradients(losses_of(outputs), outputs).shape == (2, 3, 5)


def test_an_error_in_a_pass_ends_the_recording(model):
    layer = LastLayer(model.head, None)
    with pytest.raises(RuntimeError, match="fault"), layer.recording():
        raise RuntimeError("fault")
    model(make_batch(dtype=torch.float32))
    with pytest.raises(ValueError, match="it took no part in it; is it the head of another model"):
        layer.gradients(torch.ones(2), [torch.ones(1)])


@pytest.mark.parametrize(
    ("head", "weight", "given"),
    [(None, None, "neither"), (nn.Linear(2, 2), torch.ones(2), "both")],
    ids=["neither", "both"],
)
def test_one_of_head_and_weight_must_be_given(head, weight, given):
    with pytest.raises(ValueError, match=f"`head` or `last_layer` must be given, .* got {given}"):
        LastLayer(head, weight)


def test_a_head_must_be_linear():
    with pytest.raises(TypeError, match=r"`head` must be an nn.Linear, got Sequential"):
        LastLayer(nn.Sequential(nn.Linear(2, 2)), None)


def test_a_scaled_output_too_small_to_tell_is_refused():
    head = nn.Linear(5, 3)
    nn.init.constant_(head.weight, 1e-6)
    nn.init.zeros_(head.bias)
    layer = LastLayer(head, None)
    with layer.recording():
        output = 3 * head(torch.randn(4, 5))
    with pytest.raises(ValueError, match="the prediction is not its output"):
        layer.gradients(losses_of([output]), [output])


def test_an_output_of_zeros_is_looked_at_again():
    head = nn.Linear(5, 3)
    layer = LastLayer(head, None)
    nn.init.zeros_(head.weight), nn.init.zeros_(head.bias)
    with layer.recording():
        output = 3 * head(torch.randn(4, 5))
    layer.gradients(losses_of([output]), [output])
    nn.init.ones_(head.weight)
    with layer.recording():
        output = 3 * head(torch.randn(4, 5))
    with pytest.raises(ValueError, match="the prediction is not its output"):
        layer.gradients(losses_of([output]), [output])


def test_a_head_under_autocast_gives_gradients_in_float32():
    head = nn.Linear(5, 3)
    layer = LastLayer(head, None)
    with torch.autocast("cpu", torch.bfloat16), layer.recording():
        output = head(torch.randn(4, 5)).float()
    with torch.autocast("cpu", torch.bfloat16):
        gradients = layer.gradients(losses_of([output]), [output])
    assert gradients.dtype == torch.float32
    close(gradients, autograd(losses_of([output]), head.weight), atol=0.1)


def test_a_weight_that_nothing_depends_on_is_refused():
    output = nn.Linear(5, 3)(torch.randn(4, 5))
    layer = LastLayer(None, torch.ones(3, requires_grad=True))
    with pytest.raises(ValueError, match="`last_layer` must be a weight that both losses"):
        layer.gradients(losses_of([output]), [output])


def test_a_module_in_place_of_its_weight_is_refused():
    with pytest.raises(
        TypeError, match=r"`last_layer` must be a weight such as model\.out\.weight"
    ):
        LastLayer(None, nn.Linear(5, 3))
