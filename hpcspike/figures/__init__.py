"""Figures: Dataset in, matplotlib Figure out."""

from hpcspike.figures.available import figures_for
from hpcspike.figures.error_panels import error_kinds
from hpcspike.figures.limits import capacity_panels
from hpcspike.figures.loops import learning_curves, training_curves
from hpcspike.figures.network import error_split, raster, target_against_response
from hpcspike.figures.planes import performance_map
from hpcspike.figures.recorded import data_beside_model
from hpcspike.figures.tuning import collapse_panels, inverted_u_curves

__all__ = [
    "capacity_panels",
    "collapse_panels",
    "data_beside_model",
    "error_kinds",
    "error_split",
    "figures_for",
    "inverted_u_curves",
    "learning_curves",
    "performance_map",
    "raster",
    "target_against_response",
    "training_curves",
]
