"""Rows of the claims from tables of studies, each beside its value worked out by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

from hpcspike.studies import claims_in_studies as statements
from hpcspike.studies.claims import Row

BY_CLAIM = {
    1: (statements.own_patterns, statements.population_rates), 2: (statements.heterogeneity,),
    3: (statements.initial_weights,), 4: (statements.quasi_static,), 5: (statements.drive_and_rate,),
    8: (statements.loss,), 9: (statements.low_rates,), 10: (statements.other_units,), 11: (statements.dale,),
    12: (statements.cortex,), 13: (statements.identical,),
}  # fmt: skip


def study(variants: list[str], *, dims: dict[str, tuple[str, ...]] | None = None, **columns: Any) -> xr.Dataset:
    """A table over (variant, replicate), and the further dimensions that ``dims`` names for a column."""
    further = dims or {}
    data = {name: (("variant", "replicate", *further.get(name, ())), np.array(v)) for name, v in columns.items()}
    n_replicates = next(iter(data.values()))[1].shape[1]
    return xr.Dataset(data, coords={"variant": variants, "replicate": np.arange(n_replicates)})


def the_row(tables: dict[str, xr.Dataset], claim: int, words: str) -> Row:
    """The only row of a claim whose measure has these words."""
    found = [row for statement in BY_CLAIM[claim] for row in statement(tables) if words in row.measure]
    (row,) = found
    assert row.claim == claim
    return row


def test_own_patterns_are_judged_by_the_mean_over_networks() -> None:
    fig1 = study(
        ["drive", "rate"],
        correlation=[[0.9, 0.7], [0.5, 0.3]],
        correlation_trial_mean=[[0.1, 0.1], [0.9, 0.7]],
        correlation_phi=[[np.nan, np.nan], [0.95, 0.93]],
    )
    assert the_row({"fig1": fig1}, 1, "drive and sine target").found.value == pytest.approx(0.8)
    beside = "filtered spikes and rate target, rate, N = 200 (single trials 0.40, phi(u) in single trials 0.94)"
    assert the_row({"fig1": fig1}, 1, f"trial-averaged {beside}").found.value == pytest.approx(0.8)
    recall = {"recall_correlation": ("target_set", "preceding_set")}
    fig2 = study(
        ["drive"],
        dims=recall,
        correlation=[[0.1, 0.1]],
        recall_correlation=[[[[0.9, 0.8], [0.7, 0.6]], [[0.5, 0.5], [0.5, 0.1]]]],
    )
    assert the_row({"fig2": fig2}, 1, "whatever came before").found.value == pytest.approx((0.75 + 0.4) / 2)
    assert the_row({"fig2": fig2}, 1, "correlation of drive with the cued one").claim == 1
    of_rates = fig2.assign_coords(variant=["rate-strong-cue"])
    assert the_row({"fig2": of_rates}, 1, "filtered spikes in single trials with the cued one").claim == 1
    fig3 = study(["periodic"], correlation=[[0.6, 0.8, 1.0]])
    row = the_row({"fig3": fig3}, 1, "correlation of drive and target, periodic, N = 500")
    assert (row.found.value, row.found.n, row.criterion) == (pytest.approx(0.8), 3, "above 0.7")


@pytest.mark.parametrize(
    ("variant", "rate", "verdict"),
    [
        ("periodic", 8.2, "holds"), ("periodic", 8.18, "does not hold"), ("periodic", 10.0, "holds"),
        ("chaotic", 7.9, "holds"), ("chaotic", 7.93, "does not hold"), ("ou", 10.9, "holds"),
        ("ou", 13.4, "does not hold"),
    ],
)  # fmt: skip
def test_population_rates_are_the_papers_to_within_a_tenth(variant: str, rate: float, verdict: str) -> None:
    row = the_row({"fig3": study([variant], population_rate=[[rate] * 3])}, 1, "population rate (Hz)")
    assert (row.found.value, row.verdict) == (pytest.approx(rate), verdict)


def test_heterogeneous_targets_gain_what_common_ones_lack() -> None:
    table = study(["random-1", "random-0"], correlation=[[0.9, 0.7], [0.1, 0.3]])
    assert the_row({"fig3_heterogeneity": table}, 2, "minus with one target").found.value == pytest.approx(0.6)


def test_zero_weights_are_compared_with_those_of_the_same_replicate() -> None:
    tables = {"fig1s2": study(["drive"], correlation=[[0.85, 0.75]]), "fig1": study(["drive"], correlation=[[0.9, 1]])}
    assert the_row(tables, 3, "from zero weights").found.value == pytest.approx(0.8)
    rates = {
        name: study(["rate"], correlation=[[0.1, 0.1]], correlation_trial_mean=[v])
        for name, v in (("fig1s2", [0.9, 0.8]), ("fig1", [0.7, 0.7]))
    }
    assert the_row(rates, 3, "difference from sigma = 4").found.value == pytest.approx(0.15)
    row = the_row(tables, 3, "difference from sigma = 4")
    assert row.found.value == pytest.approx(-0.15)
    assert (row.found.low, row.found.high) == pytest.approx((-0.15 - 12.7062 * 0.1, -0.15 + 12.7062 * 0.1), rel=1e-5)


def test_quasi_static_drives_and_rates_are_not_confused() -> None:
    table = study(
        ["ou"], quasi_static_drive_correlation=[[0.9, 0.7]], quasi_static_rate_correlation=[[0.6, 0.5]],
    )  # fmt: skip
    assert the_row({"fig3": table}, 4, "correlation of drive").found.value == pytest.approx(0.8)
    assert the_row({"fig3": table}, 4, "correlation of trial-averaged rate").found.value == pytest.approx(0.55)


def test_rate_training_is_compared_with_drive_training() -> None:
    def curve(first: int) -> list[float]:  # learned from the loop of this number on
        return [0.4] * (first - 1) + [0.8] * (15 - first)

    changes = np.array([[[0.5], [0.9]], [[0.2], [0.3]]])
    later = np.array([[[1.0], [2.0]], [[5.0], [9.0]]]) * np.ones(13)
    table = study(
        ["drive", "rate"],
        dims={"curve_correlation": ("loop",), "curve_weight_change": ("loop",)},
        curve_correlation=[[curve(2), curve(3)], [curve(5), curve(8)]],
        curve_weight_change=np.concatenate([changes, later], axis=2),
    )
    assert the_row({"fig1": table}, 5, "loops to 90 %").found.value == pytest.approx((3 + 5) / 2)
    assert the_row({"fig1": table}, 5, "weight change in the first loop").found.value == pytest.approx(-0.45)


@pytest.mark.parametrize(("share", "fall"), [("5%", 0.02), ("10%", 0.1), ("40%", 0.55)])
def test_a_lesions_fall_is_what_the_whole_network_had_more(share: str, fall: float) -> None:
    lost = np.array([0.0, 0.02, 0.1, 0.55])
    values = np.stack([0.9 - lost + 0.01, 0.9 - lost - 0.01], axis=-1)  # two draws
    table = study(
        ["periodic"], dims={"lesion_correlation": ("lesion_fraction", "draw")},
        correlation=[[0.9, 0.9]], lesion_correlation=[[values, values - 0.3]],
    ).assign_coords(lesion_fraction=[0.0, 0.05, 0.1, 0.4])  # fmt: skip
    row = the_row({"fig3": table}, 8, f"when {share} of")
    assert row.found.value == pytest.approx(fall)
    assert row.verdict == "holds"
    share_followed = table["lesion_correlation"] * 0 + 0.625
    shown = {"fig3": table.assign(lesion_share_followed=share_followed)}
    assert the_row(shown, 8, f"when {share} of").measure.endswith("periodic (share of neurons above 0.7: 0.62)")
    worse = {"5%": 0.06, "10%": 0.16, "40%": 0.29}[share]
    table["lesion_correlation"].loc[{"lesion_fraction": float(share[:-1]) / 100}] = (
        table["lesion_correlation"].sel(lesion_fraction=0.0).values - worse
    )
    assert the_row({"fig3": table}, 8, f"when {share} of").verdict == "does not hold"
    table["lesion_correlation"] -= 0.1  # 0.65 without a loss: what is not recalled cannot be lost
    assert not [row for statement in BY_CLAIM[8] for row in statement({"fig3": table})]


def test_low_rates_are_said_and_the_lowest_amplitude_fails() -> None:
    table = study(
        ["amplitude-0.02", "amplitude-0.05"],
        correlation=[[0.2, 0.2], [0.8, 0.8]], population_rate=[[1.0, 1.2], [1.4, 1.8]],
    )  # fmt: skip
    failed = the_row({"fig3s1": table}, 9, "correlation at amplitude 0.02, population rate 1.1 Hz")
    learned = the_row({"fig3s1": table}, 9, "correlation at amplitude 0.05, population rate 1.6 Hz")
    assert (failed.criterion, failed.verdict, failed.found.value) == ("below 0.7", "holds", pytest.approx(0.2))
    assert (learned.criterion, learned.verdict, learned.found.value) == ("above 0.7", "holds", pytest.approx(0.8))


def of_document(table: xr.Dataset, amplitude: float, duration_ms: float, n_loops: int, **overlays: Any) -> xr.Dataset:
    document = {
        "name": "one",
        "experiment": {
            "network": {"n_neurons": 50},
            "connectivity": {"kind": "gaussian", "probability": 0.3, "sigma": 2.0},
            "targets": {"kind": "sine_product", "duration_ms": 1000.0},
            "stimulus": {"amplitude": amplitude, "duration_ms": duration_ms},
            "training": {"variable": "drive", "n_loops": n_loops},
        },
        "variants": {name: overlays.get(name.replace("-", "_"), {}) for name in table["variant"].values.tolist()},
    }
    return table.assign_attrs(document=json.dumps(document))


def test_rate_units_are_compared_with_spiking_networks_at_an_equal_cue() -> None:
    weak = [[0.99, 0.95, np.nan, np.nan], [0.8, 0.6, 0.5, 0.7]]  # of other networks there may be more
    tables = {
        "fig1s1": study(["tanh", "tanh-weak-cue"], correlation=weak),
        "fig3": study(["periodic"], correlation=[[0.89, 0.85, 0.87]]),
        "fig3s2": study(["lif"], correlation=[[0.6, 0.5]], population_rate=[[31.0, 33.0]]),
    }
    row = the_row(tables, 10, "tanh units minus that of spiking")
    assert row.measure.startswith("correlation of tanh units minus that of spiking neurons")
    assert (
        "N = 500, cues of equal amplitude (a cue that is stronger for tanh units only gives a difference" in row.measure
    )
    assert (row.found.value, row.found.n, row.verdict) == (pytest.approx(0.65 - 0.87), 3, "does not hold")
    assert the_row(tables, 10, "drive and target, lif").found.value == pytest.approx(0.55)
    assert the_row(tables, 10, "x and target, tanh units").found.value == pytest.approx(0.97)
    tables["fig1s1"] = of_document(tables["fig1s1"], 5.0, 50.0, 15, tanh_weak_cue={"stimulus": {"amplitude": 1.0}})
    tables["fig3"] = of_document(tables["fig3"], 1.0, 100.0, 30)
    measure = the_row(tables, 10, "tanh units minus that of spiking").measure
    compared = "50 ms of amplitude 1, sigma 2, 15 loops against 100 ms of amplitude 1, sigma 2, 30 loops"
    assert f"({compared}; a cue that is stronger" in measure
    assert "a difference of 0.1, " in measure  # which nothing judges
    unequal = {**tables, "fig3": of_document(tables["fig3"], 2.0, 100.0, 30)}
    assert not [row for row in statements.other_units(unequal) if "minus" in row.measure]
    without = {**tables, "fig1s1": tables["fig1s1"].sel(variant=["tanh"])}
    assert not [row for row in statements.other_units(without) if "minus" in row.measure]
    tables["fig1s1"]["diverged_loop"] = (("variant", "replicate"), np.array([[-1] * 4, [-1, -1, -1, 3]]))
    tables["fig1s1"]["correlation"][1, 3] = np.nan
    assert the_row(tables, 10, "minus that of spiking").found.value == pytest.approx(1.9 / 4 - 0.87)


def flux_tube() -> xr.Dataset:
    """A window of 800 ms; the stretches that count are 500 to 800 ms, and after 1300 ms."""
    time = np.arange(100.0, 2001.0, 100.0)
    half, rest = (time > 400) & (time <= 800), time > 1300
    after, before = np.full(20, 9.0), np.full(20, 90.0)
    after[half], after[rest], before[half] = 0.1, 0.5, 2.0
    return study(
        ["unconstrained", "signs"],
        dims={"phase_deviation_after": ("deviation_time",), "phase_deviation_before": ("deviation_time",)},
        correlation=[[0.9, 0.9]] * 2,
        sign_flips=[[0.2, 0.4], [0.0, 0.0]],
        spectral_radius_before=[[1.5, 1.4]] * 2,
        spectral_radius_after=[[1.2, 1.3]] * 2,
        phase_deviation_after=[[after, 2 * after]] * 2,
        phase_deviation_before=[[before, before]] * 2,
        window_ms=[[400.0, 400.0], [800.0, 800.0]],
    ).assign_coords(deviation_time=time)


def test_deleted_spikes_are_judged_in_the_second_half_of_the_window() -> None:
    tables = {"fig4": flux_tube()}
    shorter = (4 * 9.0 + 7 * 0.5) / 11  # what a window of 400 ms takes for the time after it
    after = the_row(tables, 11, "over that 0.5 s and more after it, loops that run on (unconstrained 2.51, signs 0.20)")
    assert after.found.value == pytest.approx((9.0 / shorter + 0.2) / 2)
    untrained = the_row(tables, 11, "over untrained, loops that run on")
    assert untrained.found.value == pytest.approx(np.mean([(0.1 + 0.05) / 2, (0.2 + 0.1) / 2]))
    assert untrained.found.n == 2  # networks, each the mean of its readings


def test_deviations_of_networks_from_random_states_stand_apart_and_fall_with_recall() -> None:
    table = flux_tube().assign_coords(variant=["unconstrained", "signs-random-starts"])
    table["correlation"][:] = [[0.8, 0.6], [0.9, 0.8]]  # untrained ratios: 0.1, 0.2 and 0.05, 0.1
    tables = {"fig4": table}
    random = the_row(tables, 11, "over untrained, loops from random states (signs-random-starts 0.0")
    assert random.found.value == pytest.approx(0.075)
    slope = the_row(tables, 11, "slope of the phase deviation")
    assert slope.found.value == pytest.approx(np.polyfit([0.8, 0.6, 0.9, 0.8], [0.1, 0.2, 0.05, 0.1], 1)[0])
    assert slope.verdict == "holds"


def test_loops_that_run_on_are_judged_by_the_best_network_and_others_by_the_mean() -> None:
    table = flux_tube().assign_coords(variant=["exclude", "exclude-random-starts"])
    table["correlation"][:] = [[0.75, 0.05], [0.9, 0.86]]
    tables = {"fig4": table}
    best = the_row(tables, 11, "single trials, best network, exclude (mean 0.40, ")
    assert (best.found.value, best.verdict, best.found.n) == (0.75, "holds", 2)
    assert best.measure.endswith("; 1 above 0.7)")
    mean = the_row(tables, 11, "single trials, mean over networks, exclude-random-starts")
    assert (mean.found.value, mean.verdict) == (pytest.approx(0.88), "undecided")  # 0.63 to 1


def test_kept_signs_and_shrinking_eigenvalues() -> None:
    table = flux_tube()
    flips = the_row({"fig4": table}, 11, "whose sign changed")  # none is asked of a network without the rule
    assert (flips.found.value, flips.verdict) == (0.0, "holds")
    table["sign_flips"][1, 1] = 0.01
    assert the_row({"fig4": table}, 11, "whose sign changed").verdict == "does not hold"
    table["sign_flips"][1] = [0.0, np.nan]  # of two networks one was probed
    some = the_row({"fig4": table}, 11, "whose sign changed")
    assert (some.verdict, some.found.n) == ("holds", 1)
    assert the_row({"fig4": table}, 11, "before training, signs").found.value == pytest.approx(-0.2)


def test_auxiliary_neurons_gain_and_shuffles_lose() -> None:
    table = study(
        ["ratio-0", "ratio-2", "ratio-0.5"],
        dims={"shuffle_correlation": ("shuffle_fraction", "draw"), "shuffle_correlation_phi": ("shuffle_fraction",)},
        correlation_trial_mean_recorded=[[0.3, 0.5], [0.8, 0.9], [0.6, 0.9]],
        correlation_phi_recorded=[[0.1, 0.1], [0.75, 0.85], [0.2, 0.2]],
        correlation_auxiliary=[[0.0, 0.0], [0.4, 0.5], [0.1, 0.1]],
        rate_recorded=[[1.0, 1.0], [11.0, 12.0], [2.0, 2.0]],
        target_rate_recorded=[[1.0, 1.0], [15.0, 16.0], [2.0, 2.0]],
        rms_error_recorded=[[1.0, 1.0], [4.0, 4.5], [2.0, 2.0]],
        shuffle_correlation=[[[[0.1, 0.1]] * 2] * 2, [[[0.5, 0.4], [0.9, 0.8]]] * 2, [[[0.1, 0.1]] * 2] * 2],
        shuffle_correlation_phi=[[[0.1, 0.1]] * 2, [[0.2, 0.9]] * 2, [[0.1, 0.1]] * 2],
    ).assign_coords(shuffle_fraction=[1.0, 0.0])
    tables = {"fig5": table}
    assert the_row(tables, 12, "2 auxiliary neurons for each minus none").found.value == pytest.approx((0.5 + 0.4) / 2)
    assert the_row(tables, 12, "2 auxiliary neurons for each minus 0.5").found.value == pytest.approx(0.1)
    four = {"fig5": table.assign_coords(variant=["ratio-0", "ratio-2", "ratio-4"])}
    assert the_row(four, 12, "4 auxiliary neurons for each minus none").found.value == pytest.approx((0.3 + 0.4) / 2)
    beside = "single trials of auxiliary neurons 0.45; rates 11.5 Hz in the model, 15.5 Hz in the data, rms error 4.25"
    assert the_row(
        tables, 12, f"phi(u) and data, recorded units, recorded rates ({beside}"
    ).found.value == pytest.approx(0.8)
    assert the_row(tables, 12, "trial-averaged filtered spikes and").found.value == pytest.approx(0.85)
    assert the_row(tables, 12, "of trial-averaged filtered spikes when 100%").found.value == pytest.approx(0.4)
    assert the_row(tables, 12, "of phi(u) when 100%").found.value == pytest.approx(0.7)
    assert all("recorded rates" in row.measure for row in statements.cortex(tables))
    both = list(statements.cortex({"fig5": table.assign_attrs(stand_in="generated"), "fig5_recordings": table}))
    assert {row.source: ("made-up rates" in row.measure) for row in both} == {"fig5": True, "fig5_recordings": False}
    assert [row.found for row in both[: len(both) // 2]] == [row.found for row in both[len(both) // 2 :]]
    silent = table.assign(n_silent_recorded=table["rate_recorded"] - 5.0, n_recorded=table["rate_recorded"] + 5.0)
    assert "rms error 4.25 Hz, 6.5 of 16.5 units silent)" in the_row({"fig5": silent}, 12, "phi(u) and data").measure
    of_stand_in = {"fig5": table.assign_attrs(stand_in="generated")}
    assert all("made-up rates" in row.measure for row in statements.cortex(of_stand_in))


def test_strong_noise_is_the_last_variant_of_identical_targets() -> None:
    table = study(["weak", "medium", "strong"], correlation=[[0.1, 0.3], [0.5, 0.5], [0.8, 0.9]])
    assert the_row({"fig3s3": table}, 13, "common sine, strong").found.value == pytest.approx(0.85)
    assert the_row({"fig3s3": table}, 13, "strong noise minus with weak").found.value == pytest.approx(0.65)
