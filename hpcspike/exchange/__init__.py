"""A trained network for others: Neo, NWB, Brian2, NIR, SONATA, scipy.sparse, labelled matrices; logs of training.

What comes in, targets in NWB, netCDF, CSV or JLD2, is read through ``targets.kind: recorded`` of an experiment.
"""

from hpcspike.exchange.brian2_script import write_brian2
from hpcspike.exchange.logs import MlflowLog, TensorBoardLog
from hpcspike.exchange.neo_block import to_neo
from hpcspike.exchange.nir_graph import nir_input, write_nir
from hpcspike.exchange.nwb_file import write_nwb
from hpcspike.exchange.sonata_folder import write_sonata
from hpcspike.exchange.tsn_folder import read_tsn
from hpcspike.exchange.tsn_network import network_of_tsn
from hpcspike.exchange.weights import weight_matrix, weights_csr

__all__ = [
    "MlflowLog",
    "TensorBoardLog",
    "network_of_tsn",
    "nir_input",
    "read_tsn",
    "to_neo",
    "weight_matrix",
    "weights_csr",
    "write_brian2",
    "write_nir",
    "write_nwb",
    "write_sonata",
]
