"""Claims where recall does not fail by itself: loops from random states, loss of neurons, parts of the errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import mean_interval, slope_interval
from hpcspike.studies.claim_tables import (
    LEARNED,
    RANDOM_STARTS,
    Tables,
    correlations_of,
    difference,
    following,
    point_columns,
    values_of,
    variants_of,
)
from hpcspike.studies.claims import Row, above, below, covers

STARTS = (
    (1, "fig1", "drive", "correlation", "drive and sine target, drive"),
    (1, "fig1", "rate", "correlation_trial_mean", "trial-averaged filtered spikes and rate target, rate"),
    (1, "fig2", "drive", "recall_correlation", "drive and the cued one of two target sets, drive"),
    (11, "fig4", "conditioned", "correlation", "drive and innate trajectory, conditioned"),
)
"""Claim, study, variant that is there with both readings of where a training loop starts, its measure, and words."""


def gain_from_random_starts(tables: Tables, claim: int) -> Iterator[Row]:
    """What loops from random states gain over loops that run on: networks of the same weights, targets and cue."""
    for one, study, variant, name, words in STARTS:
        if one != claim:
            continue
        both = [correlations_of(tables, study, which, name) for which in (variant + RANDOM_STARTS, variant)]
        gained = difference(*both)
        if np.isfinite(gained).any():
            found = mean_interval(gained)
            measure = f"correlation of {words}: loops from random states minus loops that run on"
            if name == "correlation_trial_mean":
                measure += _in_single_trials(tables, study, variant)
            yield Row(claim, measure, study, "above 0", found, above(found, 0.0))


def _in_single_trials(tables: Tables, study: str, variant: str) -> str:
    """The same gain in single trials, in brackets; '' if the table does not hold it."""
    gained = difference(*(correlations_of(tables, study, which) for which in (variant + RANDOM_STARTS, variant)))
    if not np.isfinite(gained).any():
        return ""
    found = mean_interval(gained)
    interval = f", {found.low:.2f} to {found.high:.2f}" if np.isfinite(found.low) else ""
    return f" (single trials {found.value:.2f}{interval})"


def loss_of_those_who_recall(tables: Tables) -> Iterator[Row]:
    """Claim 8, loops from random states: the mean, and the share of neurons that follow (worst tenth beside it)."""
    for variant in variants_of(tables, "lesion"):
        fractions = tables["lesion"]["lesion_fraction"].values.tolist()
        if 0.0 not in fractions:
            return

        def of(variable: str, fraction: float, variant: str = variant) -> np.ndarray:
            return values_of(tables, "lesion", variable, variant, lesion_fraction=fraction)

        for fraction, most_lost in ((0.05, 0.05), (0.1, 0.15), (0.4, None)):
            if fraction not in fractions:
                continue
            lost = mean_interval(of("lesion_correlation", 0.0) - of("lesion_correlation", fraction))
            share = mean_interval(of("lesion_share_followed", fraction))
            worst = mean_interval(of("lesion_worst_decile", fraction)).value
            words = f"{fraction:.0%} of the neurons are lost, {variant}, random starts"
            fall = f"fall of the correlation when {words}{following(share.value)}"
            followed = f"share of neurons above {LEARNED} when {words} (worst tenth: correlation {worst:.2f})"
            if most_lost is None:
                yield Row(8, fall, "lesion", "above 0.3", lost, above(lost, 0.3))
                yield Row(8, followed, "lesion", "below 0.1", share, below(share, 0.1))
                continue
            yield Row(8, fall, "lesion", f"below {most_lost}", lost, below(lost, most_lost))
            yield Row(8, followed, "lesion", "above 0.5", share, above(share, 0.5))


def parts_of_the_errors(tables: Tables) -> Iterator[Row]:
    """Claim 6: the theory where it is stated, at weights as they are."""
    names = ("tau_syn_ms", "n_neurons", "sampling_error", "sampling_formula", "weight_norm", "lag_error", "lag_theory")
    columns = point_columns(tables, "errors", *names)
    if columns is None:
        return
    tau_syn, size, sampling, formula, norm, lag, curve = columns
    ratio = mean_interval(sampling / formula)
    measure = "clamped sampling error over that of the paper's variance formula"
    yield Row(6, measure, "errors", "1 to within 0.1", ratio, covers(ratio, 1.0, 0.1))
    logs = np.log(np.column_stack([tau_syn, size]))
    fast = tau_syn <= 30
    found = slope_interval(logs[fast], np.log(sampling / norm)[fast])[0]
    measure = "exponent of tau_s in the clamped sampling error over the norm of the weights, tau_s <= 30 ms"
    criterion = "-0.35 or below: -0.5, or steeper where filtered spikes overlap"
    yield Row(6, measure, "errors", criterion, found, below(found, -0.35))
    of_norm = slope_interval(logs, np.log(norm))
    measure = "exponent of tau_s in the norm of the weights"
    yield Row(6, measure, "errors", "above 0 (spike noise is a ridge)", of_norm[0], above(of_norm[0], 0.0))
    measure = "exponent of N in the norm of the weights"
    yield Row(6, measure, "errors", "-0.5 to within 0.15", of_norm[1], covers(of_norm[1], -0.5, 0.15))
    yield from _norm_of_low_rank(tables)
    predictors = np.log(np.column_stack([curve, size]))
    found = slope_interval(predictors, np.log(lag / norm))[0]
    measure = "exponent of sqrt(x / (1 + x)), x = tau_s / tau_c, in the clamped lag over the norm of the weights"
    yield Row(6, measure, "errors", "1 to within 0.15", found, covers(found, 1.0, 0.15))


def _norm_of_low_rank(tables: Tables) -> Iterator[Row]:
    """Claim 6: that the weights are of order 1/N where the targets' rates have few time courses, above spike noise."""
    columns = point_columns(tables, "errors_sine", "n_neurons", "weight_norm")
    if columns is not None:
        found = slope_interval(np.log(columns[0]), np.log(columns[1]))[0]
        measure = "exponent of N in the norm of the weights, sines in place of OU targets"
        yield Row(6, measure, "errors_sine", "-0.5 to within 0.15", found, covers(found, -0.5, 0.15))
