"""What figures plot: every line, bar and number against values worked out by hand on small uneven tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import t as student

from hpcspike import figures
from hpcspike.figures.loops import exemplary_curves
from hpcspike.figures.network import from_best_to_worst
from hpcspike.figures.study_curves import _curves as study_curves_of
from hpcspike.figures.style import (
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    PURPLE,
    RESPONSE,
    SKY,
    STATUS_COLOURS,
    TARGET,
)
from hpcspike.variables import LATER_RESULTS
from tests.drawn import heading_of, panels, title_of
from tests.synthetic import Columns, synthetic_sweep, synthetic_trained
from tests.synthetic_study import synthetic_study


def panel(figure: Figure, ylabel: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_ylabel() == ylabel]
    return found


def xy(line: Line2D) -> tuple[list[float], list[float]]:
    return np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()


def heights(axes: Axes, container: int = 0) -> list[float]:
    """Half the length of every error bar of a container."""
    segments = axes.containers[container][2][0].get_segments()
    return [float(segment[1, 1] - segment[0, 1]) / 2 for segment in segments]


# ---- one network -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> xr.Dataset:
    """Twenty neurons that follow their targets worse and worse: 7 best, 0 worst but one, 19 worst; 7 spikes in all."""
    trained = synthetic_trained(n_neurons=20, n_trials=2, n_loops=6, duration_ms=100)
    time = np.arange(1, 101)
    target = np.stack([np.sin(2 * np.pi * time / (20.0 + 3 * k)) for k in range(20)])
    noise = np.where(np.arange(20) == 7, 0.0, np.where(np.arange(20) == 0, 2.0, 0.5))
    noise[19] = 9.0
    generator = np.random.default_rng(1)
    response = target + noise[:, None] * generator.standard_normal((2, 20, 100))
    trained["target"] = trained["target"].copy(data=target[None])
    trained["response"] = trained["response"].copy(data=response[None])
    # trial 0: four spikes from 20 to 30 ms, one of neuron 11 at 77 ms; trial 1: two spikes
    spikes = {
        "spike_time": [-50.0, 21.0, 22.0, 25.0, 29.0, 77.0, 5.0, 6.0],
        "spike_neuron": [2, 0, 3, 7, 19, 11, 4, 4],
        "spike_trial": [0, 0, 0, 0, 0, 0, 1, 1],
        "spike_set": [0] * 8,
    }
    trained = trained.drop_vars(list(spikes))
    return trained.assign({name: ("spike", np.array(values)) for name, values in spikes.items()})


def test_the_rate_below_a_raster_is_in_spikes_per_neuron_and_second(network: xr.Dataset) -> None:
    first, second, below_first, below_second = figures.raster(network).axes
    assert (title_of(first), title_of(second)) == ("trial 1", "trial 2")
    assert xy(first.lines[0]) == ([-50.0, 21.0, 22.0, 25.0, 29.0, 77.0], [2, 0, 3, 7, 19, 11])
    assert xy(second.lines[0]) == ([5.0, 6.0], [4, 4])
    rate = below_first.patches[0].get_data()
    known = {float(rate.edges[k]): float(value) for k, value in enumerate(rate.values) if value}
    assert known == pytest.approx({-50.0: 5.0, 20.0: 20.0, 70.0: 5.0})  # 4 spikes of 20 neurons in 10 ms: 20 Hz
    assert below_second.patches[0].get_data().values.max() == pytest.approx(10.0)
    assert below_first.get_ylabel() == "rate (Hz)"


def test_sample_neurons_go_from_the_best_to_the_worst_followed(network: xr.Dataset) -> None:
    axes = panels(figures.target_against_response(network, n_neurons=3))
    titles = [title_of(one) for one in axes]
    assert titles[0] == "neuron 7, correlation 1.00"
    assert titles[1].startswith("neuron 19, ")  # second column, after the middle one
    lines = {line.get_color(): line for line in axes[1].lines}
    np.testing.assert_array_equal(lines[TARGET].get_ydata(), network["target"].values[0, 19])
    np.testing.assert_array_equal(lines[RESPONSE].get_ydata(), network["response"].values[0, 0, 19])
    np.testing.assert_array_equal(lines[GREY].get_ydata(), network["response"].values[0, 1, 19])


def test_the_correlation_in_a_title_is_the_mean_over_single_trials(network: xr.Dataset) -> None:
    title = title_of(panels(figures.target_against_response(network, n_neurons=2))[-1])
    target, response = network["target"].values[0, 19], network["response"].values[0, :, 19]
    assert title == f"neuron 19, correlation {np.mean([np.corrcoef(target, one)[0, 1] for one in response]):.2f}"


@pytest.mark.parametrize(("asked", "cut", "words"), [(None, 7.958, "8.0"), (5.0, 31.83, "31.8")])
def test_the_cut_off_of_fast_power_lies_at_one_over_two_pi_times_its_time(
    network: xr.Dataset, asked: float | None, cut: float, words: str
) -> None:
    left, right = panels(figures.error_split(network, fast_time_ms=asked))
    (line,) = [line for line in left.lines if line.get_color() == GREY]
    assert line.get_xdata() == pytest.approx([cut, cut], abs=0.01)
    assert left.get_legend_handles_labels()[1] == ["target", "response", f"cut-off {words} Hz"]
    assert title_of(left).endswith("spectral index +0.20")
    assert [bar.get_height() for bar in right.patches] == [0.37, 0.5, 0.3]
    assert [to_hex(bar.get_facecolor()).upper() for bar in right.patches] == [SKY, ORANGE, GREY]
    assert [tick.get_text().replace("\n", " ") for tick in right.get_xticklabels()] == [
        "sampling", "tracking", "quasi-static residual"
    ]  # fmt: skip
    assert [text.get_text() for text in right.texts] == ["0.37", "0.50", "0.30"]


def test_power_spectra_belong_to_target_and_response(network: xr.Dataset) -> None:
    louder = network.assign(response=10.0 * network["response"])
    axes = panels(figures.error_split(louder))[0]
    target, response = (np.asarray(line.get_ydata()) for line in axes.lines[:2])
    assert response.sum() > 50 * target.sum()
    assert [line.get_color() for line in axes.lines[:2]] == [TARGET, RESPONSE]


def test_loops_of_two_target_sets_alternate() -> None:
    trained = synthetic_trained(n_neurons=2, n_sets=2, n_trials=1, n_loops=2, duration_ms=20)
    values = np.array([0.1, 0.5, 0.2, 0.7])
    trained["curve_correlation"] = ("loop", values)
    trained["curve_rate"] = ("loop", 10 * values)
    axes = panels(figures.training_curves(trained))
    assert [xy(line) for line in axes[0].lines] == [([1, 3], [0.1, 0.2]), ([2, 4], [0.5, 0.7])]
    assert xy(axes[1].lines[0]) == ([1, 3], [1.0, 2.0])
    assert axes[1].get_ylabel() == "population rate (Hz)"
    assert title_of(axes[0]).endswith("correlation, plasticity on")


def test_recorded_units_are_sorted_by_their_peak_and_the_model_is_the_mean_of_its_trials() -> None:
    trained = synthetic_trained(n_neurons=5, n_recorded=3, n_trials=2, n_loops=2, duration_ms=60, variable="rate")
    rates = np.full((1, 5, 60), 5.0)
    for unit, peak in ((0, 40), (1, 10), (2, 25)):
        rates[0, unit, peak] = 20.0
    trained["target"] = trained["target"].copy(data=rates)
    response = np.stack([rates + 1.0, rates + 4.0], axis=1) + 0.01 * np.arange(60)
    trained["response"] = trained["response"].copy(data=response)
    left, right = (axes for axes in figures.data_beside_model(trained).axes if axes.get_images())
    np.testing.assert_array_equal(left.get_images()[0].get_array(), rates[0, [1, 2, 0]])
    np.testing.assert_allclose(
        right.get_images()[0].get_array(), rates[0, [1, 2, 0]] + 2.5 + 0.01 * np.arange(60), rtol=1e-12
    )


def test_three_networks_stand_side_by_side_with_what_became_of_them(network: xr.Dataset) -> None:
    other = network.assign(correlation=0.25, status=2)
    figure = figures.networks_side_by_side({"fast": network, "slow": other}, n_neurons=2)
    heads = [title_of(axes) for axes in panels(figure)]
    assert heads[0].startswith("fast learned, correlation 0.9 over 20 neurons")
    assert heads[2].startswith("slow tracking error (too smooth), correlation 0.25 over 20 neurons")
    assert heads[0].endswith(" neuron 7, correlation 1.00")
    assert heads[1].startswith("neuron 19")


# ---- sweeps ----------------------------------------------------------------------------------------------------------


def one_diverged(p: Columns) -> np.ndarray:
    return np.asarray((p["tau_syn_ms"] == 20.0) & (p["replicate"] == 2))


def uneven(p: Columns) -> np.ndarray:
    """0.01 of tau_s, 0.3 more for the first replicate and 0.06 less for the second."""
    return np.asarray(0.01 * p["tau_syn_ms"] + np.array([0.3, -0.06, 0.0])[p["replicate"].astype(int)])


def test_means_and_bars_leave_diverged_replicates_out() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0, 40.0), correlation=uneven, diverged=one_diverged)
    axes = panels(figures.inverted_u_curves(sweep))[0]
    line = axes.containers[0][0]
    assert line.get_xdata() == pytest.approx([10.0, 20.0, 40.0])
    assert line.get_ydata() == pytest.approx([0.18, 0.32, 0.48])
    spread = np.std([0.3, -0.06, 0.0], ddof=1)
    assert heights(axes) == pytest.approx([spread, np.std([0.3, -0.06], ddof=1), spread])


def test_a_map_takes_its_mean_over_the_networks_that_have_a_value() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=(10.0, 20.0), further={"ridge": (0.1, 1.0)}, correlation=uneven, diverged=one_diverged
    )
    axes = panels(figures.map_of(sweep, "correlation", "tau_syn_ms", "ridge"))[0]
    np.testing.assert_allclose(axes.collections[0].get_array(), [[0.18, 0.32], [0.18, 0.32]])
    assert axes.get_ylabel() == r"ridge $\lambda$"
    best = panels(figures.map_of(sweep, "correlation", "tau_syn_ms", "ridge", reduce="max"))[0]
    np.testing.assert_allclose(best.collections[0].get_array(), [[0.4, 0.5], [0.4, 0.5]])


def test_learning_curves_are_means_with_their_standard_deviation_and_name_their_slice() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0, 40.0), tau_corr_ms=(50.0, 100.0), n_loops=2, diverged=one_diverged)
    curve = 0.01 * sweep["tau_syn_ms"] + xr.DataArray([0.3, -0.06, 0.0])[sweep["replicate"].values].values
    loops = curve.values[:, None] * [1.0, 2.0]
    loops[one_diverged({k: v.values for k, v in sweep.coords.items()}), :] = np.nan
    sweep["curve_correlation"] = (("point", "loop"), loops)
    sweep["curve_rate"] = (("point", "loop"), 20.0 * loops)
    figure = figures.learning_curves(sweep)
    correlation, rate, _ = panels(figure)
    assert [line.get_ydata().tolist() for line in correlation.lines] == [
        pytest.approx([0.18, 0.36]), pytest.approx([0.32, 0.64]), pytest.approx([0.48, 0.96])
    ]  # fmt: skip
    assert rate.lines[1].get_ydata() == pytest.approx([6.4, 12.8])
    several = {"targets": {"conditions": ["left", "right"]}, "learner": {"kind": "rls"}}
    sweep.attrs["sweep"] = json.dumps({"experiment": several})
    shared, _, _ = panels(figures.learning_curves(sweep))
    assert [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in shared.lines] == [
        ([2], pytest.approx([0.27])), ([2], pytest.approx([0.48])), ([2], pytest.approx([0.72]))
    ]  # fmt: skip
    assert title_of(shared).endswith("(means of 2 loops, as many as target sets)")
    sweep.attrs["sweep"] = json.dumps({"experiment": {"targets": {"n_sets": 3}}})  # more than loops
    alone, _, _ = panels(figures.learning_curves(sweep))
    assert "means of" not in title_of(alone)
    assert alone.lines[0].get_ydata() == pytest.approx([0.18, 0.36])
    assert rate.get_ylabel() == "population rate (Hz)"
    band = correlation.collections[1].get_paths()[0].vertices[:, 1]  # of 20 ms, two networks
    spread = np.std([0.5, 0.14], ddof=1)
    assert (band.min(), band.max()) == pytest.approx((0.32 - spread, 1.0))  # cut where a correlation ends
    assert heading_of(figure) == r"one slice of the sweep: $\tau_c$ = 100 ms (of 2 values)"
    assert [text.get_text() for text in figure.legends[0].get_texts()][1] == r"$\tau_s$ = 20 ms"


def test_tests_in_training_are_drawn_dashed_with_the_correlation_alone() -> None:
    trained = synthetic_trained(n_neurons=2, n_sets=2, n_trials=1, n_loops=2, duration_ms=20)
    trained["curve_test_correlation"] = ("loop", np.array([np.nan, 0.3, np.nan, 0.4]))
    correlation, rate, _ = panels(figures.training_curves(trained))
    assert xy(correlation.lines[2]) == ([2, 4], [0.3, 0.4])
    assert correlation.lines[2].get_linestyle() == "--"
    assert title_of(correlation).endswith("(dashed: tests, plasticity off)")
    assert len(rate.lines) == 2
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0), tau_corr_ms=(100.0,), n_loops=3)
    tests = np.full((sweep.sizes["point"], 3), np.nan)
    tests[:, [0, 2]] = [0.2, 0.6]
    sweep["curve_test_correlation"] = (("point", "loop"), tests)
    correlation, rate, _ = panels(figures.learning_curves(sweep))
    assert [line.get_linestyle() for line in correlation.lines] == ["-", "--", "-", "--"]
    loop, mean = xy(correlation.lines[3])
    assert (loop, mean) == ([1, 3], pytest.approx([0.2, 0.6]))
    assert len(rate.lines) == 2
    sweep["curve_test_correlation"] = (("point", "loop"), np.full_like(tests, np.nan))
    assert "dashed" not in title_of(panels(figures.learning_curves(sweep))[0])


def test_exemplary_curves_are_of_the_chosen_networks_with_their_tested_correlation() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0), n_loops=3, shuffle=False)
    figure = exemplary_curves(sweep, {"best": 4, "worst": 1})
    lines = panels(figure)[0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), sweep["curve_correlation"].values[4])
    assert lines[1].get_ydata() == [sweep["correlation"].values[4]] * 2
    np.testing.assert_array_equal(lines[2].get_ydata(), sweep["curve_correlation"].values[1])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["best", "worst"]


def test_the_lag_and_the_variance_formula_are_drawn_where_there_are_any() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 40.0, 90.0), tau_corr_ms=(100.0,), n_neurons=(400,))
    planted = {"lag_error": 0.2, "lag_theory": 0.3, "sampling_formula": 0.4}
    sweep = sweep.assign({name: sweep[name].copy(data=0 * sweep[name] + value) for name, value in planted.items()})
    axes = panel(figures.error_kinds(sweep), "clamped error / s.d. of the target")
    dashed = {line.get_color(): line.get_ydata() for line in axes.lines if line.get_linestyle() == "--"}
    solid = {line.get_color(): line.get_ydata() for line in axes.lines if line.get_linestyle() == "-"}
    assert dashed[SKY] == pytest.approx([0.4] * 3)
    assert dashed[PURPLE] == pytest.approx([0.3] * 3)
    assert solid[PURPLE] == pytest.approx([0.2] * 3)
    assert ORANGE not in dashed
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["clamped sampling", "clamped tracking", "clamped lag", "quasi-static residual", "theory"]


def test_measured_errors_are_solid_and_their_own_theory_is_dashed() -> None:
    """Results of versions that had no lag."""
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 40.0, 90.0), tau_corr_ms=(100.0,), n_neurons=(400,))
    sweep = sweep.drop_vars(LATER_RESULTS)
    axes = panel(figures.error_kinds(sweep), "clamped error / s.d. of the target")
    dashed = {line.get_color(): line.get_ydata() for line in axes.lines if line.get_linestyle() == "--"}
    solid = {line.get_color(): line.get_ydata() for line in axes.lines if line.get_linestyle() == "-"}
    tau_s = np.array([10.0, 40.0, 90.0])
    assert dashed[SKY] == pytest.approx(1 / np.sqrt(400 * tau_s / 10.0))
    assert dashed[ORANGE] == pytest.approx(tau_s / (4 * np.pi * 100.0))
    assert solid[SKY] == pytest.approx(12.0 / np.sqrt(400 * tau_s) + 0.2)
    assert solid[ORANGE] == pytest.approx(0.4 + 0.25 * np.log10(tau_s / 30.0) ** 2)
    assert solid[BLACK] == pytest.approx([0.3] * 3)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["clamped sampling", "clamped tracking", "quasi-static residual", "theory, scaling only"]


def test_the_sign_of_the_spectral_index_is_put_into_words_on_its_side() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(3.0, 40.0, 90.0), tau_corr_ms=(50.0, 100.0))
    figure = figures.error_kinds(sweep)
    axes = panel(figure, "spectral index")
    upper, lower = sorted(axes.texts, key=lambda text: -text.get_position()[1])
    assert "sampling" in upper.get_text()
    assert "tracking" in lower.get_text()
    assert axes.containers[0][0].get_ydata() == pytest.approx(-0.55 * np.log(np.array([3.0, 40.0, 90.0]) / 9.0))
    index = panels(figure)[0].collections[0].get_array()
    np.testing.assert_allclose(index[1], -0.55 * np.log(np.array([3.0, 40.0, 90.0]) / 18.0))


def test_shares_of_networks_add_up_at_every_synaptic_time() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(3.0, 20.0), correlation=uneven, replicates=3)
    sweep["status"] = sweep["status"].copy(
        data=np.where(sweep["tau_syn_ms"] == 3.0, 1, np.where(sweep["replicate"] == 0, 2, 0))
    )
    axes = panel(figures.error_kinds(sweep), "share of networks")
    bars = {
        words: [bar.get_height() for bar in bars] for bars, words in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    assert bars["sampling error (too fast)"] == pytest.approx([1.0, 0.0])
    assert bars["learned"] == pytest.approx([0.0, 2 / 3])
    assert bars["tracking error (too smooth)"] == pytest.approx([0.0, 1 / 3])
    feet = [[bar.get_y() for bar in container] for container in axes.containers]  # learned, sampling, tracking
    assert feet == [pytest.approx([0.0, 0.0]), pytest.approx([0.0, 2 / 3]), pytest.approx([1.0, 2 / 3])]
    colours = {
        words: to_hex(bars[0].get_facecolor()).upper()
        for bars, words in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    assert colours["sampling error (too fast)"] == STATUS_COLOURS["sampling"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["3", "20"]


def test_a_collapse_stands_over_the_ratio_of_times_and_says_how_much_scatters() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=(50.0, 100.0, 300.0),
        tau_corr_ms=(25.0, 100.0),
        correlation=lambda p: 0.9 - 0.1 * np.log(p["tau_syn_ms"] / p["tau_corr_ms"]) + 0.02 * (p["tau_corr_ms"] == 25),
    )
    figure = figures.collapse_panels(sweep)
    left, right = panels(figure)
    assert [container[0].get_xdata().tolist() for container in left.containers] == [[2, 4, 12], [0.5, 1, 3]]
    assert right.containers[0][0].get_xdata().tolist() == [50, 100, 300]
    assert left.containers[1][0].get_ydata() == pytest.approx(0.9 - 0.1 * np.log([0.5, 1.0, 3.0]))
    assert left.get_xlabel() == r"$\tau_s / \tau_c$"
    from hpcspike.analysis import collapse

    table = collapse(sweep, regime="tracking")
    shares = 100 * table["unexplained_fraction"].values.ravel()
    assert shares[0] < shares[1]
    for axes, share in zip((left, right), shares, strict=True):
        assert f"scatter around one curve: {share:.1f} % of variance" in title_of(axes)
    assert "unexplained" not in title_of(left)


@pytest.mark.parametrize(
    ("level", "marker", "words"), [(0.9, "^", "longest $T$ learned"), (0.2, "v", "no $T$ learned")]
)
def test_windows_that_are_all_or_none_learned_bound_the_capacity_from_their_side(
    level: float, marker: str, words: str
) -> None:
    sweep = synthetic_sweep(
        tau_corr_ms=(50.0, 100.0), duration_ms=(500.0, 1500.0, 2000.0), correlation=lambda p: level + 0.0 * p["seed"]
    )
    figure = figures.capacity_panels(sweep)
    axes = next(axes for axes in panels(figure) if title_of(axes).endswith("$N$ = 500"))
    (bound,) = [line for line in axes.lines if line.get_marker() in ("^", "v", "o")]
    assert bound.get_marker() == marker
    assert xy(bound) == ([50.0, 100.0], [2000.0, 2000.0] if level > 0.7 else [500.0, 500.0])
    assert figure.legends[0].get_texts()[0].get_text() == f"{words} (not in the fit)"
    capacity = next(axes for axes in panels(figure) if "capacity" in axes.get_ylabel())
    drawn = [line for line in capacity.lines if line.get_mfc() == "none" and len(line.get_xdata())]
    assert {line.get_marker() for line in drawn} == {marker}


def test_performance_falls_with_the_window_and_the_capacity_is_that_of_every_size() -> None:
    def correlation(p: Columns) -> np.ndarray:
        return np.where(p["duration_ms"] <= 5 * p["tau_corr_ms"] * (p["n_neurons"] / 100), 0.9, 0.3)

    sweep = synthetic_sweep(
        tau_corr_ms=(50.0, 100.0),
        duration_ms=(250.0, 500.0, 1000.0, 2000.0),
        n_neurons=(100, 200),
        correlation=correlation,
    )
    figure = figures.capacity_panels(sweep, select={"tau_corr_ms": 50.0})
    first, second, *maps = panels(figure)
    assert first.containers[0][0].get_ydata().tolist() == pytest.approx([0.9, 0.3, 0.3, 0.3])
    assert first.containers[1][0].get_ydata().tolist() == pytest.approx([0.9, 0.9, 0.3, 0.3])
    (thick,) = [one[0] for one in second.containers if one[0].get_linewidth() == 2.0]
    assert thick.get_ydata().tolist() == pytest.approx([5.0, 10.0])
    assert np.asarray(maps[0].collections[0].get_array())[:, 1].tolist() == pytest.approx([0.9, 0.9, 0.3, 0.3])


def test_the_map_marks_what_most_networks_became() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0), tau_corr_ms=(50.0, 100.0))
    codes = {(10.0, 50.0): 0, (20.0, 50.0): 2, (10.0, 100.0): 1, (20.0, 100.0): 3}
    pairs = zip(sweep["tau_syn_ms"].values, sweep["tau_corr_ms"].values, strict=True)
    sweep["status"] = sweep["status"].copy(data=[codes[pair] for pair in pairs])
    axes = panels(figures.performance_map(sweep))[0]
    marks = {line.get_marker(): xy(line) for line in axes.lines if line.get_linestyle() == "None"}
    assert marks == {"o": ([10.0], [50.0]), "s": ([20.0], [50.0]), "^": ([10.0], [100.0]), "x": ([20.0], [100.0])}


def test_a_map_of_what_was_not_measured_is_not_drawn_and_one_without_values_says_so() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0), further={"ridge": (0.1, 1.0)})
    assert "map_quasi_static" in figures.figures_for(sweep)
    blank = sweep.assign(quasi_static_correlation=sweep["quasi_static_correlation"] * np.nan)
    assert [name for name in figures.figures_for(blank) if name.startswith("map")] == ["map_mean", "map_best"]
    for asked, measures in ((False, {}), (True, {"quasi_static": True})):
        document = {"experiment": {"measures": measures}, "axes": {"synapse.tau_syn_ms": [10.0, 20.0]}}
        blank.attrs["sweep"] = json.dumps(document)
        assert ("map_quasi_static" in figures.figures_for(blank)) == asked
    axes = panels(figures.figures_for(blank)["map_quasi_static"]())[0]
    assert [text.get_text() for text in axes.texts] == ["no network has a value"]


# ---- studies ---------------------------------------------------------------------------------------------------------


def test_performance_is_the_mean_of_the_replicates_with_the_interval_of_student() -> None:
    tree = synthetic_study(["drive", "rate"], replicates=3, probes=())
    for variant, shift in (("drive", 0.0), ("rate", 0.2)):
        for replicate, value in enumerate((0.5, 0.6, 0.55)):
            tree[f"/{variant}/{replicate}"]["correlation"] = value + shift
            tree[f"/{variant}/{replicate}"]["population_rate"] = 3.0 + replicate**2
    left, right = panels(figures.performance_by_variant(tree))
    reach = student.ppf(0.975, 2) * np.std([0.5, 0.6, 0.55], ddof=1) / np.sqrt(3)
    assert left.containers[0][0].get_ydata() == pytest.approx([0.55, 0.75])
    assert heights(left) == pytest.approx([reach, reach])
    assert right.containers[0][0].get_ydata() == pytest.approx([14 / 3, 14 / 3])
    dots = [line.get_ydata().tolist() for line in left.lines if line.get_alpha() == 0.45]
    assert dots[0] == [0.5, 0.6, 0.55]


def test_recall_has_the_cued_set_in_rows_and_the_preceding_one_in_columns() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=["recall"], n_sets=2)
    values = np.array([[0.9, 0.4], [0.2, 0.7]])
    tree["/drive/0"]["recall_correlation"] = xr.DataArray(values, dims=("target_set", "preceding_set"))
    tree["/drive/0"]["recall_confusion"] = xr.DataArray(values - 0.1, dims=("target_set", "preceding_set"))
    above, below = panels(figures.recall_matrices(tree))
    for axes, expected in ((above, values), (below, values - 0.1)):
        np.testing.assert_allclose(axes.collections[0].get_array(), expected)
        written = {text.get_position(): text.get_text() for text in axes.texts}
        # (x, y) = (preceding, cued)
        assert written == {
            (k + 1, s + 1): f"{expected[s, k]:.2f}" for s in range(2) for k in range(2)
        }  # fmt: skip


def test_the_quasi_static_rate_stands_beside_the_binned_one() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=["quasi_static"])
    one = tree["/drive/0"]
    figure = figures.quasi_static_rates(tree)
    axes = figure.axes[1]
    np.testing.assert_array_equal(axes.patches[0].get_data().values, one["binned_rate"].values[0, 1])
    np.testing.assert_array_equal(axes.patches[0].get_data().edges, [0, 50, 100, 150, 200])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), one["predicted_rate"].values[0, 1])
    assert [c[0].get_ydata()[0] for c in figure.axes[-1].containers] == pytest.approx([0.2, 0.9, 0.8])


def test_phase_deviations_before_are_grey_and_after_blue() -> None:
    axes = panels(figures.phase_deviation(synthetic_study(["drive"], replicates=1, probes=["perturbation"])))[0]
    late = np.maximum(np.arange(1.0, 301) - 60.0, 0.0)
    strong = {line.get_color(): line.get_ydata() for line in axes.lines if line.get_linewidth() > 1.5}
    np.testing.assert_allclose(strong[GREY], 1 - np.exp(-late / 50.0))
    np.testing.assert_allclose(strong[BLUE], 0.5 - 0.5 * np.exp(-late / 100.0))


def test_a_rate_of_a_study_counts_the_neurons_that_are_shown() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=(), n_rastered=20, cue_ms=50.0)
    one = tree["/drive/0"].to_dataset().drop_dims("spike")
    spikes = {
        "time": [11.0, 12.0, 13.0, 150.0],
        "neuron": [0, 0, 39, 39],
        "state": [0] * 4,
        "set": [0] * 4,
        "trial": [0] * 4,
    }
    tree["/drive/0"] = xr.DataTree(
        one.assign({f"spike_{name}": ("spike", np.array(values)) for name, values in spikes.items()})
    )
    figure = figures.study_rasters(tree)
    trained = next(k for k, axes in enumerate(figure.axes) if title_of(axes).startswith("drive, trained"))
    rate = figure.axes[trained + 2].patches[0].get_data()
    known = {float(rate.edges[k]): float(value) for k, value in enumerate(rate.values) if value}
    assert known == pytest.approx({10.0: 15.0, 150.0: 5.0})  # 3 spikes of 20 neurons in 10 ms: 15 Hz


def test_examples_of_a_number_line_begin_with_its_ends() -> None:
    tree = synthetic_study(["ratio-0", "ratio-0.5", "ratio-1", "ratio-4"], replicates=1, probes=(), n_rastered=0)
    heads = [text.get_text().split(":")[0] for axes in figures.example_traces(tree).axes for text in axes.texts]
    assert list(dict.fromkeys(heads)) == ["ratio-0", "ratio-4"]


def test_an_error_of_rounding_has_no_panel_and_is_said() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=["heterogeneity"])
    assert len(panels(figures.rank_by_variant(tree))) == 2
    tree["/drive/0"]["best_fit_residual"] = 3e-15
    (only,) = panels(figures.rank_by_variant(tree))
    assert title_of(only) == "error of the best weights: at most 3e-15 s.d. of the target"


def test_lost_neurons_cost_the_correlation_of_their_share() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=["lesion"])
    values = np.array([[0.9, 0.8], [0.5, 0.7], [0.2, 0.1]])
    tree["/drive/0"]["lesion_correlation"] = xr.DataArray(values, dims=("lesion_fraction", "draw"))
    axes = panels(figures.lesion_curves(tree))[0]
    assert xy(axes.containers[0][0]) == (pytest.approx([0.0, 0.1, 0.4]), pytest.approx([0.85, 0.6, 0.15]))
    assert heights(axes) == pytest.approx(np.array([0.1, 0.2, 0.1]) / np.sqrt(2))


def test_moduli_and_places_of_eigenvalues_are_those_before_and_after() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=["spectrum"], n_neurons=3)
    one = tree["/drive/0"]
    parts = {
        "real_before": [3.0, 0.0, -1.0],
        "imag_before": [4.0, 2.0, 0.0],
        "real_after": [0.5, 0.1, 0.0],
        "imag_after": [0.0, 0.0, 0.2],
    }
    for name, values in parts.items():
        one[f"eigenvalue_{name}"] = xr.DataArray(values, dims="eigenvalue")
    above, below = panels(figures.eigenvalue_panels(tree))
    before, after = (patch.get_data() for patch in above.patches)
    for data, moduli in ((before, [1.0, 2.0, 5.0]), (after, [0.1, 0.2, 0.5])):
        assert data.values.tolist() == np.histogram(moduli, data.edges)[0].tolist()
    assert [xy(line) for line in below.lines] == [
        (parts["real_before"], parts["imag_before"]), (parts["real_after"], parts["imag_after"])
    ]  # fmt: skip


def test_eigenvalues_are_counted_per_network() -> None:
    tree = synthetic_study(["drive"], replicates=2, probes=["spectrum"], n_neurons=3)
    for replicate, real in enumerate(([1.0, 2.0, 5.0], [-1.0, 3.0, 5.0])):
        for when in ("before", "after"):
            one = tree[f"/drive/{replicate}"]
            one[f"eigenvalue_real_{when}"] = xr.DataArray(real, dims="eigenvalue")
            one[f"eigenvalue_imag_{when}"] = xr.DataArray(np.zeros(3), dims="eigenvalue")
    above, _ = panels(figures.eigenvalue_panels(tree))
    for patch in above.patches:
        data = patch.get_data()
        assert data.values[data.values > 0].tolist() == [1.0, 0.5, 0.5, 1.0]  # of moduli 1, 2, 3 and 5


def test_curves_of_a_study_go_through_the_mean_of_its_replicates() -> None:
    tree = synthetic_study(["drive"], replicates=2, probes=(), n_loops=3)
    for replicate, values in enumerate(([0.1, 0.5], [0.3, 0.6, 0.9])):
        one = tree[f"/drive/{replicate}"].to_dataset().drop_dims("loop")
        tree[f"/drive/{replicate}"] = xr.DataTree(one.assign(curve_correlation=("loop", values)))
    axes = panels(figures.study_curves(tree))[0]
    assert axes.lines[2].get_ydata() == pytest.approx([0.2, 0.55, 0.9])  # the first diverged in its third loop
    assert axes.lines[2].get_xdata().tolist() == [1, 2, 3]
    assert title_of(axes).endswith("correlation, plasticity on")


# ---- learners --------------------------------------------------------------------------------------------------------


def learners_tree(kind: str, **arrays: object) -> xr.DataTree:
    """Two networks of one variant, ``a``, whose arrays are given replicate by replicate."""
    dims = {
        "untrained_score": ("test_trial",), "test_score": ("test_trial",), "damage_fraction": ("damage_fraction",),
        "damage_score": ("damage_fraction", "damaged_trial"), "deleted_spike_score": ("damaged_trial",),
        "test_wrong": ("test_trial",), "untrained_wrong": ("test_trial",), "curve_wrong": ("loop",),
    }  # fmt: skip
    nodes = {}
    for replicate in range(2):
        one = xr.Dataset({name: (dims[name], np.array(values[replicate])) for name, values in arrays.items()})  # type: ignore[index]
        nodes[f"/a/{replicate}"] = one.assign_attrs(experiment=json.dumps({"targets": {"kind": kind}}))
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs["document"] = json.dumps({"variants": {"a": {}}})
    return tree


@pytest.mark.parametrize(
    ("kind", "untrained", "trained", "bars"),
    [("driven", [4.0, 1.0], [0.2, 0.05], (2.0, 0.1)), ("ou", [5.0, 2.0], [0.3, 0.35], (3.5, 0.325))],
)
def test_scores_are_medians_of_errors_and_means_of_correlations(
    kind: str, untrained: list[float], trained: list[float], bars: tuple[float, float]
) -> None:
    tree = learners_tree(
        kind,
        untrained_score=[[4.0, 1.0, 10.0], [1.0, 0.5, 4.5]],
        test_score=[[0.1, 0.2, 0.6], [0.05, 0.99, 0.01]],
    )
    axes = panels(figures.scores_by_variant(tree))[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_ydata().tolist() for line in dots] == [pytest.approx(untrained), pytest.approx(trained)]
    assert [line.get_mfc() for line in dots] == ["white", BLUE]
    levels = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "None" and line.get_ls() == "-"]
    assert levels == pytest.approx(bars)


def test_damage_is_compared_with_the_whole_network() -> None:
    tree = learners_tree(
        "ou",
        damage_fraction=[[0.0, 0.2]] * 2,
        damage_score=[[[0.9, 0.7], [0.5, 0.3]], [[0.6, 0.8], [0.2, 0.0]]],
        deleted_spike_score=[[0.9, 0.5], [0.6, 0.7]],
    )
    left, right = panels(figures.damage_curves(tree))
    assert xy(left.containers[0][0]) == ([0.0, 20.0], pytest.approx([0.75, 0.25]))
    assert heights(left) == pytest.approx([0.1 / np.sqrt(2), 0.3 / np.sqrt(2)])
    assert right.lines[0].get_ydata() == pytest.approx([-0.1, -0.05])


def test_wrong_answers_are_percentages_before_and_after() -> None:
    tree = learners_tree(
        "store_recall",
        curve_wrong=[[0.5, 0.3], [0.4, 0.0]],
        untrained_wrong=[[1.0, 0.2], [0.5, 0.5]],
        test_wrong=[[0.1, 0.3], [0.0, 0.1]],
    )
    left, right = panels(figures.wrong_answers(tree))
    assert [line.get_ydata().tolist() for line in left.lines[:2]] == [pytest.approx([50, 40]), pytest.approx([40, 20])]
    assert [line.get_ydata().tolist() for line in right.lines[:2]] == [pytest.approx([60, 50]), pytest.approx([20, 5])]
    assert [line.get_ydata()[0] for line in left.lines[2:]] == [50.0, 5.0]


def test_the_numbers_of_a_study_alone_draw_what_needs_no_time_course() -> None:
    from hpcspike.studies.results import table_of, tree_of_table

    tree = synthetic_study(["drive"], replicates=2, probes=["lesion"])
    for node in tree.leaves:
        node.attrs["provenance"] = json.dumps({"wall_seconds": 1.0, "revision": "a"})
    document = {
        "name": "synthetic",
        "experiment": {"targets": {"kind": "ou"}, "network": {"n_neurons": 40}},
        "variants": {"drive": {}},
        "replicates": 2,
    }
    table = table_of(tree).assign_attrs(study="synthetic", document=json.dumps(document))
    again = tree_of_table(table)
    assert list(figures.figures_for(again)) == ["curves", "performance", "lesion"]
    first, second = (panels(figures.lesion_curves(one))[0].containers[0][0].get_ydata() for one in (tree, again))
    np.testing.assert_array_equal(first, second)


def test_the_first_trial_of_an_example_is_strong_and_the_others_are_grey() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=(), n_trials=2, before=False, during=False)
    one = tree["/drive/0"]
    response = one["response_after"].values.copy()
    response[:, 1] += 3.0
    one["response_after"] = one["response_after"].copy(data=response)
    axes = panels(figures.example_traces(tree))[0]
    drawn = {line.get_color(): np.asarray(line.get_ydata()) for line in axes.lines if len(line.get_ydata()) == 240}
    np.testing.assert_array_equal(drawn[RESPONSE], response[0, 0, 0])
    np.testing.assert_array_equal(drawn[GREY], response[0, 1, 0])


def test_samples_are_of_neurons_that_have_a_target() -> None:
    known = xr.DataArray([[np.nan, 0.2, np.nan, 0.9, 0.4]], dims=("target_set", "neuron"))
    assert from_best_to_worst(known, 3).tolist() == [3, 4, 1]
    assert from_best_to_worst(known, 8).tolist() == [3, 4, 1]
    assert sorted(from_best_to_worst(known * np.nan, 8).tolist()) == [0, 1, 2, 3, 4]


def test_long_titles_end_within_the_width_of_their_figure() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=(10.0, 20.0, 40.0), tau_corr_ms=(50.0, 100.0),
        further={f"neuron.parameter_of_a_long_name_{k}": (1.0, 2.0) for k in range(4)},
    )  # fmt: skip
    for figure in (figures.performance_map(sweep), figures.learning_curves(sweep), figures.inverted_u_curves(sweep)):
        FigureCanvasAgg(figure).draw()
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = [figure._suptitle, *(axes._left_title for axes in figure.axes)]
        shown = [text.get_window_extent(renderer) for text in texts if text is not None and text.get_text()]
        assert all(box.x0 > 0 and box.x1 < figure.bbox.width for box in shown)
        assert any("\n" in text.get_text() for text in texts if text is not None)


def test_a_parameter_that_nobody_chose_is_that_of_the_best_cell_and_said_to_be() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=(10.0, 20.0, 40.0), tau_corr_ms=(50.0, 100.0), further={"ridge": (0.1, 1.0, 9.0)}
    )
    sweep["correlation"] = sweep["correlation"].copy(data=np.where(sweep["ridge"] == 1.0, 0.9, 0.2))
    assert heading_of(figures.performance_map(sweep)) == r"ridge $\lambda$ = 1 (that of the best cell)"
    assert heading_of(figures.performance_map(sweep, select={"ridge": 9.0})) == r"ridge $\lambda$ = 9"
    assert r"ridge $\lambda$ = 1 (that of the best network, of 3 values)" in heading_of(figures.learning_curves(sweep))


def test_a_level_that_no_cell_crosses_is_said_to_be_reached_nowhere_or_everywhere() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0), tau_corr_ms=(50.0, 100.0))
    for value, words in ((0.2, "nowhere"), (0.9, "everywhere")):
        sweep["correlation"] = sweep["correlation"].copy(data=np.full(sweep.sizes["point"], value))
        (legend,) = figures.performance_map(sweep).legends
        assert f"correlation = 0.7 (reached {words})" in [text.get_text() for text in legend.get_texts()]


def test_many_replicates_are_a_band_and_few_are_lines() -> None:
    tau = np.linspace(0.1, 1.0, 31)
    axes_of_many, axes_of_few = Figure().subplots(), Figure().subplots()
    study_curves_of(axes_of_many, np.outer(tau, [1.0, 2.0]), 1, "k")
    study_curves_of(axes_of_few, np.outer(tau[:30], [1.0, 2.0]), 1, "k")
    assert (len(axes_of_many.lines), len(axes_of_few.lines)) == (1, 31)
    band = axes_of_many.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((np.quantile(tau, 0.05), 2 * np.quantile(tau, 0.95)))
