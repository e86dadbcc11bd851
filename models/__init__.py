"""Models that map the nodes of a graph to one row of outputs each, one architecture a module."""

from pyg_remul.models.egnn import EGNN
from pyg_remul.models.emlp import EMLP
from pyg_remul.models.flat_mlp import FlatMLP
from pyg_remul.models.gatr import GATr
from pyg_remul.models.gnn import GNN
from pyg_remul.models.graph_transformer import GraphTransformer
from pyg_remul.models.multi_channel_egnn import MultiChannelEGNN
from pyg_remul.models.per import PER
from pyg_remul.models.rpp import RPP
from pyg_remul.models.se3_transformer import SE3Transformer

__all__ = [
    "EGNN",
    "EMLP",
    "GNN",
    "PER",
    "RPP",
    "FlatMLP",
    "GATr",
    "GraphTransformer",
    "MultiChannelEGNN",
    "SE3Transformer",
]
