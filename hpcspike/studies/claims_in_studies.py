"""Claims that are measured in studies: networks trained several times and probed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.intervals import Interval, correlation_interval, difference_interval, mean_interval, slope_interval
from hpcspike.studies.claim_tables import (
    LEARNED,
    RANDOM_STARTS,
    Tables,
    correlations_of,
    difference,
    following,
    learns,
    learns_rates,
    values_of,
    variants_of,
)
from hpcspike.studies.claims import Row, above, below, covers

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.spec.experiment import Experiment


def own_patterns(tables: Tables) -> Iterator[Row]:
    """Claim 1."""
    for variant in variants_of(tables, "fig1"):
        if variant.startswith("rate"):
            yield from learns_rates(1, tables, "fig1", variant, f"filtered spikes and rate target, {variant}, N = 200")
        else:
            measure = f"correlation of drive and sine target, {variant}, N = 200"
            yield from learns(1, tables, "fig1", variant, measure)
    for variant in variants_of(tables, "fig2"):
        what = "filtered spikes in single trials with" if variant.startswith("rate") else "drive with"
        measure = f"correlation of {what} the cued one of two target sets, whatever came before, {variant}, N = 200"
        yield from learns(1, tables, "fig2", variant, measure, "recall_correlation")
    for variant in variants_of(tables, "fig3"):
        yield from learns(1, tables, "fig3", variant, f"correlation of drive and target, {variant}, N = 500")


PAPER_RATES_HZ = {"periodic": 9.1, "chaotic": 7.2, "ou": 12.1}
"""Population rates in the trained window that the paper reports for its Fig 3."""


def population_rates(tables: Tables) -> Iterator[Row]:
    """Claim 1."""
    for variant, paper in PAPER_RATES_HZ.items():
        values = values_of(tables, "fig3", "population_rate", variant)
        if len(values):
            found = mean_interval(values)
            verdict = covers(found, paper, 0.1 * paper)
            yield Row(1, f"population rate (Hz), {variant}", "fig3", f"{paper} Hz to within 10 %", found, verdict)


def heterogeneity(tables: Tables) -> Iterator[Row]:
    """Claim 2."""
    study = "fig3_heterogeneity"
    gained = difference(*(correlations_of(tables, study, name) for name in ("random-1", "random-0")))
    if len(gained):
        found = mean_interval(gained)
        yield Row(
            2,
            "correlation with own targets minus with one target for all",
            study,
            "above 0.3",
            found,
            above(found, 0.3),
        )


def initial_weights(tables: Tables) -> Iterator[Row]:
    """Claim 3."""
    for variant in variants_of(tables, "fig1s2"):
        of_rates = variant.startswith("rate")
        if of_rates:
            words = f"filtered spikes and rate target from zero weights, {variant}"
            yield from learns_rates(3, tables, "fig1s2", variant, words)
        else:
            measure = f"correlation of drive and target from zero weights, {variant}"
            yield from learns(3, tables, "fig1s2", variant, measure)
        name = "correlation_trial_mean" if of_rates else "correlation"
        changed = difference(*(correlations_of(tables, study, variant, name) for study in ("fig1s2", "fig1")))
        if not len(changed):
            continue
        found = mean_interval(changed)
        measure = f"difference from sigma = 4 weights, same targets, {variant}"
        yield Row(3, measure, "fig1s2, fig1", "within 0.1 of 0", found, covers(found, 0.0, 0.1))


def quasi_static(tables: Tables) -> Iterator[Row]:
    """Claim 4."""
    for variant in variants_of(tables, "fig3"):
        for name, words in (("drive", "drive"), ("rate", "trial-averaged rate")):
            values = values_of(tables, "fig3", f"quasi_static_{name}_correlation", variant)
            if len(values):
                found = correlation_interval(values)
                measure = f"correlation of {words} and its quasi-static prediction, {variant}"
                yield Row(4, measure, "fig3", "above 0.8", found, above(found, 0.8))


def loops_to_learn(curves: np.ndarray, share: float = 0.9) -> np.ndarray:
    """First loop (1, 2, ...) in which each curve (networks, loops) has reached a share of its last five loops' mean.

    NaN for a network that learned nothing, or whose curve ends before that of others, as where it diverged.
    """
    curves = curves[:, : 1 + int(np.flatnonzero(np.isfinite(curves).any(axis=0)).max(initial=0))]
    final = curves[:, -5:].mean(axis=1, keepdims=True)
    first = 1.0 + np.argmax(curves >= share * final, axis=1)
    return np.where(final[:, 0] > 0, first, np.nan)


def drive_and_rate(tables: Tables) -> Iterator[Row]:
    """Claim 5."""
    if not {"drive", "rate"} <= set(variants_of(tables, "fig1")):
        return
    curves = {name: tables["fig1"]["curve_correlation"].sel(variant=name).values for name in ("drive", "rate")}
    loops = {name: loops_to_learn(curve) for name, curve in curves.items()}
    found = mean_interval(loops["rate"] - loops["drive"])
    yield Row(
        5, "loops to 90 % of the final correlation, rate minus drive", "fig1", "above 0", found, above(found, 0.0)
    )
    change = tables["fig1"]["curve_weight_change"].isel(loop=0)
    found = mean_interval(change.sel(variant="rate").values - change.sel(variant="drive").values)
    yield Row(
        5, "relative weight change in the first loop, rate minus drive", "fig1", "below 0", found, below(found, 0.0)
    )


def loss(tables: Tables) -> Iterator[Row]:
    """Claim 8; where there are networks with random starts, those of the same targets are judged instead.

    Loops of fig3 run on: targets whose recall fails by itself are left out; their correlation may rise after a loss.
    """
    for variant in variants_of(tables, "fig3"):
        if variant in variants_of(tables, "lesion"):
            continue
        if "lesion_correlation" not in tables["fig3"]:
            return
        fractions = tables["fig3"]["lesion_fraction"].values
        if 0.0 not in fractions:
            return
        whole = values_of(tables, "fig3", "lesion_correlation", variant, lesion_fraction=0.0)
        if not np.nanmean(whole) > LEARNED:  # nothing is recalled that could be lost
            continue
        for fraction, criterion, judge in (
            (0.05, "below 0.05", lambda found: below(found, 0.05)),
            (0.1, "below 0.15", lambda found: below(found, 0.15)),
            (0.4, "above 0.3", lambda found: above(found, 0.3)),
        ):
            if fraction not in fractions:
                continue
            lost = whole - values_of(tables, "fig3", "lesion_correlation", variant, lesion_fraction=fraction)
            found = mean_interval(lost)
            share = mean_interval(
                values_of(tables, "fig3", "lesion_share_followed", variant, lesion_fraction=fraction)
            ).value
            measure = (
                f"fall of the correlation when {fraction:.0%} of the neurons are lost, {variant}{following(share)}"
            )
            yield Row(8, measure, "fig3", criterion, found, judge(found))


def low_rates(tables: Tables) -> Iterator[Row]:
    """Claim 9."""
    study = "fig3s1"
    for variant in variants_of(tables, study):
        rate = mean_interval(values_of(tables, study, "population_rate", variant)).value
        found = correlation_interval(correlations_of(tables, study, variant))
        amplitude = float(variant.rpartition("-")[2])
        measure = f"correlation at amplitude {amplitude:g}, population rate {rate:.2g} Hz"
        if amplitude > 0.02:
            yield Row(9, measure, study, f"above {LEARNED}", found, above(found, LEARNED))
        else:  # the paper's example of failure
            yield Row(9, measure, study, f"below {LEARNED}", found, below(found, LEARNED))


def other_units(tables: Tables) -> Iterator[Row]:
    """Claim 10."""
    for variant in variants_of(tables, "fig3s2"):
        rate = mean_interval(values_of(tables, "fig3s2", "population_rate", variant)).value
        fires = f", {rate:.2g} Hz" if np.isfinite(rate) else ""
        yield from learns(10, tables, "fig3s2", variant, f"correlation of drive and target, {variant}, N = 200{fires}")
    for variant in variants_of(tables, "fig1s1"):
        yield from learns(10, tables, "fig1s1", variant, f"correlation of x and target, {variant} units, N = 500")
    yield from _rate_units_against_spiking(tables)


SAME_CUE, STRONG_CUE = "tanh-weak-cue", "tanh"
"""Variants of rate units in fig1s1: with the amplitude of the cue of the spiking networks of fig3, and a larger one."""


def _rate_units_against_spiking(tables: Tables) -> Iterator[Row]:
    """Claim 10: at a cue of the same amplitude; what a stronger one gives stands beside it, and is no comparison."""
    same, strong = (correlations_of(tables, "fig1s1", variant) for variant in (SAME_CUE, STRONG_CUE))
    spiking = correlations_of(tables, "fig3", "periodic")
    if not np.isfinite(same).any() or not np.isfinite(spiking).any():
        return
    settings = [_settings_of(tables, "fig1s1", SAME_CUE), _settings_of(tables, "fig3", "periodic")]
    known = [one for one in settings if one is not None]
    if len({one.stimulus.amplitude for one in known}) > 1:
        return
    notes = [" against ".join(map(_cue_and_training, known))] if len(known) == 2 else []
    unequal = difference_interval(strong, spiking)
    if np.isfinite(unequal.low):
        notes.append(
            f"a cue that is stronger for tanh units only gives a difference of {unequal.value:.3g}, "
            f"{unequal.low:.3g} to {unequal.high:.3g}, which is not judged"
        )
    found = difference_interval(same, spiking)
    what = (
        "correlation of tanh units minus that of spiking neurons, products of sines, N = 500, cues of equal amplitude"
    )
    measure = f"{what} ({'; '.join(notes)})" if notes else what
    yield Row(10, measure, "fig1s1, fig3", "above 0", found, above(found, 0.0))


def _settings_of(tables: Tables, study: str, variant: str) -> Experiment | None:
    """The experiment of a variant by the table's document; None if it has none that this version can read."""
    from hpcspike.spec.study import Study, StudyRun

    try:
        return Study.model_validate_json(tables[study].attrs["document"]).experiment_of(StudyRun(variant, 0))
    except (KeyError, ValueError, SpecError):  # of a version that named its settings otherwise
        return None


def _cue_and_training(one: Experiment) -> str:
    """Cue, s.d. of the initial weights (if they have one) and number of loops, in words."""
    sigma = getattr(one.connectivity, "sigma", None)
    weights = "" if sigma is None else f", sigma {sigma:g}"
    cue = f"{one.stimulus.duration_ms:g} ms of amplitude {one.stimulus.amplitude:g}"
    return f"{cue}{weights}, {one.training.n_loops} loops"


def dale(tables: Tables) -> Iterator[Row]:
    """Claim 11: loops from random states by the mean over networks, those that run on by the best network.

    The paper's map (Fig 4i) shows the best of ten networks. Where loops run on networks recall or they do not, so that
    their mean is that of two kinds of networks, and says little about either.
    """
    study = "fig4"
    for variant in variants_of(tables, study):
        what = "correlation of drive and innate trajectory, single trials"
        if variant.endswith(RANDOM_STARTS):
            yield from learns(11, tables, study, variant, f"{what}, mean over networks, {variant}")
        else:
            yield from _best(tables, study, variant, what)
        flips = values_of(tables, study, "sign_flips", variant)
        flips = flips[np.isfinite(flips)]  # of the networks that were probed
        if flips.size and variant != "unconstrained":
            verdict = "holds" if not flips.any() else "does not hold"
            measure = f"share of the synapses whose sign changed, {variant}"
            yield Row(11, measure, study, "0 in every network", mean_interval(flips), verdict)
        shrink = values_of(tables, study, "spectral_radius_after", variant)
        shrink = shrink - values_of(tables, study, "spectral_radius_before", variant)
        if np.isfinite(shrink).any():
            found = mean_interval(shrink)
            measure = f"spectral radius after minus before training, {variant}"
            yield Row(11, measure, study, "below 0", found, below(found, 0.0))
    yield from _flux_tube(tables, study)


def _best(tables: Tables, study: str, variant: str, what: str) -> Iterator[Row]:
    values = correlations_of(tables, study, variant)
    if len(values):
        mean, best = correlation_interval(values), Interval(float(np.nanmax(values)), np.nan, np.nan, len(values))
        many = f"mean {mean.value:.2f}, {mean.low:.2f} to {mean.high:.2f}; {(values > LEARNED).sum()} above {LEARNED}"
        spread = many if mean.n > 1 else "one network"
        measure = f"{what}, best network, {variant} ({spread})"
        yield Row(11, measure, study, f"above {LEARNED}; the paper shows the best of ten", best, above(best, LEARNED))


def _flux_tube(tables: Tables, study: str) -> Iterator[Row]:
    """Whether a deleted spike is forgotten inside the trained window: a mean over readings, network by network."""
    table = tables.get(study)
    if table is None or "phase_deviation_after" not in table:
        return
    readings = _deviations(table)
    for random_starts in (False, True):
        chosen = {name: one for name, one in readings.items() if name.endswith(RANDOM_STARTS) == random_starts}
        if not chosen:
            continue
        starts = "loops from random states" if random_starts else "loops that run on"
        for which, words in (("outside", "that 0.5 s and more after it"), ("untrained", "untrained")):
            ratios = {name: one["inside"] / one[which] for name, one in chosen.items()}
            ratios = {name: ratio for name, ratio in ratios.items() if np.isfinite(ratio).any()}
            if not ratios:  # no deviation was followed that far
                continue
            each = ", ".join(f"{name} {np.nanmean(ratio):.2f}" for name, ratio in ratios.items())
            found = mean_interval(np.mean(list(ratios.values()), axis=0))
            measure = f"phase deviation in the second half of the window over {words}, {starts} ({each})"
            yield Row(11, measure, study, "below 0.5", found, below(found, 0.5))
    if readings:
        ratio = np.concatenate([one["inside"] / one["untrained"] for one in readings.values()])
        recall = np.concatenate([correlations_of(tables, study, name) for name in readings])
        found = slope_interval(recall, ratio)[0]
        measure = "slope of the phase deviation in the second half of the window over untrained, by the correlation"
        yield Row(11, measure, study, "below 0", found, below(found, 0.0))


def _deviations(table: xr.Dataset) -> dict[str, dict[str, np.ndarray]]:
    """Mean phase deviations (networks,) of every variant in which a spike was deleted.

    inside: the second half of the trained window; outside: from 0.5 s after it on; untrained: inside, before training.
    """
    found, time = {}, table["deviation_time"]
    for variant in map(str, table["variant"].values):
        window = float(table["window_ms"].sel(variant=variant).values.ravel()[0])
        inside, outside = (time > 0.5 * window) & (time <= window), time > window + 500.0

        def mean(when: str, stretch: xr.DataArray, variant: str = variant) -> np.ndarray:
            deviation = table[f"phase_deviation_{when}"].sel(variant=variant)
            return np.asarray(deviation.where(stretch).mean("deviation_time").values)

        means = {
            "inside": mean("after", inside),
            "outside": mean("after", outside),
            "untrained": mean("before", inside),
        }
        if np.isfinite(means["inside"]).any():
            found[variant] = means
    return found


def cortex(tables: Tables) -> Iterator[Row]:
    """Claim 12: over the recorded units; tables of versions that did not tell them from auxiliary ones say nothing."""
    for study in ("fig5", "fig5_recordings"):
        yield from _fitted_rates(tables, study)


def _fitted_rates(tables: Tables, study: str) -> Iterator[Row]:
    variable = "correlation_trial_mean_recorded"
    rates = _whose_rates(tables, study)
    for more, fewer in (("2", "0"), ("4", "0"), ("2", "0.5")):
        values = difference(*(values_of(tables, study, variable, f"ratio-{name}") for name in (more, fewer)))
        if len(values):
            found = mean_interval(values)
            words = f"{more} auxiliary neurons for each minus {'none' if fewer == '0' else fewer}"
            measure = f"trial-averaged correlation of recorded units, {words}{rates}"
            yield Row(12, measure, study, "above 0.05", found, above(found, 0.05))
    for name, words in (("correlation_phi_recorded", "phi(u)"), (variable, "trial-averaged filtered spikes")):
        measure = f"correlation of {words} and data, recorded units{rates}{_beside(tables, study, 'ratio-2')}"
        yield from learns(12, tables, study, "ratio-2", measure, name)
    table = tables.get(study)
    if table is not None and "shuffle_correlation" in table:
        shares = table["shuffle_fraction"].values
        for name, words in (
            ("shuffle_correlation", "trial-averaged filtered spikes"),
            ("shuffle_correlation_phi", "phi(u)"),
        ):
            values = values_of(tables, study, name, "ratio-2", shuffle_fraction=shares.min()) - values_of(
                tables, study, name, "ratio-2", shuffle_fraction=shares.max()
            )
            found = mean_interval(values)
            measure = f"fall of the correlation of {words} when {shares.max():.0%} of the synapses are shuffled{rates}"
            yield Row(12, measure, study, "above 0.1", found, above(found, 0.1))


def _whose_rates(tables: Tables, study: str) -> str:
    """Words whether the rates are made-up ones, after a comma."""
    return ", made-up rates" if study in tables and "stand_in" in tables[study].attrs else ", recorded rates"


def _beside(tables: Tables, study: str, variant: str) -> str:
    """What a correlation of recorded units does not show, in brackets: means over networks."""
    names = ("correlation_auxiliary", "rate_recorded", "target_rate_recorded", "rms_error_recorded")
    columns = [values_of(tables, study, name, variant) for name in names]
    if not all(np.isfinite(column).any() for column in columns):
        return ""
    auxiliary, model, data, error = (float(np.nanmean(column)) for column in columns)
    silent, units = (values_of(tables, study, name, variant) for name in ("n_silent_recorded", "n_recorded"))
    none = f", {np.nanmean(silent):.3g} of {np.nanmean(units):.3g} units silent" if np.isfinite(silent).any() else ""
    return (
        f" (single trials of auxiliary neurons {auxiliary:.2f}; rates {model:.3g} Hz in the model, {data:.3g} Hz in "
        f"the data, rms error {error:.3g} Hz{none})"
    )


def identical(tables: Tables) -> Iterator[Row]:
    """Claim 13."""
    names = variants_of(tables, "fig3s3")
    if names:
        yield from learns(
            13, tables, "fig3s3", names[-1], f"correlation of drive and the common sine, {names[-1]} noise"
        )
        found = mean_interval(difference(*(correlations_of(tables, "fig3s3", name) for name in (names[-1], names[0]))))
        measure = f"correlation with {names[-1]} noise minus with {names[0]} noise"
        yield Row(13, measure, "fig3s3", "above 0", found, above(found, 0.0))
