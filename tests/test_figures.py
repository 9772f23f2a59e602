"""Every figure draws without a warning, with axes that have names and units, whatever the sweep holds."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hpcspike import figures
from hpcspike.errors import DataError
from hpcspike.figures.choice import fix_others, nearest
from hpcspike.figures.style import (
    PALETTE,
    SETTINGS,
    STATUS_MARKERS,
    edges,
    label,
    legend_below,
    log_axis,
    new_figure,
    valued,
)
from hpcspike.variables import STATUS
from tests.drawn import foot_of, heading_of, panels, title_of
from tests.synthetic import Columns, synthetic_sweep, synthetic_trained

FULL = {
    "tau_syn_ms": (5.0, 20.0, 50.0, 100.0, 300.0),
    "tau_corr_ms": (50.0, 100.0, 200.0),
    "duration_ms": (500.0, 1000.0, 2000.0),
    "n_neurons": (100, 300),
}
SWEEP_FIGURES = ["map", "effects", "inverted_u", "collapse", "capacity", "errors", "training"]


@pytest.fixture(autouse=True)
def settings_untouched() -> Iterator[None]:
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before, "a figure changed the settings of its caller"


def drawn(figure: Figure) -> Figure:
    """Render, so that layout and tick problems would warn (warnings are errors)."""
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def draw_all(dataset: xr.Dataset) -> dict[str, Figure]:
    return {name: drawn(make()) for name, make in figures.figures_for(dataset).items()}


def assert_inside_and_apart(figure: Figure) -> None:
    """No text of a drawn figure leaves it, and no panel with its labels covers another."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes if axes.axison]
    for box in boxes:
        assert box.x0 > -2
        assert box.y0 > -2
        assert box.x1 < figure.bbox.width + 2
        assert box.y1 < figure.bbox.height + 2
    for k, one in enumerate(boxes):
        for other in boxes[k + 1 :]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            height = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(width, height) < 4, "two panels overlap"


@pytest.fixture(scope="module")
def full() -> dict[str, Figure]:
    return draw_all(synthetic_sweep(**FULL, replicates=3, noise=0.02))


@pytest.fixture(scope="module")
def network() -> dict[str, Figure]:
    return draw_all(synthetic_trained(n_neurons=20, n_trials=2, n_loops=10, duration_ms=400))


def test_a_sweep_of_everything_has_every_figure(full: dict[str, Figure]) -> None:
    assert list(full) == SWEEP_FIGURES


@pytest.mark.parametrize("name", SWEEP_FIGURES)
def test_figures_of_a_sweep_are_labelled_with_units_and_nothing_is_cut_or_covered(
    full: dict[str, Figure], name: str
) -> None:
    figure = full[name]
    labels = [axes.get_xlabel() for axes in panels(figure)]
    assert all(labels)
    for words in labels:
        timed = "tau_s$" in words or "tau_c$" in words or "$T$" in words
        assert ("(ms)" in words) == timed or words == r"$\tau_s / \tau_c$", words
    assert any(axes.get_ylabel() for axes in panels(figure))
    assert_inside_and_apart(figure)


def test_figures_of_a_network_are_labelled_with_units_and_nothing_is_cut_or_covered(network: dict[str, Figure]) -> None:
    assert list(network) == ["samples", "raster", "training", "error_split"]
    assert panels(network["raster"])[0].get_ylabel() == "neuron"
    assert {axes.get_xlabel() for axes in panels(network["raster"])} == {"", "time from end of cue (ms)"}
    assert "rate (Hz)" in {axes.get_ylabel() for axes in panels(network["raster"])}
    assert network["samples"].get_supylabel() == "synaptic drive"
    assert panels(network["error_split"])[0].get_ylabel() == "power density (Hz$^{-1}$)"
    for figure in network.values():
        assert_inside_and_apart(figure)


def test_recorded_rates_are_shown_beside_the_model_without_auxiliary_neurons() -> None:
    trained = synthetic_trained(
        n_neurons=24, n_recorded=8, n_trials=2, n_loops=5, duration_ms=400, variable="rate", tau_corr_ms=200.0
    )
    found = draw_all(trained)
    assert list(found) == ["samples", "raster", "training", "error_split", "recorded"]
    assert_inside_and_apart(found["recorded"])
    left, right = (axes for axes in found["recorded"].axes if axes.get_images())
    assert title_of(left).endswith("data")
    assert "filtered spikes, mean of 2 test trials" in title_of(right)
    assert left.get_images()[0].get_array().shape == (8, 400)
    assert left.get_images()[0].get_clim() == right.get_images()[0].get_clim()
    assert "rate (Hz)" in {axes.get_ylabel() for axes in found["recorded"].axes}
    numbers = {title_of(axes).split(",")[0] for axes in panels(found["samples"])}
    assert numbers == {f"neuron {k}" for k in range(8)}
    assert found["samples"].get_supylabel() == "filtered spikes (Hz)"


@pytest.mark.parametrize("count", [2, 3, 20])
def test_maps_of_any_size_draw(count: int) -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=np.geomspace(2, 500, count).round(1),
        tau_corr_ms=np.geomspace(5, 500, count).round(1),
        replicates=1,
        n_loops=2,
    )
    found = figures.figures_for(sweep)
    assert ("inverted_u" in found) == (count >= 3)
    for name in ("map", "errors"):
        assert_inside_and_apart(drawn(found[name]()))


@pytest.mark.parametrize("kind", ["all learned", "none learned", "all diverged", "none finished", "many holes"])
def test_figures_survive_sweeps_without_contrast_or_values(kind: str) -> None:
    def everywhere(p: Columns) -> np.ndarray:
        return np.ones(len(p["seed"]), dtype=bool)

    generator = np.random.default_rng(2)
    options = {
        "all learned": {"correlation": lambda p: 0.9 + 0 * p["seed"]},
        "none learned": {"correlation": lambda p: -0.1 + 0 * p["seed"]},
        "all diverged": {"diverged": everywhere},
        "none finished": {"unfinished": everywhere},
        "many holes": {"unfinished": lambda p: generator.random(len(p["seed"])) < 0.6},
    }[kind]
    found = figures.figures_for(
        synthetic_sweep(**{**FULL, "n_neurons": (100,), "replicates": 1, "n_loops": 3, **options})
    )
    assert list(found) == SWEEP_FIGURES
    for name in found if kind == "all diverged" else ("map", "capacity"):
        drawn(found[name]())


def test_which_figures_there_are_depends_on_parameters_and_not_on_values() -> None:
    sweep = synthetic_sweep(**FULL, replicates=1, n_loops=3)
    blank = xr.full_like(sweep, np.nan, dtype=float)
    assert list(figures.figures_for(blank)) == SWEEP_FIGURES


def test_a_sweep_of_something_else_has_its_learning_curves() -> None:
    found = draw_all(synthetic_sweep(further={"ridge": (0.1, 1.0, 10.0), "variable": ("drive", "rate")}))
    assert list(found) == ["training"]
    words = [text.get_text() for text in found["training"].legends[0].get_texts()]
    assert words == [rf"ridge $\lambda$ = {value}" for value in ("0.1", "1", "10")]
    assert heading_of(found["training"]) == "one slice of the sweep: variable = drive (of 2 values)"


def test_targets_without_a_correlation_time_and_rate_training_draw() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0, 40.0), tau_corr_ms=(np.nan,))
    for name in ("sampling_error", "tracking_error", "quasi_static_residual"):
        sweep[name] = xr.full_like(sweep[name], np.nan)
    assert list(draw_all(sweep)) == ["inverted_u", "errors", "training"]


def test_two_target_sets_are_drawn_side_by_side() -> None:
    found = draw_all(synthetic_trained(n_neurons=2, n_sets=2, n_trials=1, n_loops=4, duration_ms=100))
    titles = [title_of(axes) for axes in found["samples"].axes]
    assert titles[0].startswith("target set 1 ")
    assert titles[1].startswith("target set 2 ")
    assert len(found["training"].axes[0].lines) == 2


def test_a_diverged_network_has_its_learning_curve_and_no_more() -> None:
    trained = synthetic_trained(n_neurons=4, duration_ms=50)
    assert list(draw_all(trained.drop_vars(["response", "drive", "spike_time", "trial"]))) == ["training"]


def test_a_network_without_a_clamped_split_has_no_panel_of_it_and_says_why() -> None:
    drive = synthetic_trained(n_neurons=8, n_trials=2, duration_ms=200)
    rate = synthetic_trained(n_neurons=8, n_trials=2, duration_ms=200, variable="rate")
    for draw in (figures.error_split, figures.point_overview):
        assert len(panels(drawn(draw(rate)))) == len(panels(drawn(draw(drive)))) - 1
    assert foot_of(figures.error_split(rate)) == (
        "no clamped split: only for theta neurons trained on drives (here: trained on rates)"
    )


def test_a_raster_of_many_neurons_draws_every_second_and_says_so() -> None:
    trained = synthetic_trained(n_neurons=12, n_trials=1, duration_ms=300)
    axes = panels(drawn(figures.raster(trained, n_neurons=6)))[0]
    assert axes.get_ylabel() == "neuron (every 2nd drawn)"
    shown = axes.lines[0].get_ydata()
    fired = trained["spike_neuron"].values[(trained["spike_trial"] == 0).values & (trained["spike_set"] == 0).values]
    np.testing.assert_array_equal(np.sort(shown), np.sort(fired[fired % 2 == 0]))
    assert panels(drawn(figures.raster(trained)))[0].get_ylabel() == "neuron"


def test_figures_of_a_sweep_that_still_runs_say_how_much_of_it_they_show() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0, 40.0), tau_corr_ms=(50.0, 100.0))
    n_points = sweep.sizes["point"]
    document = {"experiment": {}, "axes": {"synapse.tau_syn_ms": [10.0, 20.0, 40.0]}, "replicates": n_points // 3}
    sweep.attrs["sweep"] = json.dumps(document)
    for draw in figures.figures_for(sweep.isel(point=slice(n_points - 1))).values():
        assert f"{n_points - 1} of {n_points} networks" in heading_of(drawn(draw()))
    assert "networks" not in heading_of(drawn(figures.figures_for(sweep)["map"]()))


def test_the_spectral_index_of_the_tau_c_in_the_other_panels_is_among_the_curves() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=(10.0, 40.0),
        tau_corr_ms=(25.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 200.0, 400.0, 800.0),
    )
    figure = drawn(figures.error_kinds(sweep))
    fixed = next(title_of(axes) for axes in panels(figure) if axes.get_ylabel() == "share of networks")
    curves = next(axes for axes in panels(figure) if axes.get_ylabel() == "spectral index")
    assert fixed.endswith(r"$\tau_c$ = 100 ms")
    assert r"$\tau_c$ = 100 ms" in curves.get_legend_handles_labels()[1]


def test_dask_backed_sweeps_draw() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0, 40.0), tau_corr_ms=(50.0, 100.0))
    found = figures.figures_for(sweep.chunk(point=5))
    assert list(found) == ["map", "inverted_u", "errors", "training"]
    for name in ("map", "training"):
        drawn(found[name]())


def test_the_map_shows_the_correlation_of_every_cell_and_outlines_the_learned_ones() -> None:
    def correlation(p: Columns) -> np.ndarray:
        return np.where(p["tau_syn_ms"] > 15, 0.9, 0.2)

    sweep = synthetic_sweep(tau_syn_ms=(10.0, 20.0), tau_corr_ms=(50.0, 100.0), correlation=correlation)
    axes = panels(drawn(figures.performance_map(sweep)))[0]
    shown = axes.collections[0].get_array()
    np.testing.assert_allclose(np.asarray(shown).reshape(2, 2), [[0.2, 0.9], [0.2, 0.9]])
    border = np.sqrt(10.0 * 20.0)
    outline = [line for line in axes.lines if np.allclose(line.get_xdata(), border)]
    assert len(outline) == 4  # two cells, a black line on a white one each


def test_a_filled_star_marks_an_optimum_inside_and_an_open_one_at_the_edge() -> None:
    def star(best_tau: float) -> tuple[str, list[str]]:
        sweep = synthetic_sweep(
            tau_syn_ms=(10.0, 20.0, 40.0), correlation=lambda p: 0.9 - 0.1 * np.log(p["tau_syn_ms"] / best_tau) ** 2
        )
        figure = drawn(figures.inverted_u_curves(sweep))
        face = next(line for line in panels(figure)[0].lines if line.get_marker() == "*").get_markerfacecolor()
        return str(face), [text.get_text() for text in figure.legends[0].get_texts()]

    face, words = star(20.0)
    assert face != "white"
    assert words == ["optimum"]  # the legend is of what is drawn
    assert star(100.0) == ("white", ["best at the edge of the grid"])


def test_the_capacity_line_has_the_fitted_slope() -> None:
    sweep = synthetic_sweep(
        tau_corr_ms=(50.0, 100.0, 150.0),
        duration_ms=tuple(250.0 * k for k in range(1, 13)),
        correlation=lambda p: 0.7 - 1e-4 * (p["duration_ms"] - 10.0 * p["tau_corr_ms"]),
    )
    figure = drawn(figures.capacity_panels(sweep, interpolate=True))
    axes = next(axes for axes in panels(figure) if title_of(axes).endswith("$N$ = 500"))
    line = next(line for line in axes.lines if line.get_zorder() == 6)
    slope = np.ptp(line.get_ydata()) / np.ptp(line.get_xdata())
    assert slope == pytest.approx(10.0)


def test_a_selected_value_is_shown_and_named() -> None:
    sweep = synthetic_sweep(
        tau_syn_ms=(10.0, 20.0, 40.0), tau_corr_ms=(50.0, 100.0), further={"ridge": (0.1, 1.0), "rule": ("a", "b")}
    )
    figure = drawn(figures.performance_map(sweep, select={"ridge": 0.9, "rule": "b"}))
    assert heading_of(figure) == r"ridge $\lambda$ = 1, rule = b"
    with pytest.raises(DataError, match=r"rule = 'c' is not in the sweep; choose among a, b"):
        figures.performance_map(sweep, select={"rule": "c"})


def test_other_dimensions_are_fixed_at_the_value_nearest_to_the_papers() -> None:
    table = xr.Dataset({"x": (("n_neurons", "other"), np.zeros((3, 1)))}, coords={"n_neurons": [100, 450, 2000]})
    one, words = fix_others(table, keep=())
    assert one["n_neurons"].item() == 450
    assert words == "$N$ = 450"


def test_datasets_that_are_neither_sweep_nor_network_are_refused() -> None:
    with pytest.raises(DataError, match="no figure for a Dataset with the dimensions time"):
        figures.figures_for(xr.Dataset({"x": ("time", [1.0])}))
    with pytest.raises(DataError, match="two values of tau_corr_ms or n_neurons"):
        figures.collapse_panels(synthetic_sweep())


# ---- style -----------------------------------------------------------------------------------------------------------


def test_every_status_has_a_marker_in_the_order_of_the_registry() -> None:
    assert tuple(STATUS_MARKERS) == STATUS
    assert len({marker for marker, _ in STATUS_MARKERS.values()}) == len(STATUS)


def test_neighbouring_colours_differ_in_lightness_or_hue_for_readers_without_green_cones() -> None:
    # the projection of Vienot, Brettel and Mollon for deuteranopes, on linear RGB
    def seen(colour: str) -> np.ndarray:
        rgb = np.array(matplotlib.colors.to_rgb(colour)) ** 2.2
        project = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
        return np.clip(project @ rgb, 0, 1) ** (1 / 2.2)

    for first, second in zip(PALETTE, PALETTE[1:], strict=False):
        assert np.linalg.norm(seen(first) - seen(second)) > 0.2, (first, second)


def test_labels_carry_units_and_pure_numbers_none() -> None:
    assert label("tau_syn_ms") == r"synaptic decay time $\tau_s$ (ms)"
    assert label("n_neurons") == r"number of neurons $N$"
    rate = xr.DataArray(1.0, name="rate", attrs={"units": "Hz", "long_name": "population rate"})
    assert label(rate) == "population rate (Hz)"
    assert valued("tau_corr_ms", 98.24) == r"$\tau_c$ = 98.2 ms"
    assert valued("tau_corr_ms", np.nan) == r"no $\tau_c$"


def test_cell_edges_lie_half_way_in_the_logarithm() -> None:
    np.testing.assert_allclose(edges(np.array([1.0, 4.0, 16.0]), log=True), [0.5, 2.0, 8.0, 32.0])
    np.testing.assert_allclose(edges(np.array([1.0, 2.0, 4.0]), log=False), [0.5, 1.5, 3.0, 5.0])
    assert np.all(np.diff(edges(np.array([20.0]), log=True)) > 0)


def test_logarithmic_axes_name_the_grid_values_if_there_are_few() -> None:
    axes = Figure().subplots()
    log_axis(axes, "x", [5.0, 20.0, 80.0])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5", "20", "80"]
    long = Figure().subplots()
    log_axis(long, "x", [0.0112, 0.0129, 0.0158, 0.0183, 0.0224, 0.0316, 0.0447])  # would run into each other
    assert {"0.02", "0.03"} <= {tick.get_text() for tick in long.get_xticklabels()}


def test_panels_of_a_sweep_over_loops_show_the_longest_training() -> None:
    loops = np.array([0, 20, 5])
    assert nearest(loops, "n_loops") == 1
    assert nearest(loops, "n_loops", 0) == 0
    assert nearest(loops, "coupling") == 0


@pytest.mark.parametrize(("width", "columns"), [(2.5, 1), (4.0, 2), (8.0, 3)])
def test_a_legend_has_the_columns_that_its_figure_has_room_for(width: float, columns: int) -> None:
    words = ("tracking error (too smooth)", "sampling error (too fast)", "learned", "correlation = 0.7")
    with matplotlib.rc_context(SETTINGS):
        figure = new_figure(width, 3.0)
        figure.subplots()
        legend_below(figure, [Line2D([], [], label=text) for text in words], ncols=3)
        FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends
    places = {round(text.get_window_extent().x0) for text in legend.get_texts()}
    assert len(places) == columns
    frame = legend.get_window_extent()
    assert frame.x0 >= 0
    assert frame.x1 <= figure.bbox.width
