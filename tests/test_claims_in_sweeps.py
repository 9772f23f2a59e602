"""Rows of the claims from sweeps in which the slopes were planted; outside the stretch that counts others hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcspike.studies import claims_in_sweeps
from hpcspike.studies.claim_tables import NONE_LEARNED
from hpcspike.studies.claims import Row
from tests.synthetic import Columns, synthetic_sweep

TAU_SYN = (2.0, 5.0, 10.0, 12.0, 20.0, 25.0, 30.0, 60.0, 100.0, 300.0)
TAU_CORR = (25.0, 50.0, 60.0, 200.0)
SIZES = (100, 200, 500)


def planted(found: Iterable[Row], words: str, n: int | None = None) -> float:
    """Value of the first row whose measure has these words; n: how many points it must be of."""
    row = next(row for row in found if words in row.measure)
    assert n in (None, row.found.n)
    return row.found.value


def sweep(correlation: Callable[[Columns], np.ndarray] | None = None, **options: Any) -> xr.Dataset:
    return synthetic_sweep(replicates=2, **options, **({} if correlation is None else {"correlation": correlation}))


def columns(dataset: xr.Dataset, *names: str) -> list[np.ndarray]:
    return [np.asarray(dataset[name].values, dtype=np.float64) for name in names]


def test_slopes_of_slow_synapses_and_of_small_networks() -> None:
    def against_tau(p: Columns) -> np.ndarray:
        slow = (p["tau_syn_ms"] >= 30) & (p["tau_syn_ms"] >= p["tau_corr_ms"])
        return np.where(slow, 0.8 - 0.25 * np.log10(p["tau_syn_ms"] / p["tau_corr_ms"]), 0.9)

    def against_size(p: Columns) -> np.ndarray:
        fast = p["tau_syn_ms"] <= 10
        return np.where(fast, 0.15 * np.log10(p["n_neurons"]) + 0.4 * np.log10(p["tau_syn_ms"]), 0.9)

    tables = {
        "fig6": sweep(against_tau, tau_syn_ms=TAU_SYN, tau_corr_ms=TAU_CORR),
        "fig6_size": sweep(against_size, tau_syn_ms=TAU_SYN, n_neurons=SIZES),
    }
    found = list(claims_in_sweeps.time_scales_and_size(tables))
    assert planted(found, "tau_s / tau_c", 22) == pytest.approx(-0.25)
    assert planted(found, "per decade of N", 18) == pytest.approx(0.15)
    assert [row.verdict for row in found] == ["holds", "holds"]


def test_exponents_of_the_two_errors() -> None:
    size = sweep(tau_syn_ms=TAU_SYN, n_neurons=SIZES)
    tau, n = columns(size, "tau_syn_ms", "n_neurons")
    size["sampling_error"][:] = np.where(tau <= 30, 9.0 * tau**-0.4 * n**-0.6, 1.0)
    size["tracking_error"][:] = np.where(tau >= 100, tau**0.9 * n**0.1, 1.0 / n)
    plane = sweep(tau_syn_ms=TAU_SYN, tau_corr_ms=TAU_CORR)
    tau, tau_corr = columns(plane, "tau_syn_ms", "tau_corr_ms")
    plane["sampling_error"][:] = np.where(tau <= 20, tau_corr**0.07 * tau**-0.5, tau_corr)
    found = claims_in_sweeps.trade_off({"fig6": plane, "fig6_size": size})
    first = [next(found) for _ in range(4)]  # what follows is of curves left out
    assert planted(first, "exponent of tau_s in the clamped sampling error", 42) == pytest.approx(-0.4)
    assert planted(first, "exponent of N in the clamped sampling error", 42) == pytest.approx(-0.6)
    assert planted(first, "exponent of N in the clamped tracking error", 12) == pytest.approx(0.1)
    assert planted(first, "exponent of tau_c in the clamped sampling error", 40) == pytest.approx(0.07)
    assert [row.verdict for row in first] == ["holds"] * 4


def test_slopes_against_length_and_size() -> None:
    def correlation(p: Columns) -> np.ndarray:
        logs = [np.log10(p[name]) for name in ("duration_ms", "n_neurons", "tau_corr_ms")]
        return 0.5 - 0.3 * logs[0] + 0.45 * logs[1] + 0.2 * logs[2]

    dataset = sweep(correlation, duration_ms=(200.0, 400.0, 800.0, 3200.0), tau_corr_ms=(50.0, 100.0), n_neurons=SIZES)
    found = list(claims_in_sweeps.capacity_and_length({"fig7": dataset}))
    assert planted(found, "per decade of T") == pytest.approx(-0.3)
    assert planted(found, "per decade of N") == pytest.approx(0.45)


def test_capacity_grows_per_hundred_neurons() -> None:
    def correlation(p: Columns) -> np.ndarray:  # learned are windows up to 2 tau_c for every 100 neurons
        return np.where(p["duration_ms"] <= 2 * p["n_neurons"] / 100 * p["tau_corr_ms"], 0.7, 0.2)

    durations = (100.0, 200.0, 400.0, 800.0, 1600.0)
    dataset = sweep(correlation, duration_ms=durations, tau_corr_ms=(50.0, 100.0), n_neurons=(100, 200, 400))
    assert planted(claims_in_sweeps.capacity_and_length({"fig7": dataset}), "per 100 neurons") == pytest.approx(2.0)


@pytest.mark.parametrize("own_sweep", [True, False])
def test_exponents_and_prefactor_of_the_balance(own_sweep: bool) -> None:
    tables = {}
    grids: dict[str, dict[str, Any]] = {
        "fig6": {"tau_corr_ms": (50.0, 100.0, 300.0), "n_neurons": (500,)},
        "fig6_size": {"tau_corr_ms": (100.0,), "n_neurons": (100, 200, 800)},
    }
    if own_sweep:  # it is judged, whatever else is at hand
        grids = {"fig6": {"n_neurons": (1, 2)}, "balance": grids["fig6"] | {"n_neurons": (100, 200, 800)}}
    for name, axes in grids.items():
        tables[name] = sweep(tau_syn_ms=(1.0, 3.0, 9.0, 27.0, 81.0), **axes)
        tau, tau_corr, n = columns(tables[name], "tau_syn_ms", "tau_corr_ms", "n_neurons")
        tables[name]["spectral_index"][:] = np.log(3.0 * tau_corr**0.6 * n**-0.25 / tau)
    found = [row for row in claims_in_sweeps.balance(tables) if "spectral index" in row.measure]
    assert planted(found, "exponent of tau_c") == pytest.approx(0.6)
    assert planted(found, "exponent of N") == pytest.approx(-0.25)
    assert [row.criterion for row in found[:2]] == ["0.67 to within 0.15", "-0.33 to within 0.15"]
    assert planted(found, "exponents fitted, 3 ms (tau_c/ms)^0.60 N^-0.25") == pytest.approx(0.0, abs=1e-9)
    assert {row.source for row in found} == {"balance" if own_sweep else "fig6, fig6_size"}
    cells = [(50, 500), (100, 500), (300, 500), (100, 100), (100, 200), (100, 800)]
    if own_sweep:
        cells = [(c, n) for c in (50, 100, 300) for n in (100, 200, 800)]
    away = [np.log10(3.0 * c**0.6 * n**-0.25 / ((4 * np.pi * c) ** (2 / 3) * (10.0 / n) ** (1 / 3))) for c, n in cells]
    assert planted(found, "nothing fitted") == pytest.approx(np.sqrt(np.mean(np.square(away))))


@pytest.mark.parametrize(
    ("name", "axis", "values", "exponent"),
    [
        ("capacity_degree", "probability", (0.1, 0.2, 0.4), 0.8),
        ("capacity_amplitude", "standard_deviation", (0.25, 0.5, 1.0), -0.2),
    ],
)
def test_exponents_of_the_capacity(name: str, axis: str, values: tuple[float, ...], exponent: float) -> None:
    def correlation(p: Columns) -> np.ndarray:  # linear in T: interpolation finds T_max as it was planted
        longest = p["tau_corr_ms"] * (p["n_neurons"] / 100) ** 1.1 * p.get(axis, np.ones(1)) ** exponent
        return 1.0 - 0.3 * p["duration_ms"] / longest

    axes = {"duration_ms": (1.0, 4000.0), "tau_corr_ms": (100.0,), "n_neurons": SIZES}
    tables = {"fig7": sweep(correlation, **axes), name: sweep(correlation, further={axis: values}, **axes)}
    found = list(claims_in_sweeps.capacity_law(tables))
    assert len(found) == (2 if name == "capacity_degree" else 3)  # Fig 7 where the sweep made for it is not at hand
    of_fig7 = claims_in_sweeps.capacity_law({"fig7": tables["fig7"]})
    assert planted(of_fig7, "capacity at correlation 0.7") == pytest.approx(1.1)
    own = [row for row in found if row.source == name]
    assert [row.found.value for row in own] == pytest.approx([1.1, exponent])
    assert [row.criterion for row in own] == ["1 to within 0.15", f"{int(axis == 'probability')} to within 0.15"]


def test_slopes_on_either_side_of_other_planes() -> None:
    def correlation(p: Columns) -> np.ndarray:
        tau, tau_corr = p["tau_syn_ms"], p["tau_corr_ms"]
        slow, fast = (tau >= 30) & (tau >= tau_corr), (tau <= 20) & (tau_corr >= 50)
        falls, rises = 0.8 - 0.25 * np.log10(tau / tau_corr), 0.3 + 0.35 * np.log10(tau)
        return np.where(slow, falls, np.where(fast, rises, 0.9))

    dataset = sweep(correlation, tau_syn_ms=TAU_SYN, tau_corr_ms=TAU_CORR)
    dataset["correlation_trial_mean"][:] = dataset["correlation"].values
    dataset["correlation"][:] = 0.1  # rates are judged by averages over trials
    found = list(claims_in_sweeps.other_planes({"map_rate": dataset}))
    assert planted(found, "rate training: slope of correlation per decade of tau_s / tau_c", 22) == pytest.approx(-0.25)
    assert planted(found, "rate training: slope of correlation per decade of tau_s, tau_s <=", 30) == pytest.approx(
        0.35
    )
    assert len(found) == 4
    assert not any(row.why for row in found)


def test_slopes_of_networks_that_learned_nothing_are_not_read() -> None:
    def on_the_slow_branch_only(p: Columns) -> np.ndarray:
        return np.where(p["tau_syn_ms"] >= 30, 0.9, 0.01) - 0.002 * np.log10(p["tau_syn_ms"])

    dataset = sweep(on_the_slow_branch_only, tau_syn_ms=TAU_SYN, tau_corr_ms=TAU_CORR)
    slow, fast = list(claims_in_sweeps.other_planes({"map_dale": dataset}))[:2]
    assert (slow.verdict, slow.why) == ("holds", "")
    assert (fast.verdict, fast.why) == ("undecided", NONE_LEARNED)
    assert fast.found.high < 0
    dataset["correlation"][:] -= 0.3  # 0.6 at most: there is no plane
    dataset["correlation"][:3] = np.nan
    (best,) = claims_in_sweeps.other_planes({"map_dale": dataset})
    assert (best.verdict, best.found.value) == ("does not hold", pytest.approx(0.6, abs=0.01))
    assert best.measure.startswith("E-I, signs kept: correlation of drive and target, best network of the map (its sl")
    rates = dataset.assign(correlation_trial_mean=dataset["correlation"], correlation_phi=dataset["correlation"] + 0.2)
    (best,) = claims_in_sweeps.other_planes({"map_rate": rates})
    assert "trial-averaged filtered spikes and rate target, best network of the map (phi(u) in single" in best.measure
    for statements in (claims_in_sweeps.time_scales_and_size, claims_in_sweeps.trade_off):
        found = list(statements({"fig6": dataset, "fig6_size": sweep(on_the_slow_branch_only, n_neurons=SIZES)}))
        of_recall = [row for row in found if "correlation" in row.measure]
        assert of_recall
        assert {(row.verdict, row.why) for row in of_recall} == {("undecided", NONE_LEARNED)}
    windows = sweep(lambda p: 0.5 - 0.1 * np.log10(p["duration_ms"]), duration_ms=(200.0, 400.0), n_neurons=SIZES)
    lengths = list(claims_in_sweeps.capacity_and_length({"fig7": windows}))[:2]
    assert {(row.verdict, row.why) for row in lengths} == {("undecided", NONE_LEARNED)}
