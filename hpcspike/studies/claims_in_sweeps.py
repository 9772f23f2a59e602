"""Claims that are measured in sweeps: exponents, capacity, and the plane of the two time constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from hpcspike.errors import DataError
from hpcspike.intervals import Interval, slope_interval
from hpcspike.studies.claim_tables import LEARNED, Tables, judged_where_learned, point_columns
from hpcspike.studies.claims import Row, above, below, covers

if TYPE_CHECKING:
    from hpcspike.analysis.crossing import Definition
    from hpcspike.analysis.scaling import Regime

COLLAPSED = 0.25
"""Squared error of curves predicted from the others, over their variance, below which they count as one curve."""


def time_scales_and_size(tables: Tables) -> Iterator[Row]:
    """Claim 2."""
    columns = point_columns(tables, "fig6", "tau_syn_ms", "tau_corr_ms", "correlation")
    if columns is not None:
        tau_syn, tau_corr, correlation = columns
        slow = (tau_syn >= 30) & (tau_syn / tau_corr >= 1)
        found = slope_interval(np.log10(tau_syn / tau_corr)[slow], correlation[slow])[0]
        measure = "slope of correlation per decade of tau_s / tau_c, tau_s >= 30 ms and >= tau_c"
        yield judged_where_learned(Row(2, measure, "fig6", "below 0", found, below(found, 0.0)), correlation[slow])
    columns = point_columns(tables, "fig6_size", "tau_syn_ms", "n_neurons", "correlation")
    if columns is not None:
        tau_syn, size, correlation = columns
        fast = tau_syn <= 10
        found = slope_interval(np.column_stack([np.log10(size), np.log10(tau_syn)])[fast], correlation[fast])[0]
        measure = "slope of correlation per decade of N, tau_s <= 10 ms"
        yield judged_where_learned(Row(2, measure, "fig6_size", "above 0", found, above(found, 0.0)), correlation[fast])


def trade_off(tables: Tables) -> Iterator[Row]:
    """Claim 6, with weights as they are; the theory of the errors: `hpcspike.studies.claims_of_recall`."""
    columns = point_columns(tables, "fig6_size", "tau_syn_ms", "n_neurons", "sampling_error", "tracking_error")
    if columns is not None:
        tau_syn, size, sampling, tracking = columns
        fast = tau_syn <= 30
        logs = np.log(np.column_stack([tau_syn, size]))
        for found, words in zip(slope_interval(logs[fast], _log(sampling[fast])), ("tau_s", "N"), strict=True):
            measure = f"exponent of {words} in the clamped sampling error, tau_s <= 30 ms"
            yield Row(6, measure, "fig6_size", "-0.5 to within 0.15", found, covers(found, -0.5, 0.15))
        slow = tau_syn >= 100
        found = slope_interval(logs[slow], _log(tracking[slow]))[1]
        measure = "exponent of N in the clamped tracking error, tau_s >= 100 ms"
        yield Row(6, measure, "fig6_size", "0 to within 0.15", found, covers(found, 0.0, 0.15))
    columns = point_columns(tables, "fig6", "tau_syn_ms", "tau_corr_ms", "sampling_error")
    if columns is not None:
        tau_syn, tau_corr, sampling = columns
        fast = tau_syn <= 20
        logs = np.log(np.column_stack([tau_corr, tau_syn]))
        found = slope_interval(logs[fast], _log(sampling[fast]))[0]
        measure = "exponent of tau_c in the clamped sampling error, tau_s <= 20 ms"
        yield Row(6, measure, "fig6", "0 to within 0.15", found, covers(found, 0.0, 0.15))
    yield from _collapses(6, tables, "fig6", "tracking", "", "tau_s / tau_c, tau_s >= 30 ms", "tau_c")
    yield from _collapses(6, tables, "fig6_size", "sampling", "", "1 / sqrt(N tau_s), tau_s <= 30 ms", "N")


def _collapses(
    claim: int, tables: Tables, sweep: str, regime: Regime, subject: str, variable: str, curve: str
) -> Iterator[Row]:
    """Whether one scaling variable predicts the correlation of curves that were left out, and tau_s alone does not."""
    from hpcspike.analysis.scaling import REGIMES, held_out_intervals

    if sweep not in tables:
        return
    shortest, longest = REGIMES[regime].tau_syn_range_ms
    tau_syn, correlation = (np.asarray(tables[sweep][name].values) for name in ("tau_syn_ms", "correlation"))
    correlation = correlation[(tau_syn >= shortest) & (tau_syn <= longest)]
    try:
        scaled, alone = held_out_intervals(tables[sweep], regime=regime)
    except DataError:  # no tau_s of the regime
        return
    if np.isnan(scaled.value):  # fewer than two curves
        return
    for error, words, bound, judge in (
        (scaled, variable, "below", below), (alone, "tau_s alone (control)", "above", above)
    ):  # fmt: skip
        measure = f"{subject}squared error over variance of the correlation at values of {curve} left out, from {words}"
        row = Row(claim, measure, sweep, f"{bound} {COLLAPSED}", error, judge(error, COLLAPSED))
        yield judged_where_learned(row, correlation)


def capacity_and_length(tables: Tables) -> Iterator[Row]:
    """Claim 7."""
    columns = point_columns(tables, "fig7", "duration_ms", "n_neurons", "tau_corr_ms", "correlation")
    if columns is None:
        return
    duration, size, tau_corr, correlation = columns
    logs = np.column_stack([np.log10(duration), np.log10(size), np.log10(tau_corr)])
    slopes = slope_interval(logs, correlation)
    for slope, symbol, criterion, judge in zip(slopes, "TN", ("below 0", "above 0"), (below, above), strict=False):
        row = Row(7, f"slope of correlation per decade of {symbol}", "fig7", criterion, slope, judge(slope, 0.0))
        yield judged_where_learned(row, correlation)
    from hpcspike.analysis import capacity

    result = capacity(tables["fig7"], threshold=LEARNED)
    values = np.asarray(result["capacity_one_sided"].values, dtype=np.float64).ravel()
    found = slope_interval(np.asarray(result["n_neurons"].values, dtype=np.float64) / 100, values)[0]
    yield Row(7, "slope of capacity T/tau_c per 100 neurons", "fig7", "above 0", found, above(found, 0.0))


def balance(tables: Tables) -> Iterator[Row]:
    """Claim 14: the balance in the sweep made for it or else in those of Fig 6, the optimum in those of Fig 6.

    The optimum of the correlation is flat: its place is known to 0.2 decades of tau_s, over 0.9 decades of tau_c and
    0.5 of N. That gives no exponent to within 0.15, so that it is held against laws only.
    """
    from hpcspike.analysis import crossings, fit_law, paper_law
    from hpcspike.analysis.crossing import THEORY

    of_fig6 = [name for name in ("fig6", "fig6_size") if name in tables]
    of_fig6 = of_fig6 if len(of_fig6) == 2 else []
    of_balance = ["balance"] if "balance" in tables else of_fig6
    definitions: tuple[tuple[Definition, str, list[str]], ...] = (
        ("balance", "where the spectral index is 0", of_balance), ("optimum", "of the best correlation", of_fig6)
    )  # fmt: skip
    for definition, words, names in definitions:
        source = ", ".join(names)
        try:
            found = crossings([tables[name] for name in names], definition)
        except DataError:  # no sweep, or no cell has one
            continue
        logs = np.log(np.column_stack([found.tau_corr_ms, found.n_neurons]))
        slopes = slope_interval(logs, np.log(found.tau_syn_ms)) if definition == "balance" else []
        for slope, expected, symbol in zip(slopes, THEORY, ("tau_c", "N"), strict=bool(slopes)):
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


def capacity_law(tables: Tables) -> Iterator[Row]:
    """Claim 15, at the one threshold of the project: at others most windows of a grid are all learned, or none is.

    In the sweeps that have windows around the capacity of every network or, where these are not at hand, in that of
    Fig 7, whose grid measures it at four sizes.
    """
    from hpcspike.analysis import capacity

    if "fig7" in tables and "capacity_degree" not in tables:
        result = capacity(tables["fig7"], threshold=LEARNED, interpolate=True, n_bootstrap=0)
        size, value = result["n_neurons"].values, result["capacity"].values.ravel()
        yield _exponent(size[:, None], value, 0, f"exponent of N in the capacity at correlation {LEARNED}", "fig7")
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


def _log(values: np.ndarray) -> np.ndarray:
    """Natural logarithm, NaN where there is none: of networks without an error, or that learned nothing."""
    return np.log(np.where(values > 0, values, np.nan))


def _slopes(predictors: np.ndarray, value: np.ndarray) -> list[Interval]:
    return slope_interval(np.log(predictors), _log(value))


def _exponent(predictors: np.ndarray, value: np.ndarray, which: int, measure: str, source: str) -> Row:
    slope = _slopes(predictors, value)[which]
    return Row(15, measure, source, "1 to within 0.15", slope, covers(slope, 1.0, 0.15))


def other_planes(tables: Tables) -> Iterator[Row]:
    """Claim 16; of a map on which no network has learned, that it has not. Rates by averages over trials."""
    for sweep, words, name in (
        ("map_rate", "rate training", "correlation_trial_mean"),
        ("map_lif", "LIF", "correlation"),
        ("map_dale", "E-I, signs kept", "correlation"),
    ):
        columns = point_columns(tables, sweep, "tau_syn_ms", "tau_corr_ms", name)
        if columns is None:
            continue
        tau_syn, tau_corr, correlation = columns
        if not (correlation >= LEARNED).any():
            yield from _none_learned(tables, sweep, words, correlation, of_rates=name == "correlation_trial_mean")
            continue
        of_map = {sweep: tables[sweep].assign(correlation=tables[sweep][name])}
        slow = (tau_syn >= 30) & (tau_syn >= tau_corr)
        found = slope_interval(np.log10(tau_syn / tau_corr)[slow], correlation[slow])[0]
        measure = f"{words}: slope of correlation per decade of tau_s / tau_c, tau_s >= 30 ms and >= tau_c"
        row = Row(16, measure, sweep, "below 0", found, below(found, 0.0))
        yield judged_where_learned(row, correlation[slow])
        fast = (tau_syn <= 20) & (tau_corr >= 50)
        found = slope_interval(np.log10(tau_syn)[fast], correlation[fast])[0]
        measure = f"{words}: slope of correlation per decade of tau_s, tau_s <= 20 ms, tau_c >= 50 ms"
        row = Row(16, measure, sweep, "above 0", found, above(found, 0.0))
        yield judged_where_learned(row, correlation[fast])
        yield from _collapses(16, of_map, sweep, "tracking", f"{words}: ", "tau_s / tau_c, tau_s >= 30 ms", "tau_c")


def _none_learned(tables: Tables, sweep: str, words: str, correlation: np.ndarray, *, of_rates: bool) -> Iterator[Row]:
    """The best of a map's networks, in place of slopes and curves of networks that recall nothing."""
    if not np.isfinite(correlation).any():
        return
    best = Interval(float(np.nanmax(correlation)), np.nan, np.nan, len(correlation))
    phi = point_columns(tables, sweep, "correlation_phi") if of_rates else None
    what = "trial-averaged filtered spikes and rate target" if of_rates else "drive and target"
    beside = f"phi(u) in single trials up to {np.nanmax(phi[0]):.2f}; " if phi and np.isfinite(phi[0]).any() else ""
    measure = f"{words}: correlation of {what}, best network of the map ({beside}its slopes and curves are not read)"
    yield Row(16, measure, sweep, f"above {LEARNED}, or there is no plane to compare", best, above(best, LEARNED))
