"""Claims where recall does not fail by itself: loops from random states, loss of neurons, parts of the errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import mean_interval, slope_interval
from hpcspike.studies.claim_tables import Tables, difference, learns, point_columns, values_of
from hpcspike.studies.claims import Row, above, below, covers

STARTS = {"random": "loops from random states", "running": "loops running on"}


def own_patterns_from_random_states(tables: Tables) -> Iterator[Row]:
    """Claim 1: Figs 1 and 2 with both readings of where a training loop starts."""
    for figure, words in (("fig1", "drive and sine target"), ("fig2", "drive and the cued one of two target sets")):
        yield from _both_starts(1, tables, figure, f"correlation of {words}")


def dale_from_random_states(tables: Tables) -> Iterator[Row]:
    """Claim 11: Fig 4."""
    yield from _both_starts(11, tables, "fig4", "correlation of drive and innate trajectory, conditioned")


def _both_starts(claim: int, tables: Tables, figure: str, what: str) -> Iterator[Row]:
    for start, words in STARTS.items():
        yield from learns(claim, tables, "start", f"{figure}-{start}", f"{what}, {words} ({start})")
    gained = difference(*(values_of(tables, "start", "correlation", f"{figure}-{start}") for start in STARTS))
    if len(gained):
        found = mean_interval(gained)
        yield Row(claim, f"{what}: random minus running", "start", "above 0", found, above(found, 0.0))


def loss_of_those_who_recall(tables: Tables) -> Iterator[Row]:
    """Claim 8: mean, worst tenth, and the share of neurons that follow, with loops from random states."""
    if "lesion" not in tables:
        return
    fractions = tables["lesion"]["lesion_fraction"].values.tolist()

    def of(variable: str, fraction: float) -> np.ndarray:
        return values_of(tables, "lesion", variable, "periodic", lesion_fraction=fraction)

    for fraction, most_lost, least in ((0.05, 0.05, 0.5), (0.1, 0.15, 0.5), (0.4, None, None)):
        if fraction not in fractions or 0.0 not in fractions:
            continue
        lost = mean_interval(of("lesion_correlation", 0.0) - of("lesion_correlation", fraction))
        share = mean_interval(of("lesion_share_followed", fraction))
        words = f"{fraction:.0%} of the neurons are lost, periodic, random starts"
        fall, followed = f"fall of the correlation when {words}", f"share of neurons above 0.7 when {words}"
        if most_lost is None or least is None:
            yield Row(8, fall, "lesion", "above 0.3", lost, above(lost, 0.3))
            yield Row(8, followed, "lesion", "below 0.1", share, below(share, 0.1))
            continue
        yield Row(8, fall, "lesion", f"below {most_lost}", lost, below(lost, most_lost))
        yield Row(8, followed, "lesion", f"above {least}", share, above(share, least))
        worst = mean_interval(of("lesion_worst_decile", fraction))
        measure = f"correlation of the worst tenth when {words}"
        yield Row(8, measure, "lesion", "above 0.5", worst, above(worst, 0.5))


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
    predictors = np.log(np.column_stack([curve, size]))
    found = slope_interval(predictors, np.log(lag / norm))[0]
    measure = "exponent of sqrt(x / (1 + x)), x = tau_s / tau_c, in the clamped lag over the norm of the weights"
    yield Row(6, measure, "errors", "1 to within 0.25", found, covers(found, 1.0, 0.25))
