"""The numbers that the paper prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from pyg_remul.reproduction.study import Case, Method

__all__ = ["FRAMES_AHEAD", "Published", "find_published"]

FRAMES_AHEAD: Final = 3000
"""Most probably the frames between input and target in table 2; the paper's text says 5000."""

_Model: TypeAlias = tuple[str, str]
_Errors: TypeAlias = dict[_Model, str]

_TRANSFORMER: Final = (
    ("se3", "plain"),
    ("gatr", "plain"),
    ("transformer", "plain"),
    ("transformer", "augmentation"),
    ("transformer", "remul"),
)
_RIVALS: Final = (("emlp", "plain"), ("rpp", "plain"), ("per", "plain"))
_MLP: Final = (("mlp", "plain"), ("mlp", "augmentation"), ("mlp", "remul"))
_GNN: Final = (("egnn", "plain"), ("gnn", "plain"), ("gnn", "augmentation"), ("gnn", "remul"))


def _row(models: tuple[_Model, ...], *printed: str) -> _Errors:
    return dict(zip(models, printed, strict=True))


_TABLE_1: Final = {
    "mocap-walk": {
        **_row(
            _TRANSFORMER, "10.85 ± 1.3", "10.06 ± 1.3", "5.21 ± 0.08", "5.3 ± 0.18", "4.95 ± 0.1"
        ),
        **_row(_RIVALS, "7.01 ± 0.46", "6.99 ± 0.21", "7.48 ± 0.39"),
        **_row(_MLP, "6.80 ± 0.18", "6.37 ± 0.04", "6.04 ± 0.09"),
    },
    "mocap-run": {
        **_row(
            _TRANSFORMER, "42.13 ± 3.4", "32.38 ± 3.9", "20.78 ± 1.5", "29.83 ± 1.4", "18.5 ± 0.7"
        ),
        **_row(_RIVALS, "57.38 ± 8.39", "34.18 ± 2.00", "33.03 ± 0.37"),
        **_row(_MLP, "39.56 ± 2.25", "40.23 ± 0.94", "32.57 ± 1.47"),
    },
}
_TABLE_2: Final = {
    "aspirin": _row(_GNN, "14.41 ± 0.15", "9.26 ± 0.40", "13.7 ± 0.04", "9.28 ± 0.40"),
    "benzene": _row(_GNN, "62.40 ± 0.53", "26.13 ± 0.11", "110.93 ± 5.3", "25.95 ± 0.18"),
    "ethanol": _row(_GNN, "4.64 ± 0.01", "4.26 ± 0.03", "5.74 ± 0.02", "4.02 ± 0.16"),
    "malonaldehyde": _row(_GNN, "13.64 ± 0.01", "18.45 ± 0.54", "13.65 ± 0.02", "13.59 ± 0.03"),
    "naphthalene": _row(_GNN, "0.47 ± 0.02", "0.54 ± 0.001", "0.69 ± 0.001", "0.54 ± 0.001"),
    "salicylic": _row(_GNN, "1.02 ± 0.02", "1.02 ± 0.02", "1.33 ± 0.04", "0.99 ± 0.001"),
    "toluene": _row(_GNN, "11.78 ± 0.07", "9.93 ± 0.82", "19.14 ± 0.001", "9.38 ± 0.20"),
    "uracil": _row(_GNN, "0.64 ± 0.01", "0.70 ± 0.001", "0.73 ± 0.002", "0.67 ± 0.001"),
}
_PER_UNIT = 100


@dataclass(frozen=True)
class Published:
    """A mean squared error that the paper prints."""

    printed: str
    """Mean and standard deviation over its runs, in hundredths, with the digits of the paper."""

    @property
    def mean(self) -> float:
        """The mean, in the squared length of the case's files."""
        return self._numbers()[0]

    @property
    def spread(self) -> float:
        """The standard deviation, in the same unit."""
        return self._numbers()[1]

    def _numbers(self) -> tuple[float, ...]:
        return tuple(round(float(number) / _PER_UNIT, 6) for number in self.printed.split(" ± "))


def find_published(case: Case, method: Method) -> Published | None:
    """Finds a method among the tables 1 and 2 of `REMUL <https://arxiv.org/abs/2410.17878>`_ (v2).

    Note:
        The column of EGNN in table 2 is that of `GMN <https://arxiv.org/abs/2203.06442>`_. The
        table's targets are most probably 3000 frames ahead; the text says 5000.

    Args:
        case: The data, by its task and molecule.
        method: The method, by its model and way of training.

    Returns:
        What is printed, ``None`` if nothing is.

    Example:
        >>> case = Case(name="", options={"task": "md17", "molecule": "ethanol"})
        >>> method = Method(name="", kind="plain", options={"model": "gnn", "method": "plain"})
        >>> find_published(case, method)
        Published(printed='4.26 ± 0.03')
    """
    if method.control or method.options.get("num_samples", 1) != 1:
        return None
    task = case.options["task"]
    name = case.options["molecule"] if task == "md17" else task
    model = method.options["model"], method.options["method"]
    printed = (_TABLE_1 | _TABLE_2).get(name, {}).get(model)
    return None if printed is None else Published(printed)
