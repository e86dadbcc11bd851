"""A study of runs that take a moment, and runs of it that no training gave."""

from __future__ import annotations

import torch

from pyg_remul.reproduction.study import Case, Method, Study

NBODY = Case(name="N-body", options={"task": "nbody"})
RATES = ({"lr": 1e-3}, {"lr": 1e-2})
BETAS = ({"beta": 0.1}, {"beta": 1.0})
TUNED = Method(
    name="GNN", kind="plain", options={"model": "gnn", "method": "plain"}, settings=RATES
)
SWEPT = Method(
    name="+ REMUL",
    kind="remul",
    options={"model": "gnn", "method": "remul"},
    settings=BETAS,
    sweep=True,
)
OPTIONS = {
    "hidden_channels": 8,
    "num_layers": 1,
    "steps": 8,
    "val_every": 2,
    "clip": None,
    "batch_size": 4,
    "num_train": 8,
    "num_eval": 4,
    "error_graphs": 2,
    "equivariance_graphs": 0,
}


def tiny_study(*methods, **options):
    options = {"seeds": 2, "tuning": 0.5, **options}
    return Study(cases=(NBODY,), methods=methods or (TUNED, SWEPT), options=OPTIONS, **options)


def write_finished(folder, config, loss=1.0):
    """Makes a folder that of a finished run."""
    folder.claim(config)
    folder.write_metrics([{"step": config.steps, "val/loss": loss}])
    folder.checkpoints.mkdir(exist_ok=True)
    torch.save({}, folder.best)
    folder.write_errors({"test": torch.full((4,), loss)}, {"test": {}})
    folder.write_results({"test": {"mse": loss, "E": loss, "E_prime": loss}})
    return folder


def write_diverged(folder, config):
    """Makes a folder that of a run that diverged."""
    folder.claim(config)
    folder.write_divergence(4, "the weights are not finite.")
    return folder


def write_fallen(folder, config, loss=1.0):
    """Makes a folder that of a run whose errors on the test data were not finite."""
    folder.claim(config)
    folder.write_metrics([{"step": config.steps, "val/loss": loss}])
    folder.write_divergence(config.steps, "errors are not finite.", trained=True)
    return folder
