"""How each claim of the paper is measured in the tables of studies and sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.analysis.intervals import Interval, mean_interval, slope_interval
from hpcspike.errors import DataError
from hpcspike.studies.claims import Row, above, below, covers

if TYPE_CHECKING:
    import xarray as xr

Tables = Mapping[str, "xr.Dataset"]
"""Name of a study or sweep -> its table: over (variant, replicate), or along point."""

LEARNED = 0.7
"""Correlation from which a network counts as having learned; that of `hpcspike.spec.experiment.Measures`."""


def rows(tables: Tables) -> list[Row]:
    """All rows that the tables at hand allow, in the order of the claims."""
    return [row for statements in STATEMENTS for row in statements(tables)]


def _of(tables: Tables, study: str, variable: str, variant: str, **select: Any) -> np.ndarray:
    """Values of one variable over the replicates of a variant; none if there is no such thing."""
    table = tables.get(study)
    if table is None or variable not in table or variant not in table["variant"].values:
        return np.empty(0)
    column = table[variable].sel(variant=variant, **select)
    others = [dim for dim in column.dims if dim != "replicate"]
    return np.asarray(column.mean(others).values, dtype=np.float64)


def _variants(tables: Tables, study: str) -> list[str]:
    return [] if study not in tables else [str(name) for name in tables[study]["variant"].values]


def _learns(
    claim: int, tables: Tables, study: str, variant: str, what: str, variable: str = "correlation"
) -> Iterator[Row]:
    values = _of(tables, study, variable, variant)
    if len(values):
        found = mean_interval(values)
        yield Row(claim, what, study, f"above {LEARNED}", found, above(found, LEARNED))


def _point_columns(tables: Tables, sweep: str, *names: str) -> list[np.ndarray] | None:
    if sweep not in tables or any(name not in tables[sweep] for name in names):
        return None
    return [np.asarray(tables[sweep][name].values, dtype=np.float64) for name in names]


def _own_patterns(tables: Tables) -> Iterator[Row]:
    for variant in _variants(tables, "fig1"):
        what = "filtered spikes and rate target" if variant.startswith("rate") else "drive and sine target"
        yield from _learns(1, tables, "fig1", variant, f"correlation of {what}, {variant}, N = 200")
    for variant in _variants(tables, "fig2"):
        measure = f"correlation with the cued one of two target sets, whatever came before, {variant}, N = 200"
        yield from _learns(1, tables, "fig2", variant, measure, "recall_correlation")
    for variant in _variants(tables, "fig3"):
        yield from _learns(1, tables, "fig3", variant, f"correlation of drive and target, {variant}, N = 500")


PAPER_RATES_HZ = {"periodic": 9.1, "chaotic": 7.2, "ou": 12.1}
"""Population rates in the trained window that the paper reports for its Fig 3."""


def _population_rates(tables: Tables) -> Iterator[Row]:
    for variant, paper in PAPER_RATES_HZ.items():
        values = _of(tables, "fig3", "population_rate", variant)
        if len(values):
            found = mean_interval(values)
            verdict = covers(found, paper, 0.1 * paper)
            yield Row(1, f"population rate (Hz), {variant}", "fig3", f"{paper} Hz to within 10 %", found, verdict)


def _ingredients(tables: Tables) -> Iterator[Row]:
    study = "fig3_heterogeneity"
    own, same = (_of(tables, study, "correlation", name) for name in ("random-1", "random-0"))
    if len(own) and len(same):
        found = mean_interval(own - same)
        yield Row(
            2,
            "correlation with own targets minus with one target for all",
            study,
            "above 0.3",
            found,
            above(found, 0.3),
        )
    columns = _point_columns(tables, "fig6", "tau_syn_ms", "tau_corr_ms", "correlation")
    if columns is not None:
        tau_syn, tau_corr, correlation = columns
        slow = (tau_syn >= 30) & (tau_syn / tau_corr >= 1)
        found = slope_interval(np.log10(tau_syn / tau_corr)[slow], correlation[slow])[0]
        measure = "slope of correlation per decade of tau_s / tau_c, tau_s >= 30 ms and >= tau_c"
        yield Row(2, measure, "fig6", "below 0", found, below(found, 0.0))
    columns = _point_columns(tables, "fig6_size", "tau_syn_ms", "n_neurons", "correlation")
    if columns is not None:
        tau_syn, size, correlation = columns
        fast = tau_syn <= 10
        found = slope_interval(np.column_stack([np.log10(size), np.log10(tau_syn)])[fast], correlation[fast])[0]
        yield Row(
            2, "slope of correlation per decade of N, tau_s <= 10 ms", "fig6_size", "above 0", found, above(found, 0.0)
        )


def _initial_weights(tables: Tables) -> Iterator[Row]:
    for variant in _variants(tables, "fig1s2"):
        measure = f"correlation of response and target from zero weights, {variant}"
        yield from _learns(3, tables, "fig1s2", variant, measure)
        zero, strong = (_of(tables, study, "correlation", variant) for study in ("fig1s2", "fig1"))
        if not len(zero) or len(zero) != len(strong):
            continue
        found = mean_interval(zero - strong)
        measure = f"difference from sigma = 4 weights, same targets, {variant}"
        yield Row(3, measure, "fig1s2, fig1", "within 0.1 of 0", found, covers(found, 0.0, 0.1))


def _quasi_static(tables: Tables) -> Iterator[Row]:
    for variant in _variants(tables, "fig3"):
        for name, words in (("drive", "drive"), ("rate", "trial-averaged rate")):
            values = _of(tables, "fig3", f"quasi_static_{name}_correlation", variant)
            if len(values):
                found = mean_interval(values)
                measure = f"correlation of {words} and its quasi-static prediction, {variant}"
                yield Row(4, measure, "fig3", "above 0.8", found, above(found, 0.8))


def loops_to_learn(curves: np.ndarray, share: float = 0.9) -> np.ndarray:
    """First loop (1, 2, ...) in which each curve (networks, loops) has reached a share of its last five loops' mean."""
    final = np.nanmean(curves[:, -5:], axis=1, keepdims=True)
    return 1.0 + np.argmax(curves >= share * final, axis=1)


def _drive_and_rate(tables: Tables) -> Iterator[Row]:
    if "fig1" not in tables:
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


def _trade_off(tables: Tables) -> Iterator[Row]:
    columns = _point_columns(tables, "fig6_size", "tau_syn_ms", "n_neurons", "sampling_error", "tracking_error")
    if columns is not None:
        tau_syn, size, sampling, tracking = columns
        fast = tau_syn <= 30
        logs = np.log(np.column_stack([tau_syn, size]))
        for found, words in zip(slope_interval(logs[fast], np.log(sampling[fast])), ("tau_s", "N"), strict=True):
            measure = f"exponent of {words} in the clamped sampling error, tau_s <= 30 ms"
            yield Row(6, measure, "fig6_size", "-0.5 to within 0.15", found, covers(found, -0.5, 0.15))
        slow = tau_syn >= 100
        found = slope_interval(logs[slow], np.log(tracking[slow]))[1]
        measure = "exponent of N in the clamped tracking error, tau_s >= 100 ms"
        yield Row(6, measure, "fig6_size", "0 to within 0.15", found, covers(found, 0.0, 0.15))
    columns = _point_columns(tables, "fig6", "tau_syn_ms", "tau_corr_ms", "tracking_error", "sampling_error")
    if columns is not None:
        tau_syn, tau_corr, tracking, sampling = columns
        slow = (tau_syn >= 30) & (tau_syn < tau_corr) & (tracking < 1)
        found = slope_interval(np.log(tau_syn / tau_corr)[slow], np.log(tracking[slow]))[0]
        measure = "exponent of tau_s / tau_c in the clamped tracking error, 30 ms <= tau_s < tau_c"
        yield Row(6, measure, "fig6", "1 to within 0.25", found, covers(found, 1.0, 0.25))
        fast = tau_syn <= 20
        logs = np.log(np.column_stack([tau_corr, tau_syn]))
        found = slope_interval(logs[fast], np.log(sampling[fast]))[0]
        measure = "exponent of tau_c in the clamped sampling error, tau_s <= 20 ms"
        yield Row(6, measure, "fig6", "0 to within 0.15", found, covers(found, 0.0, 0.15))


def _capacity(tables: Tables) -> Iterator[Row]:
    columns = _point_columns(tables, "fig7", "duration_ms", "n_neurons", "tau_corr_ms", "correlation")
    if columns is None:
        return
    duration, size, tau_corr, correlation = columns
    logs = np.column_stack([np.log10(duration), np.log10(size), np.log10(tau_corr)])
    slopes = slope_interval(logs, correlation)
    yield Row(7, "slope of correlation per decade of T", "fig7", "below 0", slopes[0], below(slopes[0], 0.0))
    yield Row(7, "slope of correlation per decade of N", "fig7", "above 0", slopes[1], above(slopes[1], 0.0))
    from hpcspike.analysis import capacity

    result = capacity(tables["fig7"], threshold=LEARNED)
    values = np.asarray(result["capacity_one_sided"].values, dtype=np.float64).ravel()
    found = slope_interval(np.asarray(result["n_neurons"].values, dtype=np.float64) / 100, values)[0]
    yield Row(7, "slope of capacity T/tau_c per 100 neurons", "fig7", "above 0", found, above(found, 0.0))


def _loss(tables: Tables) -> Iterator[Row]:
    for variant in _variants(tables, "fig3"):
        if "lesion_correlation" not in tables["fig3"]:
            return
        whole = _of(tables, "fig3", "lesion_correlation", variant, lesion_fraction=0.0)
        for fraction, criterion, judge in (
            (0.05, "below 0.05", lambda found: below(found, 0.05)),
            (0.1, "below 0.15", lambda found: below(found, 0.15)),
            (0.4, "above 0.3", lambda found: above(found, 0.3)),
        ):
            if fraction not in tables["fig3"]["lesion_fraction"].values:
                continue
            lost = whole - _of(tables, "fig3", "lesion_correlation", variant, lesion_fraction=fraction)
            found = mean_interval(lost)
            measure = f"fall of the correlation when {fraction:.0%} of the neurons are lost, {variant}"
            yield Row(8, measure, "fig3", criterion, found, judge(found))


def _low_rates(tables: Tables) -> Iterator[Row]:
    study = "fig3s1"
    for variant in _variants(tables, study):
        rate = mean_interval(_of(tables, study, "population_rate", variant)).value
        found = mean_interval(_of(tables, study, "correlation", variant))
        amplitude = float(variant.rpartition("-")[2])
        measure = f"correlation at amplitude {amplitude:g}, population rate {rate:.2g} Hz"
        if amplitude > 0.02:
            yield Row(9, measure, study, f"above {LEARNED}", found, above(found, LEARNED))
        else:  # the paper's example of failure
            yield Row(9, measure, study, f"below {LEARNED}", found, below(found, LEARNED))


def _other_units(tables: Tables) -> Iterator[Row]:
    for variant in _variants(tables, "fig3s2"):
        yield from _learns(10, tables, "fig3s2", variant, f"correlation of drive and target, {variant}, N = 200")
    for variant in _variants(tables, "fig1s1"):
        yield from _learns(10, tables, "fig1s1", variant, f"correlation of x and target, {variant} units, N = 500")
    units, spikes = _of(tables, "fig1s1", "correlation", "tanh"), _of(tables, "fig3", "correlation", "periodic")
    count = min(len(units), len(spikes))
    if count:
        found = mean_interval(units[:count] - spikes[:count])
        measure = "correlation of tanh units minus that of spiking neurons, products of sines, N = 500"
        yield Row(10, measure, "fig1s1, fig3", "above 0", found, above(found, 0.0))


def _dale(tables: Tables) -> Iterator[Row]:
    study = "fig4"
    for variant in _variants(tables, study):
        measure = f"correlation of drive and innate trajectory, single trials, {variant}"
        yield from _learns(11, tables, study, variant, measure)
        flips = _of(tables, study, "sign_flips", variant)
        if len(flips) and variant != "unconstrained":
            verdict = "holds" if not flips.any() else "does not hold"
            measure = f"share of the synapses whose sign changed, {variant}"
            yield Row(11, measure, study, "0", mean_interval(flips), verdict)
        shrink = _of(tables, study, "spectral_radius_after", variant)
        shrink = shrink - _of(tables, study, "spectral_radius_before", variant)
        if np.isfinite(shrink).any():
            found = mean_interval(shrink)
            measure = f"spectral radius after minus before training, {variant}"
            yield Row(11, measure, study, "below 0", found, below(found, 0.0))
        yield from _flux_tube(tables[study], study, variant)


def _flux_tube(table: xr.Dataset, study: str, variant: str) -> Iterator[Row]:
    """Whether a deleted spike is forgotten inside the trained window."""
    if "phase_deviation_after" not in table:
        return
    window = float(table["window_ms"].sel(variant=variant).values.ravel()[0])
    time = table["deviation_time"]

    def mean(when: str, stretch: xr.DataArray) -> np.ndarray:
        deviation = table[f"phase_deviation_{when}"].sel(variant=variant)
        return np.asarray(deviation.where(stretch).mean("deviation_time").values)

    inside, outside = (time > 0.5 * window) & (time <= window), time > window + 500.0
    after = mean("after", inside)
    if not np.isfinite(after).any():
        return
    for other, words in (
        (mean("after", outside), "that 0.5 s and more after it"),
        (mean("before", inside), "untrained"),
    ):
        found = mean_interval(after / other)
        measure = f"phase deviation in the second half of the window over {words}, {variant}"
        yield Row(11, measure, study, "below 0.5", found, below(found, 0.5))


def _cortex(tables: Tables) -> Iterator[Row]:
    study = "fig5"
    variable = "correlation_trial_mean"
    for ratio in ("2", "4"):
        values = _of(tables, study, variable, f"ratio-{ratio}") - _of(tables, study, variable, "ratio-0")
        if len(values):
            found = mean_interval(values)
            measure = f"trial-averaged correlation with {ratio} auxiliary neurons per recorded one minus without"
            yield Row(12, measure, study, "above 0.05", found, above(found, 0.05))
    for name, words in (("correlation_phi", "phi(u)"), (variable, "trial-averaged filtered spikes")):
        yield from _learns(
            12, tables, study, "ratio-2", f"correlation of {words} and data, two auxiliary neurons", name
        )
    table = tables.get(study)
    if table is not None and "shuffle_correlation" in table:
        shares = table["shuffle_fraction"].values
        for name, words in (("shuffle_correlation", "filtered spikes"), ("shuffle_correlation_phi", "phi(u)")):
            values = _of(tables, study, name, "ratio-2", shuffle_fraction=shares.min()) - _of(
                tables, study, name, "ratio-2", shuffle_fraction=shares.max()
            )
            found = mean_interval(values)
            measure = f"fall of the correlation of {words} when {shares.max():.0%} of the synapses are shuffled"
            yield Row(12, measure, study, "above 0.1", found, above(found, 0.1))


def _identical(tables: Tables) -> Iterator[Row]:
    names = _variants(tables, "fig3s3")
    if names:
        yield from _learns(
            13, tables, "fig3s3", names[-1], f"correlation of drive and the common sine, {names[-1]} noise"
        )
        found = mean_interval(
            _of(tables, "fig3s3", "correlation", names[-1]) - _of(tables, "fig3s3", "correlation", names[0])
        )
        measure = f"correlation with {names[-1]} noise minus with {names[0]} noise"
        yield Row(13, measure, "fig3s3", "above 0", found, above(found, 0.0))


def _balance(tables: Tables) -> Iterator[Row]:
    from hpcspike.analysis import crossings, fit_law, paper_law
    from hpcspike.analysis.crossing import THEORY

    names = [name for name in ("fig6", "fig6_size") if name in tables]
    if len(names) < 2:
        return
    source = ", ".join(names)
    for definition, words in (("balance", "where the spectral index is 0"), ("optimum", "of the best correlation")):
        try:
            found = crossings([tables[name] for name in names], "balance" if definition == "balance" else "optimum")
        except DataError:  # no cell has one
            continue
        logs = np.log(np.column_stack([found.tau_corr_ms, found.n_neurons]))
        slopes = slope_interval(logs, np.log(found.tau_syn_ms))
        for slope, expected, symbol in zip(slopes, THEORY, ("tau_c", "N"), strict=True):
            measure = f"exponent of {symbol} in the tau_s {words}"
            criterion = f"{expected:.2f} to within 0.15"
            yield Row(14, measure, source, criterion, slope, covers(slope, expected, 0.15))
        laws = {
            "paper's prefactors, nothing fitted": paper_law(found),
            "paper's exponents, prefactor fitted": fit_law(found, THEORY),
            "exponents fitted": fit_law(found),
        }
        for law, fitted in laws.items():
            measure = (
                f"error (decades) of the tau_s {words} in cells left out: {law}, {fitted.prefactor:.3g} ms "
                f"(tau_c/ms)^{fitted.exponents[0]:.2f} N^{fitted.exponents[1]:.2f}"
            )
            error = Interval(fitted.held_out, np.nan, np.nan, len(found.tau_syn_ms))
            yield Row(14, measure, source, "below 0.1", error, below(error, 0.1))


def _capacity_law(tables: Tables) -> Iterator[Row]:
    from hpcspike.analysis import capacity

    if "fig7" in tables:
        for threshold in (0.6, 0.7, 0.8):
            result = capacity(tables["fig7"], threshold=threshold, interpolate=True, n_bootstrap=0)
            size, value = result["n_neurons"].values, result["capacity"].values.ravel()
            yield _exponent(
                size[:, None], value, 0, f"exponent of N in the capacity at correlation {threshold}", "fig7"
            )
    for sweep, other, words in (
        ("capacity_degree", "probability", "p"),
        ("capacity_amplitude", "standard_deviation", "the s.d. of the targets"),
    ):
        if sweep not in tables:
            continue
        result = capacity(tables[sweep], threshold=LEARNED, interpolate=True, n_bootstrap=0)
        table = result["capacity"]
        grids = np.meshgrid(*[table[dim].values.astype(float) for dim in table.dims], indexing="ij")
        columns = {str(dim): grid.ravel() for dim, grid in zip(table.dims, grids, strict=True)}
        predictors = np.column_stack([columns["n_neurons"], columns[other]])
        at_fixed = {"p": "at fixed p", "the s.d. of the targets": "at fixed s.d."}[words]
        measured = table.values.ravel()
        yield _exponent(predictors, measured, 0, f"exponent of N in the capacity, {at_fixed}", sweep)
        if words == "p":
            yield _exponent(predictors, measured, 1, "exponent of p in the capacity, at fixed N (1: p N counts)", sweep)
        else:
            slope = _slopes(predictors, measured)[1]
            measure = "exponent of the s.d. of the targets in the capacity, at fixed N"
            yield Row(15, measure, sweep, "0 to within 0.15", slope, covers(slope, 0.0, 0.15))


def _slopes(predictors: np.ndarray, value: np.ndarray) -> list[Interval]:
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(value > 0, np.log(value), np.nan)
    return slope_interval(np.log(predictors), logs)


def _exponent(predictors: np.ndarray, value: np.ndarray, which: int, measure: str, source: str) -> Row:
    slope = _slopes(predictors, value)[which]
    return Row(15, measure, source, "1 to within 0.15", slope, covers(slope, 1.0, 0.15))


def _other_planes(tables: Tables) -> Iterator[Row]:
    for sweep, words in (("map_rate", "rate training"), ("map_lif", "LIF"), ("map_dale", "E-I, signs kept")):
        columns = _point_columns(tables, sweep, "tau_syn_ms", "tau_corr_ms", "correlation")
        if columns is None:
            continue
        tau_syn, tau_corr, correlation = columns
        slow = (tau_syn >= 30) & (tau_syn >= tau_corr)
        found = slope_interval(np.log10(tau_syn / tau_corr)[slow], correlation[slow])[0]
        measure = f"{words}: slope of correlation per decade of tau_s / tau_c, tau_s >= 30 ms and >= tau_c"
        yield Row(16, measure, sweep, "below 0", found, below(found, 0.0))
        fast = (tau_syn <= 20) & (tau_corr >= 50)
        found = slope_interval(np.log10(tau_syn)[fast], correlation[fast])[0]
        measure = f"{words}: slope of correlation per decade of tau_s, tau_s <= 20 ms, tau_c >= 50 ms"
        yield Row(16, measure, sweep, "above 0", found, above(found, 0.0))


STATEMENTS: tuple[Callable[[Tables], Iterator[Row]], ...] = (
    _own_patterns, _population_rates, _ingredients, _initial_weights, _quasi_static, _drive_and_rate, _trade_off,
    _capacity, _loss, _low_rates, _other_units, _dale, _cortex, _identical, _balance, _capacity_law, _other_planes,
)  # fmt: skip
