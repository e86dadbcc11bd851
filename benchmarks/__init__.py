"""Measurements of speed, one question a module; ``pyg-remul bench NAME`` runs them."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["BenchmarkName"]

BenchmarkName: TypeAlias = Literal[
    "attention",
    "complexity",
    "gatr",
    "loader",
    "messages",
    "motion",
    "nbody",
    "rotation",
    "se3",
    "segments",
    "simulation",
    "step",
    "throughput",
    "training_step",
    "trajectory",
]
"""The modules; each has a ``main`` that takes the settings of the harness."""
