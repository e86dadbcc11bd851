"""The steps of a training run."""

from __future__ import annotations

import copy
import types
import warnings

import lightning
import pytest
import torch
from helpers import REPS, NodeLinear, Recorder, assert_same, close, make_batch, make_graph
from recorders import EagerRecorder
from torch import nn

from pyg_remul import SO3, ConstantWeighting, ElementPool, GradNorm, RemulLoss
from pyg_remul.models import EGNN, GNN
from pyg_remul.presets import preset
from pyg_remul.randomness import derive_generator
from pyg_remul.tasks import TaskData
from pyg_remul.training import RemulDataModule, RemulModule, build_criterion

TERMS = ("train/loss", "train/objective", "train/equivariance", "train/alpha", "train/beta")


def make_config(**options):
    sizes = {"steps": 8, "val_every": 4, "batch_size": 4, "equivariance_graphs": 0}
    return preset("nbody", "gnn", **{**sizes, **options})


def make_module(model=None, **options):
    model = NodeLinear(dtype=torch.float32) if model is None else model
    return RemulModule(make_config(**options), model, REPS)


def single_batch():
    return make_batch(dtype=torch.float32)


@pytest.fixture
def at_step(monkeypatch):
    """Lets modules believe in a number of steps done."""

    def move(step):
        monkeypatch.setattr(RemulModule, "global_step", property(lambda _: step))

    return move


@pytest.fixture
def fit():
    """Trains on random graphs and returns the trainer."""

    def run(module, num=8, clip=None):
        graphs = [make_graph(dtype=torch.float32) for _ in range(num)]
        data = TaskData(graphs, graphs[:5], {}, REPS, ("pos", "vel"), (), 0)
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=module.config.steps // module.config.val_every,
            gradient_clip_val=clip,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            trainer.fit(module, RemulDataModule(module.config, data))
        return trainer

    return run


def backward(loss, model):
    """The parameters after a backward pass."""
    loss.backward()
    return list(model.parameters())


def gradients(loss, model):
    return torch.autograd.grad(loss, list(model.parameters()))


def test_plain_step_follows_the_objective_alone():
    module, batch = make_module(method="plain"), single_batch()
    loss = module.training_step(batch, 0)
    expected = (module.model(batch) - batch.y).square().mean()
    assert_same(list(gradients(loss, module.model)), list(gradients(expected, module.model)))


def test_plain_step_turns_nothing():
    model, batch = Recorder(NodeLinear(dtype=torch.float32)), single_batch()
    make_module(model, method="plain").training_step(batch, 0)
    assert [seen.pos is batch.pos for seen in model.batches] == [True]


def test_augmentation_step_sees_turned_graphs_alone():
    model, batch = Recorder(NodeLinear(dtype=torch.float32)), single_batch()
    make_module(model, method="augmentation").training_step(batch, 0)
    (seen,) = model.batches
    assert seen.num_graphs == batch.num_graphs
    assert not torch.allclose(seen.pos, batch.pos, rtol=0, atol=0.1)


def test_augmentation_step_is_that_of_turned_graphs_and_labels():
    module, batch = make_module(method="augmentation"), single_batch()
    recorder = Recorder(module.model)
    module.model = recorder
    loss = module.training_step(batch, 0)
    (seen,) = recorder.batches
    close(loss, (recorder.model(seen) - seen.y).square().mean().item(), atol=1e-6)


@pytest.mark.parametrize("method", ["remul", "gradnorm"])
@pytest.mark.parametrize("samples", [1, 3])
def test_step_with_both_terms_sees_plain_and_turned_graphs(method, samples):
    model, batch = NodeLinear(dtype=torch.float32), single_batch()
    module = make_module(model, method=method, num_samples=samples)
    module.model = Recorder(model)
    module.training_step(batch, 0)
    assert module.model.graphs == [(1 + samples) * batch.num_graphs]
    assert torch.equal(module.model.batches[0].pos[: batch.num_nodes], batch.pos)


def test_step_is_that_of_the_loss_with_its_weights():
    module, batch = make_module(alpha=0.5, beta=2.0, degrees=10.0, seed=3), single_batch()
    criterion = RemulLoss(SO3(10.0), REPS, weighting=ConstantWeighting(0.5, 2.0))
    out = criterion(module.model, batch, generator=derive_generator(3, "rotation", 0))
    assert torch.equal(module.training_step(batch, 0), out.loss)


@pytest.mark.parametrize("method", ["plain", "remul"])
def test_step_adds_the_penalty_of_the_model(method):
    class Penalised(NodeLinear):
        def regularisation(self):
            return 7 * self.head.weight.square().sum()

    model = Penalised(dtype=torch.float32)
    bare = NodeLinear(dtype=torch.float32)
    bare.load_state_dict(model.state_dict())
    batch = single_batch()
    loss, penalised = (make_module(m, method=method).training_step(batch, 0) for m in (bare, model))
    close(penalised, loss + model.regularisation(), atol=1e-5)


@pytest.mark.parametrize("method", ["augmentation", "remul", "gradnorm"])
def test_rotations_depend_on_the_seed_and_the_step_alone(at_step, method):
    batch, model = single_batch(), NodeLinear(dtype=torch.float32)

    def loss(seed, step):
        at_step(step)
        torch.manual_seed(torch.seed())
        return make_module(model, method=method, seed=seed).training_step(batch, 0).item()

    assert loss(1, 5) == loss(1, 5)
    assert len({loss(seed, step) for seed in (1, 2) for step in (0, 5, 6)}) == 6


def test_step_leaves_the_global_generator_alone():
    module, batch = make_module(), single_batch()
    state = torch.get_rng_state()
    module.training_step(batch, 0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("method", "kind", "weights"),
    [
        ("plain", ConstantWeighting, [0.5, 2.0]),
        ("augmentation", ConstantWeighting, [0.0, 1.0]),
        ("remul", ConstantWeighting, [0.5, 2.0]),
        ("gradnorm", GradNorm, [0.5, 2.0]),
    ],
)
def test_method_chooses_the_weighting(method, kind, weights):
    config = make_config(method=method, alpha=0.5, beta=2.0)
    weighting = build_criterion(config, NodeLinear(), REPS).weighting
    assert isinstance(weighting, kind)
    assert weighting.weights.tolist() == weights


def test_gradnorm_takes_its_options():
    config = make_config(method="gradnorm", eta=0.5, gamma=0.25)
    weighting = build_criterion(config, NodeLinear(), REPS).weighting
    assert (weighting.eta, weighting.gamma) == (0.5, 0.25)


def test_loss_takes_the_options_of_the_penalty():
    config = make_config(reference="detached", num_samples=3, degrees=10.0)
    criterion = build_criterion(config, NodeLinear(), REPS)
    assert (criterion.reference, criterion.num_samples) == ("detached", 3)
    assert criterion.group == SO3(10.0)


def test_rotations_come_from_a_pool_of_the_range_and_the_seed():
    config = make_config(degrees=10.0, rotation_pool=4, seed=3)
    group = build_criterion(config, NodeLinear(), REPS).group
    assert group == ElementPool(SO3(10.0), 4, seed=3)


def test_steps_turn_by_the_elements_of_the_pool_alone(at_step):
    model, batch = Recorder(NodeLinear(dtype=torch.float32)), single_batch()
    module = make_module(model, method="augmentation", rotation_pool=2)
    for step in range(8):
        at_step(step)
        module.training_step(batch, 0)
    first = {seen.pos[:4].numpy().tobytes() for seen in model.batches}
    assert len(first) == 2


@pytest.mark.parametrize(
    "model", [EGNN(2, hidden_channels=8, num_layers=1), nn.Linear(1, 1)], ids=["EGNN", "Linear"]
)
def test_gradnorm_is_refused_without_a_linear_head(model):
    name = type(model).__name__
    message = f"`method` must not be 'gradnorm' for a model without a linear head, got {name}."
    with pytest.raises(ValueError, match=message):
        build_criterion(make_config(method="gradnorm"), model, REPS)


def learning_rates(num_steps, **options):
    """The learning rate of each step, by the optimiser and schedule themselves."""
    module = make_module(**options)
    parts = module.configure_optimizers()
    optimizer, schedule = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return torch.tensor(rates, dtype=torch.float64)


def test_learning_rate_of_the_paper_decays_every_1000_steps():
    config = preset("nbody", name="paper")
    parts = RemulModule(config, NodeLinear(), REPS).configure_optimizers()
    (factor,) = parts["lr_scheduler"]["scheduler"].lr_lambdas
    factors = torch.tensor([factor(step) for step in range(config.steps + 1)], dtype=torch.float64)
    stages = (torch.arange(config.steps + 1) // 1000).clamp(max=49)
    close(factors, 0.91201 ** stages.double(), atol=5e-5)
    assert factors[-1].item() == pytest.approx(0.01096, rel=1e-9)


def test_learning_rate_decays_to_its_final_fraction_by_steps():
    rates = learning_rates(100, steps=100, val_every=100, lr=0.5, lr_final=0.1)
    expected = 0.5 * 0.1 ** ((torch.arange(100) // 2) / 49).double()
    close(rates, expected, atol=1e-8)


def test_schedule_moves_with_the_steps():
    schedule = make_module().configure_optimizers()["lr_scheduler"]
    assert schedule["interval"] == "step"


def test_learning_rate_may_stay():
    assert learning_rates(8, lr=0.25, lr_final=1.0).tolist() == [0.25] * 8


def test_optimiser_has_the_parameters_of_the_model():
    module = make_module(method="gradnorm")
    optimizer = module.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Adam)
    (group,) = optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in module.model.parameters()]
    assert (group["betas"], group["weight_decay"]) == ((0.9, 0.999), 0)


@pytest.mark.parametrize("method", ["plain", "augmentation", "remul", "gradnorm"])
def test_validation_logs_every_term(fit, method):
    module = make_module(method=method, equivariance_graphs=3)
    metrics = fit(module).callback_metrics
    assert set(metrics) == {"val/loss", *TERMS, "val/E", "val/E_prime"}
    absent = {
        "plain": TERMS[2:],
        "augmentation": ("train/objective",),
    }.get(method, ())
    assert {name for name, value in metrics.items() if value.isnan()} == set(absent)


@pytest.fixture
def replayed(monkeypatch):
    """Lets steps be recorded without a GPU, and notes what the recorder is asked for."""
    recorder = EagerRecorder()
    monkeypatch.setattr("pyg_remul.captured_step.CudaRecorder", lambda: recorder)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return recorder


@pytest.mark.parametrize("method", ["plain", "augmentation", "remul", "gradnorm"])
def test_replayed_training_equals_training(fit, replayed, method):
    model = NodeLinear(dtype=torch.float32)
    modules = [
        make_module(copy.deepcopy(model), method=method, steps=16, cuda_graphs=captured)
        for captured in (False, True)
    ]
    metrics = []
    for module in modules:
        torch.manual_seed(1)  # of the graphs
        metrics.append(fit(module, num=6, clip=0.5).callback_metrics)
    assert "replay" in replayed.calls
    assert_same(modules[1].state_dict(), modules[0].state_dict())
    torch.testing.assert_close(*metrics, rtol=0, atol=0, equal_nan=True)


def test_replay_is_refused_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    data = TaskData([make_graph()], [make_graph()], {}, REPS, ("pos", "vel"), (), 0)
    with pytest.raises(ValueError, match="`cuda_graphs` must be False without a CUDA device"):
        RemulDataModule(make_config(cuda_graphs=True), data)


@pytest.mark.usefixtures("replayed")
def test_replay_is_refused_for_graphs_of_several_sizes():
    graphs = [make_graph(3), make_graph(4)]
    data = TaskData(graphs, graphs, {}, REPS, ("pos", "vel"), (), 0)
    with pytest.raises(ValueError, match="`cuda_graphs` must be False for graphs of several sizes"):
        RemulDataModule(make_config(cuda_graphs=True), data)


@pytest.mark.parametrize("method", ["plain", "gradnorm"])
def test_losses_of_a_model_in_bfloat16_are_in_float32(method):
    model, batch = Recorder(NodeLinear(dtype=torch.float32)), single_batch()
    module = make_module(model.model, method=method, precision="bf16")
    loss = module.training_step(batch, 0)
    close(loss, make_module(model.model, method=method).training_step(batch, 0), atol=0.1)
    assert loss.dtype == torch.float32
    assert {p.grad.dtype for p in backward(loss, model.model)} == {torch.float32}


def test_model_in_bfloat16_is_rounded():
    model, batch = NodeLinear(dtype=torch.float32), single_batch()
    exact, rounded = (
        make_module(model, method="plain", precision=precision).training_step(batch, 0)
        for precision in ("float32", "bf16")
    )
    assert 0 < abs(exact - rounded) < 0.01 * exact


def test_gradnorm_balances_a_model_in_bfloat16(fit):
    module = make_module(method="gradnorm", precision="bf16")
    fit(module)
    assert module.criterion.weighting.weights.ne(1).all()


@pytest.mark.parametrize("wanted", [False, True], ids=["eager", "compiled"])
def test_model_is_compiled_if_wanted(monkeypatch, wanted):
    compiled = []
    monkeypatch.setattr(GNN, "compile", lambda self: compiled.append(self))
    model = GNN(6, 8, num_layers=1, edge_dim=0, inputs=("pos", "vel"))
    make_module(model, compile=wanted)
    assert compiled == [model] * wanted


def test_equivariance_may_go_unmeasured(fit):
    assert not {"val/E", "val/E_prime"} & set(fit(make_module()).callback_metrics)


def test_logged_terms_are_means_since_the_last_validation(fit, monkeypatch):
    losses = []
    step = RemulModule.training_step

    def note(self, batch, index):
        losses.append(step(self, batch, index))
        return losses[-1]

    monkeypatch.setattr(RemulModule, "training_step", note)
    metrics = fit(make_module()).callback_metrics
    close(metrics["train/loss"], torch.stack(losses[-4:]).mean().item(), atol=1e-6)


def test_logged_terms_add_up_to_the_loss(fit):
    metrics = fit(make_module(alpha=0.5, beta=2.0)).callback_metrics
    loss, objective, equivariance, alpha, beta = (metrics[name] for name in TERMS)
    assert (alpha.item(), beta.item()) == (0.5, 2.0)
    close(loss, (alpha * objective + beta * equivariance).item(), atol=1e-5)


def test_validation_loss_is_the_mean_over_nodes():
    module = make_module()
    batches = [make_batch(sizes, dtype=torch.float32) for sizes in ((1, 2), (5, 6, 7))]
    for batch in batches:
        module.validation_step(batch, 0)
    rows = torch.cat([module.model(batch) - batch.y for batch in batches])
    close(module.val_loss.compute(), rows.square().mean().item(), atol=1e-6)


def test_batches_go_on_from_epoch_to_epoch(fit, monkeypatch):
    seen = []
    step = RemulModule.training_step

    def note(self, batch, index):
        seen.append(batch.pos.clone())
        return step(self, batch, index)

    monkeypatch.setattr(RemulModule, "training_step", note)
    module = make_module(steps=9, val_every=3, batch_size=4, seed=2)
    trainer = fit(module, num=6)
    loader = RemulDataModule.train_dataloader(
        types.SimpleNamespace(
            config=make_config(steps=9, val_every=9, batch_size=4, seed=2),
            trainer=None,
            train_graphs=trainer.datamodule.train_graphs,
        )
    )
    assert_same(seen, [batch.pos for batch in loader])


def test_graphs_are_held_on_the_device_of_the_training():
    data = TaskData([make_graph()], [make_graph()], {}, REPS, ("pos", "vel"), (), 0)
    module = RemulDataModule(make_config(), data)
    device = torch.device("meta")
    module.trainer = types.SimpleNamespace(strategy=types.SimpleNamespace(root_device=device))
    module.setup("fit")
    assert module.train_graphs.device == module.val_graphs.device == device


def test_training_lowers_the_loss(fit):
    module = make_module(method="plain", steps=40, val_every=20, lr=1e-2)
    initial = copy.deepcopy(module.model)
    trainer = fit(module)
    graphs = trainer.datamodule.val_graphs.select(torch.arange(5))
    before = module.criterion.supervise(initial, graphs)
    assert trainer.callback_metrics["val/loss"] < 0.9 * before


def test_module_predicts_like_its_model():
    module, batch = make_module(), single_batch()
    assert torch.equal(module(batch), module.model(batch))


def test_state_of_gradnorm_is_saved_with_the_module():
    module = make_module(method="gradnorm")
    module.training_step(single_batch(), 0)
    names = [name for name in module.state_dict() if name.startswith("criterion.weighting.")]
    assert "criterion.weighting.weights" in names
