"""Outcomes that no training gave."""

from __future__ import annotations

import dataclasses
import json

import torch

from pyg_remul.presets import preset
from pyg_remul.provenance import Provenance
from pyg_remul.reproduction.outcomes import Outcome
from pyg_remul.reproduction.study import Case, Method
from pyg_remul.run_folder import RunFolder

NBODY = Case(name="N-body", options={"task": "nbody"})
RUN = Case(name="run", options={"task": "mocap-run"})
ETHANOL = Case(name="ethanol", options={"task": "md17", "molecule": "ethanol", "source": "xtb"})
XTB = Provenance(
    source="GFN2-xTB trajectory of this project, not MD17's DFT, 3,000 frames ahead",
    published=False,
    graphs={"train": 500, "val": 2000, "test": 24},
)


def make_method(kind="plain", model="gnn", name=None, settings=({},), **options):
    trained = {"model": model, "method": "plain" if kind == "rival" else kind, **options}
    return Method(name=name or f"{model} {kind}", kind=kind, options=trained, settings=settings)


def write_run(folder, case, errors, *, origins=None, error=1.0, validation=1.0, provenance=XTB):
    """A finished run with given errors of its test graphs by split."""
    run = RunFolder(folder)
    options = {name: value for name, value in case.options.items() if name != "task"}
    run.claim(preset(case.options["task"], "gnn", **options))
    if provenance is not None:
        run.write_data(dataclasses.asdict(provenance))
    run.write_metrics([{"val/loss": validation}])
    errors = {split: torch.as_tensor(values).double() for split, values in errors.items()}
    run.write_errors(errors, {split: origins or {} for split in errors})
    results = {split: {"mse": float(values.mean())} for split, values in errors.items()}
    equivariance = {"E": error, "E_prime": 5 * error, "E_relative": error / 9}
    results["test"] |= {**equivariance, "E_prime_relative": error / 2}
    run.write_results(results)
    return run


def make_outcome(folder, case=ETHANOL, method=None, level=1.0, **options):
    """An outcome whose runs have errors about a level, alike from outcome to outcome.

    Its errors out of distribution are `ood` times those in distribution, spread over seeds by
    `noise`, and relative to other outcomes grow by `tilt` from the first graph to the last.
    """
    method = make_method() if method is None else method
    setting = options.pop("setting", {})
    seeds, graphs = options.pop("seeds", 3), options.pop("graphs", 24)
    splits, validation = options.pop("splits", ("test",)), options.pop("validation", level)
    noise, ood = options.pop("noise", 0.2), options.pop("ood", 4.0)
    chosen = options.pop("chosen", True)
    name = "-".join([case.name, method.name, json.dumps(setting)]).replace("/", "")
    hardness = torch.rand(graphs, generator=torch.Generator().manual_seed(0)) + 0.5
    hardness = hardness * torch.linspace(1, 1 + options.pop("tilt", 0.0), graphs)
    runs = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed + 1)
        luck = 1 + noise * (torch.rand(2, generator=generator)[0] - 0.5)
        errors = {
            split: level * factor * hardness * luck
            for split, factor in zip(splits, (1.0, ood), strict=False)
        }
        runs.append(
            write_run(folder / name / str(seed), case, errors, validation=validation, **options)
        )
    return Outcome(
        case=case,
        method=method,
        setting=setting,
        runs=tuple(runs),
        validation=validation,
        chosen=chosen,
    )


def make_diverged(case=ETHANOL, method=None, setting=None, *, chosen=False):
    """An outcome without runs."""
    return Outcome(
        case=case,
        method=make_method() if method is None else method,
        setting={} if setting is None else setting,
        runs=(),
        validation=float("inf"),
        chosen=chosen,
    )
