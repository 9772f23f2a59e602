"""Figures: Dataset or tree of a study in, matplotlib Figure out."""

from hpcspike.figures.available import figures_for
from hpcspike.figures.comparison import comparison_panels
from hpcspike.figures.currents import balance_of_currents, perturbation_map
from hpcspike.figures.effects import parameter_effects
from hpcspike.figures.error_panels import error_kinds
from hpcspike.figures.limits import capacity_panels
from hpcspike.figures.loops import learning_curves, training_curves
from hpcspike.figures.maps import map_of
from hpcspike.figures.network import error_split, raster, target_against_response
from hpcspike.figures.planes import performance_map
from hpcspike.figures.point import networks_side_by_side, point_overview
from hpcspike.figures.psth import unit_psths
from hpcspike.figures.recorded import data_beside_model
from hpcspike.figures.study_balanced import balance, noise_curves, rate_code, systems_learned
from hpcspike.figures.study_curves import performance_by_variant, study_curves
from hpcspike.figures.study_damage import lesion_curves, phase_deviation, shuffle_curves
from hpcspike.figures.study_examples import example_traces
from hpcspike.figures.study_goals import goals_found
from hpcspike.figures.study_learners import damage_curves, scores_by_variant
from hpcspike.figures.study_memory import wrong_answers
from hpcspike.figures.study_quasi_static import quasi_static_rates
from hpcspike.figures.study_rasters import study_rasters
from hpcspike.figures.study_recall import recall_matrices
from hpcspike.figures.study_spread import spread_panels
from hpcspike.figures.study_weights import eigenvalue_panels, rank_by_variant
from hpcspike.figures.tuning import collapse_panels, inverted_u_curves
from hpcspike.figures.variability import spike_variability

__all__ = [
    "balance",
    "balance_of_currents",
    "capacity_panels",
    "collapse_panels",
    "comparison_panels",
    "damage_curves",
    "data_beside_model",
    "eigenvalue_panels",
    "error_kinds",
    "error_split",
    "example_traces",
    "figures_for",
    "goals_found",
    "inverted_u_curves",
    "learning_curves",
    "lesion_curves",
    "map_of",
    "noise_curves",
    "networks_side_by_side",
    "parameter_effects",
    "performance_by_variant",
    "performance_map",
    "perturbation_map",
    "phase_deviation",
    "point_overview",
    "quasi_static_rates",
    "rank_by_variant",
    "raster",
    "rate_code",
    "recall_matrices",
    "scores_by_variant",
    "shuffle_curves",
    "spike_variability",
    "spread_panels",
    "study_curves",
    "study_rasters",
    "systems_learned",
    "target_against_response",
    "training_curves",
    "wrong_answers",
    "unit_psths",
]
