"""The conditions of a measurement."""

from __future__ import annotations

import pytest
import torch
from helpers import make_batch
from torch import nn

from pyg_remul.evaluation import cast, device_of, evaluating


class TestEvaluating:
    @pytest.fixture
    def model(self):
        model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3), nn.Linear(3, 3))
        model[1].eval()
        return model

    def modes(self, model):
        return [module.training for module in model.modules()]

    def test_every_module_is_in_eval_mode(self, model):
        with evaluating(model, None) as frozen:
            assert not any(self.modes(frozen))

    def test_the_mode_of_every_module_is_restored(self, model):
        with evaluating(model, None):
            pass
        assert self.modes(model) == [True, True, False, True]

    def test_it_is_restored_after_an_error(self, model):
        with pytest.raises(RuntimeError, match="fault"), evaluating(model, None):
            raise RuntimeError("fault")
        assert self.modes(model) == [True, True, False, True]

    @pytest.mark.parametrize("dtype", [None, torch.float32], ids=["own", "the same"])
    def test_the_model_itself_is_evaluated_in_its_own_precision(self, model, dtype):
        with evaluating(model, dtype) as frozen:
            assert frozen is model

    def test_a_copy_is_evaluated_in_another_precision(self, model):
        with evaluating(model, torch.float64) as frozen:
            assert frozen[2].weight.dtype == torch.float64
        assert model[2].weight.dtype == torch.float32

    def test_buffers_alone_are_cast_too(self):
        model = nn.Module()
        model.register_buffer("matrix", torch.eye(3))
        with evaluating(model, torch.float64) as frozen:
            assert frozen.matrix.dtype == torch.float64
        assert model.matrix.dtype == torch.float32

    def test_integer_buffers_ask_for_no_copy(self):
        with evaluating(nn.BatchNorm1d(3, dtype=torch.float64), torch.float64) as frozen:
            assert frozen.num_batches_tracked.dtype == torch.long

    def test_functions_stay_as_they_are(self):
        with evaluating(len, torch.float64) as frozen:
            assert frozen is len


class TestCast:
    def test_floating_tensors_change_their_precision(self):
        batch = cast(make_batch(dtype=torch.float32), torch.float64)
        assert (batch.pos.dtype, batch.edge_index.dtype) == (torch.float64, torch.long)

    def test_the_batch_itself_stays(self):
        batch = make_batch(dtype=torch.float32)
        cast(batch, torch.float64)
        assert batch.pos.dtype == torch.float32

    def test_without_precision_nothing_is_copied(self):
        batch = make_batch()
        assert cast(batch, None) is batch


class TestDevice:
    def test_it_is_that_of_the_parameters(self):
        assert device_of(nn.Linear(2, 2, device="meta")) == torch.device("meta")

    @pytest.mark.parametrize("model", [len, nn.Identity()], ids=["function", "no parameters"])
    def test_others_have_none(self, model):
        assert device_of(model) is None
