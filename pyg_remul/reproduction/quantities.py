"""What figures call the quantities of outcomes, and the units they show them in."""

from __future__ import annotations

from pyg_remul.reproduction.outcomes import Outcome, Quantity

__all__ = ["LABELS", "shown_mean", "shown_spread"]

LABELS: dict[Quantity, str] = {
    "mse": "MSE (10⁻²)",
    "ood": "OOD MSE (10⁻²)",
    "E": "E",
    "E_prime": "E′",
}
"""The labels of axes, with units that are those of the tables."""
_UNITS: dict[Quantity, float] = {"mse": 1e-2, "ood": 1e-2}


def shown_mean(outcome: Outcome, quantity: Quantity) -> float:
    """The mean over seeds, in the unit of the label.

    Args:
        outcome: The outcome.
        quantity: The quantity.
    """
    return outcome.mean(quantity) / _UNITS.get(quantity, 1.0)


def shown_spread(outcome: Outcome, quantity: Quantity) -> float:
    """The standard deviation over seeds, in the unit of the label.

    Args:
        outcome: The outcome.
        quantity: The quantity.
    """
    return outcome.spread(quantity) / _UNITS.get(quantity, 1.0)
