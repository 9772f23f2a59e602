"""Alemi et al. 2018: how the error falls with neurons, what a rate code would cost, and what noise and damage do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hpcspike.intervals import geometric_interval, slope_interval
from hpcspike.studies.claim_tables import Tables, variants_of
from hpcspike.studies.claims import Row, above, below
from hpcspike.studies.headlines.judging import row, scores_of

STUDY = "headlines_alemi"
SIZE = "neurons-"
"""Before the number of neurons in the name of a variant."""


def statements(tables: Tables) -> Iterator[Row]:
    """Claims 21 and 22."""
    sizes = sorted(int(name.removeprefix(SIZE)) for name in variants_of(tables, STUDY) if name.startswith(SIZE))
    yield from _few_neurons(tables, sizes)
    for n in sizes:
        yield from _robust(tables, f"{SIZE}{n}")


def _few_neurons(tables: Tables, sizes: list[int]) -> Iterator[Row]:
    found = {n: scores_of(tables, STUDY, "test_score", f"{SIZE}{n}") for n in sizes}
    known = {n: errors for n, errors in found.items() if len(errors)}
    if len(known) < 2:
        return
    numbers = np.concatenate([np.full(len(errors), n) for n, errors in known.items()])
    rms = 0.5 * np.log(np.concatenate(list(known.values())))
    slope = slope_interval(np.log(numbers), np.where(np.isfinite(rms), rms, np.nan))[0]
    least, most = min(known), max(known)
    measure = f"exponent of N in the rms error, two stable states, N = {least} to {most}"
    why = "Beyond some size the error is that of what was learned, which more neurons do not lower."
    yield row(21, measure, STUDY, "below -0.5 (Poisson spikes)", slope, lambda one: below(one, -0.5), why)
    for n in (least, most):
        poisson = scores_of(tables, STUDY, "poisson_score", f"{SIZE}{n}")
        if len(poisson):
            factor = geometric_interval(np.sqrt(poisson / known[n]))
            spikes = n * float(tables[STUDY]["population_rate"].sel(variant=f"{SIZE}{n}").mean())
            measure = f"rms error of Poisson spikes over that of the network, N = {n}, {spikes:.0f} spikes per s in all"
            yield row(21, measure, STUDY, "above 1", factor, lambda one: above(one, 1.0))


def _robust(tables: Tables, variant: str) -> Iterator[Row]:
    table, n = tables[STUDY], variant.removeprefix(SIZE)
    whole = scores_of(tables, STUDY, "test_score", variant)
    for fraction in table["damage_fraction"].values if "damage_fraction" in table else ():
        lost = scores_of(tables, STUDY, "damage_score", variant, damage_fraction=fraction)
        if fraction >= 0.4 and np.isfinite(lost).any():
            factor = geometric_interval(lost / scores_of(tables, STUDY, "damage_score", variant, damage_fraction=0.0))
            measure = f"squared error with {fraction:.0%} of the neurons silent over that of the whole, N = {n}"
            yield row(22, measure, STUDY, "below 2", factor, lambda one: below(one, 2.0))
    for level in table["noise_level"].values if "noise_level" in table else ():
        noisy = scores_of(tables, STUDY, "noise_score", variant, noise_level=level)
        if level > 0 and len(whole) and np.isfinite(noisy).any():
            measure = f"squared error over power with noise of {level:g} thresholds per root of a second, N = {n}"
            yield row(22, measure, STUDY, "below 0.02", geometric_interval(noisy), lambda one: below(one, 0.02))
