"""From a sweep's Dataset to tables: Dataset in, Dataset out, with units, lazy where the input is."""

from hpcspike.analysis.available import analyses_for
from hpcspike.analysis.comparison import compare
from hpcspike.analysis.crossing import crossings, fit_law, paper_law
from hpcspike.analysis.error_map import error_types
from hpcspike.analysis.limits import capacity
from hpcspike.analysis.lines import level_line, optimum
from hpcspike.analysis.mapping import performance
from hpcspike.analysis.neurons import neuron_correlation
from hpcspike.analysis.scaling import collapse
from hpcspike.analysis.spectra import power_spectrum
from hpcspike.analysis.spiking import spike_statistics
from hpcspike.analysis.tuning import inverted_u
from hpcspike.analysis.unit_table import recorded_units

__all__ = [
    "analyses_for",
    "capacity",
    "collapse",
    "compare",
    "crossings",
    "error_types",
    "fit_law",
    "inverted_u",
    "level_line",
    "neuron_correlation",
    "optimum",
    "paper_law",
    "performance",
    "power_spectrum",
    "recorded_units",
    "spike_statistics",
]
