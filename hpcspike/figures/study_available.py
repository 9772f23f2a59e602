"""Which figures the tree of a study allows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import xarray as xr
from matplotlib.figure import Figure

from hpcspike.figures.study_balanced import balance, noise_curves, rate_code, systems_learned
from hpcspike.figures.study_curves import performance_by_variant, study_curves
from hpcspike.figures.study_damage import lesion_curves, perturbation_pages, phase_deviation, shuffle_curves
from hpcspike.figures.study_episode import errors_within_trials
from hpcspike.figures.study_examples import example_pages, example_traces
from hpcspike.figures.study_goals import goals_found
from hpcspike.figures.study_learners import damage_curves, scores_by_variant
from hpcspike.figures.study_memory import wrong_answers
from hpcspike.figures.study_parts import holding, networks
from hpcspike.figures.study_quasi_static import quasi_static_pages, quasi_static_rates
from hpcspike.figures.study_rasters import raster_pages, study_rasters
from hpcspike.figures.study_recall import recall_matrices, recall_pages
from hpcspike.figures.study_spread import spread_panels
from hpcspike.figures.study_weights import eigenvalue_pages, eigenvalue_panels, rank_by_variant

Draw = Callable[..., Figure]
Paged = Callable[[xr.DataTree], list[list[str]]]

# name -> a variable that it needs, the function, and how its variants are spread over several figures
_FIGURES: dict[str, tuple[str, Draw, Paged | None]] = {
    "examples": ("target", example_traces, example_pages),
    "rasters": ("spike_time", study_rasters, raster_pages),
    "curves": ("curve_correlation", study_curves, None),
    "performance": ("correlation", performance_by_variant, None),
    "quasi_static": ("binned_rate", quasi_static_rates, quasi_static_pages),
    "lesion": ("lesion_correlation", lesion_curves, None),
    "shuffle": ("shuffle_correlation", shuffle_curves, None),
    "perturbation": ("phase_deviation_after", phase_deviation, perturbation_pages),
    "eigenvalues": ("eigenvalue_real_after", eigenvalue_panels, eigenvalue_pages),
    "recall": ("recall_correlation", recall_matrices, recall_pages),
    "scores": ("untrained_score", scores_by_variant, None),
    "damage": ("damage_score", damage_curves, None),
    "noise": ("noise_score", noise_curves, None),
    "systems": ("system_matrix", systems_learned, None),
    "balance": ("ei_correlation_after", balance, None),
    "rate_code": ("poisson_score", rate_code, None),
    "episode": ("episode_error", errors_within_trials, None),
    "goals": ("goal_time_after", goals_found, None),
    "memory": ("test_wrong", wrong_answers, None),
    "spread": ("input_part", spread_panels, None),
    "heterogeneity": ("rank", rank_by_variant, None),
}


def figures_of_study(tree: xr.DataTree) -> dict[str, Callable[[], Figure]]:
    """The figures that the networks of a study allow, by name; call one to draw it.

    Variants that do not fit into one figure go on in ``examples_2`` and so on.
    """
    figures: dict[str, Callable[[], Figure]] = {}
    for name, (variable, draw, paged) in _FIGURES.items():
        if not _drawable(tree, name, variable):
            continue
        for number, variants in enumerate(paged(tree) if paged else [None], start=1):
            figures[name if number == 1 else f"{name}_{number}"] = partial(draw, tree, variants=variants)
    return figures


def _drawable(tree: xr.DataTree, name: str, variable: str) -> bool:
    found = [networks(tree, variant)[0] for variant in holding(tree, variable)]
    if name == "rasters":
        return any(one.sizes["raster_neuron"] > 0 for one in found)
    if name == "curves":
        return any(one.sizes["loop"] > 0 for one in found)
    if name == "performance":  # where answers are right or wrong, or goals are reached, there is none
        return any("test_wrong" not in one and "test_goals" not in one for one in found)
    return bool(found)
