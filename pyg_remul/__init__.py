"""Relaxed equivariance by multitask learning for PyTorch Geometric."""

from pyg_remul._version import __version__
from pyg_remul.element import GroupElement
from pyg_remul.element_pool import ElementPool
from pyg_remul.groups import E2, E3, O2, O3, SE2, SE3, SO2, SO3
from pyg_remul.loss import RemulLoss, RemulOutput
from pyg_remul.metrics import EquivarianceError, equivariance_error
from pyg_remul.stacked_loader import StackedLoader
from pyg_remul.transforms import RandomRotation, SubtractCenterOfMass
from pyg_remul.weighting import ConstantWeighting, GradNorm

__all__ = [
    "E2",
    "E3",
    "O2",
    "O3",
    "SE2",
    "SE3",
    "SO2",
    "SO3",
    "ConstantWeighting",
    "ElementPool",
    "EquivarianceError",
    "GradNorm",
    "GroupElement",
    "RandomRotation",
    "RemulLoss",
    "RemulOutput",
    "StackedLoader",
    "SubtractCenterOfMass",
    "__version__",
    "equivariance_error",
]
