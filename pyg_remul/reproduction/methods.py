"""What the studies of the catalogue are put together from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from pyg_remul.reproduction.study import Kind, Method, Setting, Study

__all__ = [
    "BETAS",
    "Scale",
    "by_kind",
    "controls",
    "cut",
    "drawn",
    "grid",
    "is_drawn",
    "swept",
    "tuned",
]

Scale: TypeAlias = Literal["smoke", "laptop", "paper"]
"""``"smoke"`` takes seconds and shows that it works, ``"laptop"`` at most 40 minutes on two cores,
``"paper"`` has the published sizes."""

BETAS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Weights of the equivariance loss."""

_TINY: Setting = {
    "hidden_channels": 8,
    "num_layers": 1,
    "num_degrees": 2,
    "steps": 4,
    "val_every": 2,
    "batch_size": 4,
    "num_train": 8,
    "num_eval": 4,
    "error_graphs": 2,
}


def grid(name: str, values: Sequence[Any], **fixed: Any) -> tuple[Setting, ...]:
    """Settings that differ in one option.

    Args:
        name: The option.
        values: Its values.
        **fixed: Options that all of them have.
    """
    return tuple({**fixed, name: value} for value in values)


def by_kind(
    kind: Kind, name: str, model: str, settings: tuple[Setting, ...] = ({},), **options: Any
) -> Method:
    """A method whose way of training is its kind, plain training for rivals.

    Args:
        kind: How it is trained.
        name: What tables call it.
        model: The model.
        settings: Those among which the validation loss chooses.
        **options: Options of all its settings.
    """
    chosen = {"model": model, "method": "plain" if kind == "rival" else kind, **options}
    return Method(name=name, kind=kind, options=chosen, settings=settings)


def swept(method: Method) -> Method:
    """The method with all settings trained in full, for a curve over them.

    Args:
        method: The method.
    """
    return dataclasses.replace(method, sweep=True)


def is_drawn(method: Method) -> bool:
    """Whether figures against the weight of the equivariance loss show a method of a table.

    Of the plain model and of augmentation, they show the controls, which have REMUL's options.

    Args:
        method: The method.
    """
    return method.control or method.kind not in ("plain", "augmentation")


def drawn(methods: Iterable[Method]) -> tuple[Method, ...]:
    """The methods that such figures show, REMUL with all of its weights.

    Args:
        methods: Those of a table.
    """
    return tuple(swept(m) if m.kind == "remul" else m for m in methods if is_drawn(m))


def tuned(model: str, name: str, settings: tuple[Setting, ...]) -> tuple[Method, ...]:
    """A model as it is and with augmentation, each with a choice of settings.

    Args:
        model: The model.
        name: What tables call it.
        settings: The choice.
    """
    return (
        by_kind("plain", name, model, settings),
        by_kind("augmentation", "+ augmentation", model, settings),
    )


def controls(model: str, name: str, **options: Any) -> tuple[Method, ...]:
    """Methods that differ from REMUL in their loss alone; augmentation has its passes, too.

    Args:
        model: The model.
        name: What tables call it.
        **options: Those of REMUL.
    """
    turned = {"num_samples": 2, **options}
    methods = (
        by_kind("plain", f"{name}, REMUL's options", model, **options),
        by_kind("augmentation", "+ augmentation, REMUL's options and passes", model, **turned),
    )
    return tuple(dataclasses.replace(method, control=True) for method in methods)


def cut(study: Study, scale: Scale) -> Study:
    """The study itself or, to show that it works, two settings of each method and one seed.

    Args:
        study: The study.
        scale: Only ``"smoke"`` changes it.
    """
    if scale != "smoke":
        return study
    methods = tuple(
        dataclasses.replace(method, settings=method.settings[:2]) for method in study.methods
    )
    options = {**study.options, **_TINY}
    return dataclasses.replace(study, methods=methods, options=options, seeds=1)
