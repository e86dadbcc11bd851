"""Datasets of the paper as PyTorch Geometric datasets."""

from pyg_remul.datasets.md17 import MD17Trajectory
from pyg_remul.datasets.mocap import MoCap
from pyg_remul.datasets.nbody import NBody

__all__ = ["MD17Trajectory", "MoCap", "NBody"]
