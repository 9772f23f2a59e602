"""Measures of one trained network: plain functions, each with the equation of the paper that it computes.

They are loaded when they are first used, so that importing this package compiles nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpcspike.correlation import pearson as pearson
    from hpcspike.measures.altered import with_weights as with_weights
    from hpcspike.measures.balance import measure_spread as measure_spread
    from hpcspike.measures.balance import record_currents as record_currents
    from hpcspike.measures.balance import weight_sums as weight_sums
    from hpcspike.measures.clamped import clamped_split as clamped_split
    from hpcspike.measures.evaluation import evaluate as evaluate
    from hpcspike.measures.heterogeneity import correlation_time as correlation_time
    from hpcspike.measures.heterogeneity import measure_heterogeneity as measure_heterogeneity
    from hpcspike.measures.kept_signs import signs as signs
    from hpcspike.measures.lesion import measure_lesions as measure_lesions
    from hpcspike.measures.lesion import without_neurons as without_neurons
    from hpcspike.measures.performance import measure_performance as measure_performance
    from hpcspike.measures.perturbation import delete_spike as delete_spike
    from hpcspike.measures.perturbation import record_trial as record_trial
    from hpcspike.measures.quasi_static import predict_quasi_static as predict_quasi_static
    from hpcspike.measures.rates import binned_counts as binned_counts
    from hpcspike.measures.rates import binned_rates as binned_rates
    from hpcspike.measures.rates import raster as raster
    from hpcspike.measures.shuffle import measure_shuffles as measure_shuffles
    from hpcspike.measures.spectrum import fast_share as fast_share
    from hpcspike.measures.spectrum import spectral_index as spectral_index
    from hpcspike.measures.successive_recall import recall as recall
    from hpcspike.measures.taught import taught_correlation as taught_correlation
    from hpcspike.measures.theory import lag_scale as lag_scale
    from hpcspike.measures.theory import sampling_scale as sampling_scale
    from hpcspike.measures.theory import tracking_scale as tracking_scale
    from hpcspike.measures.variability import fano_factor as fano_factor
    from hpcspike.measures.variability import irregularity as irregularity
    from hpcspike.measures.variability import pair_correlations as pair_correlations
    from hpcspike.measures.weight_eigenvalues import eigenvalues as eigenvalues

_HOMES = {
    "binned_counts": "rates",
    "binned_rates": "rates",
    "clamped_split": "clamped",
    "correlation_time": "heterogeneity",
    "delete_spike": "perturbation",
    "eigenvalues": "weight_eigenvalues",
    "evaluate": "evaluation",
    "fano_factor": "variability",
    "fast_share": "spectrum",
    "irregularity": "variability",
    "lag_scale": "theory",
    "measure_heterogeneity": "heterogeneity",
    "measure_lesions": "lesion",
    "measure_performance": "performance",
    "measure_shuffles": "shuffle",
    "measure_spread": "balance",
    "pair_correlations": "variability",
    "pearson": ".correlation",  # beside this package: tests in training need it, too
    "predict_quasi_static": "quasi_static",
    "raster": "rates",
    "recall": "successive_recall",
    "record_currents": "balance",
    "record_trial": "perturbation",
    "sampling_scale": "theory",
    "signs": "kept_signs",
    "spectral_index": "spectrum",
    "taught_correlation": "taught",
    "tracking_scale": "theory",
    "weight_sums": "balance",
    "with_weights": "altered",
    "without_neurons": "lesion",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module 'hpcspike.measures' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
