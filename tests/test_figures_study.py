"""Figures of studies: what is drawn is what the tree holds, with units, and nothing is cut or covered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.text import Text

from hpcspike import figures
from hpcspike.cli import main
from hpcspike.errors import DataError
from hpcspike.figures.study_parts import BEYOND, CUE, colours_of, numbers_in, packed, pages, varied_field
from hpcspike.figures.style import BLACK, BLUE, GREY, PALETTE, PURPLE, RESPONSE, SKY, TARGET
from tests.drawn import panels, title_of
from tests.synthetic import synthetic_sweep
from tests.synthetic_study import synthetic_study, target_of
from tests.test_figures import assert_inside_and_apart, draw_all, drawn

EVERYTHING = [
    "examples", "rasters", "curves", "performance", "quasi_static", "lesion", "shuffle", "perturbation", "eigenvalues",
    "recall", "heterogeneity",
]  # fmt: skip


@pytest.fixture(autouse=True)
def settings_untouched() -> Iterator[None]:
    before = _settings()
    yield
    assert _settings() == before, "a figure changed the settings of its caller"


def _settings() -> dict[str, object]:
    # the plot command may choose the backend
    return {name: value for name, value in matplotlib.rcParams.items() if not name.startswith("backend")}


@pytest.fixture(scope="module")
def full() -> dict[str, Figure]:
    return draw_all(synthetic_study())


def test_a_study_with_every_probe_has_every_figure(full: dict[str, Figure]) -> None:
    assert list(full) == EVERYTHING


@pytest.mark.parametrize("name", EVERYTHING)
def test_nothing_is_cut_or_covered_and_axes_say_what_they_show(full: dict[str, Figure], name: str) -> None:
    figure = full[name]
    assert_inside_and_apart(figure)
    words = {axes.get_xlabel() for axes in panels(figure)} - {""}
    assert words
    assert all("(ms)" in text for text in words if "time" in text)
    assert any(axes.get_ylabel() for axes in panels(figure))


def test_units_stand_on_the_axes(full: dict[str, Figure]) -> None:
    found = {name: {axes.get_ylabel() for axes in panels(figure)} for name, figure in full.items()}
    assert {"synaptic\ndrive", "filtered\nspikes (Hz)"} <= found["examples"]
    assert "rate (Hz)" in found["rasters"]
    assert "population rate (Hz)" in found["performance"]
    assert "phase deviation (rad)" in found["perturbation"]
    assert "rate (Hz)" in found["quasi_static"]


def test_studies_without_probes_have_their_curves_examples_and_performance_only() -> None:
    tree = synthetic_study(["one"], replicates=1, probes=(), n_rastered=0)
    assert list(draw_all(tree)) == ["examples", "curves", "performance"]


def test_diverged_networks_are_counted_and_leave_the_other_figures_whole() -> None:
    gone = [("rate", 0), ("rate", 1), ("drive", 1)]
    probes = ["quasi_static", "lesion", "perturbation"]
    tree = synthetic_study(["drive", "rate"], replicates=2, diverged=gone, probes=probes, n_rastered=0)
    found = draw_all(tree)
    written = [text.get_text() for text in found["performance"].axes[0].texts]
    assert written == ["1 of 2\nwithout value", "2 of 2\nwithout value"]
    heads = [text.get_text() for axes in found["examples"].axes for text in axes.texts]
    assert "rate: trained (diverged)" in heads
    assert {title_of(axes) for axes in panels(found["perturbation"])} == {"drive"}


def test_studies_of_which_every_network_diverged_draw() -> None:
    tree = synthetic_study(["drive"], replicates=1, diverged=[("drive", 0)])
    assert list(draw_all(tree)) == ["examples", "rasters", "curves", "performance"]


def test_examples_show_target_response_and_its_correlation() -> None:
    figure = drawn(figures.example_traces(synthetic_study(["drive"], replicates=1)))
    learning, trained = figure.axes[0], figure.axes[1]
    assert title_of(trained) == "neuron 0, correlation 1.00"
    time = np.arange(1.0, 201)
    by_colour = {line.get_color(): line for line in trained.lines}
    np.testing.assert_allclose(by_colour[TARGET].get_ydata(), target_of(1, 2, time)[0, 0])
    assert len(by_colour[RESPONSE].get_ydata()) == 240
    assert by_colour[BLUE].get_linestyle() == "--"
    np.testing.assert_allclose(by_colour[BLUE].get_ydata(), 0.9 * target_of(1, 2, time)[0, 0])
    assert [line.get_color() for line in learning.lines].count(SKY) == 2
    shaded = {matplotlib.colors.to_hex(patch.get_facecolor()).upper() for patch in trained.patches}
    assert shaded == {CUE, BEYOND}


def test_heads_of_columns_stay_above_titles_of_several_lines() -> None:
    tree = synthetic_study(["drive"], replicates=1)
    n = tree["/drive/0"].sizes["example"]
    tree["/drive/0"]["example_unit"] = ("example", [f"a unit of the third probe, left, number {k}" for k in range(n)])
    trained = drawn(figures.example_traces(tree)).axes[1]
    words = trained.get_title(loc="left")
    assert words.count("\n") >= 1
    title = next(one for one in trained.get_children() if isinstance(one, Text) and one.get_text() == words)
    assert title.get_fontsize() == 7.5
    assert trained.texts[0].get_window_extent().y0 >= title.get_window_extent().y1


def test_a_rate_is_not_compared_with_the_prediction_of_a_drive() -> None:
    figure = drawn(figures.example_traces(synthetic_study(["rate"], replicates=1)))
    assert not any(line.get_color() == BLUE for axes in figure.axes for line in axes.lines)


def test_target_sets_have_columns_and_their_own_training_loops() -> None:
    tree = synthetic_study(["drive"], replicates=1, n_sets=2)
    figure = drawn(figures.example_traces(tree))
    heads = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert heads == [
        "drive, set 1: learning", "drive, set 1: trained", "drive, set 2: learning", "drive, set 2: trained"
    ]  # fmt: skip
    during = tree["/drive/0"]["response_during"].values  # loops 1 and 2, of sets 1 and 2
    for column, loop in ((0, 0), (2, 1)):
        lines = [line for line in figure.axes[column].lines if line.get_color() == SKY]
        assert len(lines) == 1
        np.testing.assert_array_equal(lines[0].get_ydata(), during[loop, 0])


def test_variants_that_do_not_fit_go_on_in_further_figures() -> None:
    names = [f"v{letter}" for letter in "abcde"]
    found = figures.figures_for(synthetic_study(names, replicates=1, probes=["quasi_static"]))
    assert list(found) == [
        "examples", "examples_2", "examples_3", "rasters", "rasters_2", "curves", "performance", "quasi_static",
        "quasi_static_2",
    ]  # fmt: skip
    for name, shown in (("examples_2", ["vc", "vd"]), ("examples_3", ["ve"]), ("quasi_static_2", ["vd", "ve"])):
        figure = drawn(found[name]())
        assert_inside_and_apart(figure)
        heads = {text.get_text().split(":")[0] for axes in figure.axes for text in axes.texts}
        assert sorted(heads) == shown


def test_rasters_hold_the_spikes_of_their_state_trial_and_set_and_tell_inhibitory_neurons() -> None:
    tree = synthetic_study(["drive"], replicates=1, dale=True)
    one = tree["/drive/0"].to_dataset()
    figure = drawn(figures.study_rasters(tree))
    rasters = [axes for axes in panels(figure) if "trial" in title_of(axes)]
    assert [title_of(axes) for axes in rasters] == [
        "drive, untrained trial 1", "trial 2", "drive, trained trial 1", "trial 2"
    ]  # fmt: skip
    here = (one["spike_state"].values == 0) & (one["spike_trial"].values == 1)
    spikes = {line.get_color(): line for line in rasters[3].lines if line.get_marker() == "|"}
    excitatory = here & (one["spike_neuron"].values < 30)
    np.testing.assert_array_equal(spikes[BLACK].get_xdata(), one["spike_time"].values[excitatory])
    assert len(spikes[PURPLE].get_xdata()) == (here & ~excitatory).sum()


def test_curves_show_every_replicate_and_the_mean() -> None:
    tree = synthetic_study(["drive", "rate"], replicates=3, probes=["signs"])
    correlation, change, excluded = panels(drawn(figures.study_curves(tree)))
    for k, variant in enumerate(["drive", "rate"]):
        lines = [line for line in correlation.lines if line.get_color() == PALETTE[k]]
        all_of_them = np.stack([tree[f"/{variant}/{r}"]["curve_correlation"].values for r in range(3)])
        np.testing.assert_allclose([line.get_ydata() for line in lines[:3]], all_of_them)
        np.testing.assert_allclose(lines[3].get_ydata(), all_of_them.mean(axis=0))
        assert lines[3].get_linewidth() > 2 * lines[0].get_linewidth()
    assert change.get_yscale() == "log"
    assert excluded.get_ylabel() == "share of synapses excluded"


def test_long_training_has_a_logarithmic_axis_of_loops_and_sets_their_own_lines() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=(), n_sets=2, n_loops=60)
    axes = panels(drawn(figures.study_curves(tree)))[0]
    assert axes.get_xscale() == "log"
    first, second = axes.lines
    assert (first.get_linestyle(), second.get_linestyle()) == ("-", "--")
    np.testing.assert_array_equal(second.get_xdata(), np.arange(2, 121, 2))


def test_performance_stands_on_a_number_line_where_names_end_in_numbers() -> None:
    tree = synthetic_study(["fraction-0", "fraction-1", "fraction-0.25"], replicates=2, probes=())
    axes = panels(drawn(figures.performance_by_variant(tree)))[0]
    assert axes.get_xlabel() == "fraction"
    means = axes.containers[0][0]
    assert means.get_linestyle() == "-"
    np.testing.assert_allclose(means.get_xdata(), [0, 0.25, 1], atol=0.03)
    np.testing.assert_allclose(means.get_ydata(), [0.895, 0.855, 0.875])


def test_performance_over_a_decade_is_logarithmic_and_over_words_side_by_side() -> None:
    over = drawn(figures.performance_by_variant(synthetic_study(["a-0.01", "a-0.1"], replicates=1, probes=())))
    assert panels(over)[0].get_xscale() == "log"
    words = drawn(figures.performance_by_variant(synthetic_study(["drive", "rate"], replicates=1, probes=())))
    axes = panels(words)[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["drive", "rate"]
    assert [text.get_text() for text in words.legends[0].get_texts()] == [
        "single trials",
        "trial average",
        r"$\phi(u + I)$, single trials",
    ]


def test_recorded_units_have_the_rate_of_their_data_beside_them_and_curves_say_that_they_are_of_all_neurons() -> None:
    tree = synthetic_study(["ratio-0", "ratio-2"], replicates=2, probes=())
    over_all = drawn(figures.study_curves(tree))
    assert panels(over_all)[0].get_ylabel() == "mean correlation with target"
    for replicate in tree.subtree:
        if "correlation" in replicate:
            replicate["target_rate_recorded"] = 12.5
            replicate.attrs["judged"] = "recorded units"
    assert panels(drawn(figures.study_curves(tree)))[0].get_ylabel() == "mean correlation with target, all neurons"
    figure = drawn(figures.performance_by_variant(tree))
    of_data = [line for line in panels(figure)[1].lines if line.get_label() == "mean rate in the data"]
    assert [line.get_ydata().tolist() for line in of_data] == [[12.5, 12.5]]
    assert "mean rate in the data" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_field_that_is_varied_labels_the_axis() -> None:
    tree = xr.DataTree()
    for overlays, field in (
        ([{"targets": {"random_fraction": 0.0}}, {"targets": {"random_fraction": 1.0}}], "targets.random_fraction"),
        ([{"targets": {"random_fraction": 0.0}}, {"training": {"ridge": 1.0}}], None),
        ([{"training": {"ridge": 0.1, "n_loops": 3}}], None),
        ([{}, {}], None),
    ):
        tree.attrs["document"] = json.dumps({"variants": {f"x-{k}": overlay for k, overlay in enumerate(overlays)}})
        assert varied_field(tree) == field


def test_lesions_show_mean_and_spread_over_draws_and_replicates() -> None:
    tree = synthetic_study(["drive"], replicates=2, probes=["lesion"])
    axes = panels(drawn(figures.lesion_curves(tree)))[0]
    values = np.stack([tree[f"/drive/{r}"]["lesion_correlation"].values for r in range(2)], axis=1).reshape(3, 4)
    line, _, (bars,) = axes.containers[0]
    np.testing.assert_allclose(line.get_xdata(), [0.0, 0.1, 0.4])
    np.testing.assert_allclose(line.get_ydata(), values.mean(axis=1))
    spread = np.array([segment[1, 1] - segment[0, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(spread, 2 * values.std(axis=1, ddof=1))


def test_shuffles_have_a_panel_of_phi_only_where_it_is_known() -> None:
    tree = synthetic_study(["rate"], probes=["shuffle"])
    assert len(panels(drawn(figures.shuffle_curves(tree)))) == 2
    for node in tree["/rate"].children.values():
        node["shuffle_correlation_phi"] = node["shuffle_correlation_phi"] * np.nan
    assert len(panels(drawn(figures.shuffle_curves(tree)))) == 1


def test_the_phase_deviation_marks_the_window_and_the_deleted_spike() -> None:
    axes = panels(drawn(figures.phase_deviation(synthetic_study(["drive"], probes=["perturbation"]))))[0]
    assert [line for line in axes.lines if np.array_equal(line.get_xdata(), [60.0, 60.0])]
    (window,) = axes.patches
    assert window.get_extents().transformed(axes.transData.inverted()).intervalx == pytest.approx([0.0, 200.0])
    strong = [line for line in axes.lines if line.get_linewidth() > 1.5]
    assert [line.get_color() for line in strong] == [GREY, BLUE]


def test_eigenvalues_are_counted_by_modulus_and_shown_with_the_unit_circle() -> None:
    figure = drawn(figures.eigenvalue_panels(synthetic_study(["drive"], probes=["spectrum"], n_neurons=40)))
    moduli, plane = panels(figure)
    before, after = (patch.get_data() for patch in moduli.patches)
    for found, radius in ((before, 1.5), (after, 0.5)):
        assert found.values.sum() == pytest.approx(40)
        place = np.flatnonzero(found.values)
        assert found.edges[place[0]] <= radius <= found.edges[place[-1] + 1]
    (circle,) = plane.patches
    assert circle.get_radius() == 1.0
    assert title_of(moduli) == "drive spectral radius 1.50, trained 0.50"


def test_recall_shows_the_mean_matrices_with_the_cued_set_in_rows() -> None:
    tree = synthetic_study(["drive"], replicates=2, probes=["recall"], n_sets=2)
    recalled, confused = panels(drawn(figures.recall_matrices(tree)))
    np.testing.assert_allclose(recalled.collections[0].get_array(), np.full((2, 2), 0.895))
    assert [text.get_text() for text in confused.texts] == ["0.90", "0.10", "0.10", "0.90"]
    assert (recalled.get_xlabel(), recalled.get_ylabel()) == ("preceding set", "cued set")
    assert recalled.yaxis_inverted()


def test_ranks_are_shown_beside_the_largest_possible_one() -> None:
    ranks, residual = panels(drawn(figures.rank_by_variant(synthetic_study(["drive"], probes=["heterogeneity"]))))
    assert [float(c[0].get_ydata()[0]) for c in ranks.containers] == [40.0, 30.0, 12.5]
    assert residual.get_ylim()[0] == 0


def test_wishes_that_a_study_cannot_meet_are_refused_in_words() -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=())
    with pytest.raises(DataError, match="no network of this study holds lesion_correlation; see 'probes'"):
        figures.lesion_curves(tree)
    with pytest.raises(DataError, match="variant 'x' is not in this study; choose among drive"):
        figures.example_traces(tree, variants=["x"])


def test_the_plot_command_draws_a_study_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = synthetic_study(["drive"], replicates=1, probes=(), n_rastered=0)
    tree.to_netcdf(tmp_path / "study.nc", engine="h5netcdf")
    assert main(["plot", str(tmp_path / "study.nc"), "--out", str(tmp_path / "figures"), "--dpi", "40"]) == 0
    names = ["curves.png", "examples.png", "performance.png"]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == names
    assert "examples, curves, performance" in capsys.readouterr().out


def test_every_figure_of_a_study_has_its_caption() -> None:
    folder = Path(__file__).parent.parent / "cluster" / "report"
    for name in (*EVERYTHING, "map_mean", "map_best", "map_quasi_static"):
        assert (folder / f"{name}.rst").read_text().startswith("**"), name


def test_names_are_numbers_only_if_they_share_their_word() -> None:
    assert numbers_in(["a-1", "b-2"]) is None
    assert numbers_in(["one"]) is None
    words, values = numbers_in(["ratio-0.5", "ratio-2"]) or ("", np.empty(0))
    assert (words, values.tolist()) == ("ratio", [0.5, 2.0])
    assert len({str(c) for c in colours_of([f"v{'abcdefghij'[k]}" for k in range(10)]).values()}) == 10


def test_groups_are_in_order_and_never_too_wide() -> None:
    assert pages("abcde", 4) == [["a", "b", "c"], ["d", "e"]]
    assert packed({"a": 2, "b": 2, "c": 6, "d": 1}, 4) == [["a", "b"], ["c"], ["d"]]


# ---- maps of sweeps --------------------------------------------------------------------------------------------------


def two_fields() -> xr.Dataset:
    return synthetic_sweep(
        tau_syn_ms=(20.0, 40.0, 60.0),
        further={"coupling": (1.0, 2.0)},
        replicates=3,
        correlation=lambda p: 0.01 * p["tau_syn_ms"] + 0.1 * p["coupling"] + 0.01 * p["replicate"],
    )


@pytest.mark.parametrize(("reduce", "gain"), [("mean", 0.01), ("max", 0.02)])
def test_a_map_shows_the_mean_or_the_best_of_the_replicates(reduce: str, gain: float) -> None:
    figure = drawn(figures.map_of(two_fields(), "correlation", "tau_syn_ms", "coupling", reduce=reduce))  # type: ignore[arg-type]
    axes = panels(figure)[0]
    expected = np.array([[0.2, 0.4, 0.6], [0.2, 0.4, 0.6]]) + [[0.1], [0.2]] + gain
    np.testing.assert_allclose(axes.collections[0].get_array(), expected)
    assert axes.get_xlabel() == r"synaptic decay time $\tau_s$ (ms)"
    assert axes.get_ylabel() == "excitatory strength $J$"
    assert title_of(axes) == {"mean": "mean over replicates", "max": "best replicate"}[reduce]
    assert_inside_and_apart(figure)


def test_diverged_networks_have_no_part_in_a_map() -> None:
    sweep = synthetic_sweep(
        further={"x": (1.0, 2.0), "y": (3.0, 4.0)},
        replicates=2,
        diverged=lambda p: (p["x"] == 2) & (p["replicate"] > p["y"] - 4),
    )
    shown = panels(drawn(figures.map_of(sweep, "correlation", "x", "y", reduce="max")))[0].collections[0].get_array()
    assert np.ma.getmaskarray(shown).tolist() == [[False, True], [False, False]]


def test_sweeps_over_a_field_of_their_own_have_maps_and_others_keep_theirs() -> None:
    found = figures.figures_for(two_fields())
    assert {"map_mean", "map_best"} <= set(found)
    for name in ("map_mean", "map_best"):
        drawn(found[name]())
    assert "map_best" not in figures.figures_for(synthetic_sweep(tau_syn_ms=(10.0, 20.0), tau_corr_ms=(50.0, 100.0)))


def test_maps_refuse_what_the_sweep_does_not_hold() -> None:
    with pytest.raises(DataError, match="'nothing' is not a result"):
        figures.map_of(two_fields(), "nothing", "tau_syn_ms", "coupling")
    sweep = synthetic_sweep(tau_syn_ms=(1.0, 2.0), further={"rule": ("a", "b")})
    with pytest.raises(DataError, match="'rule' holds text, not numbers"):
        figures.map_of(sweep, "correlation", "tau_syn_ms", "rule")
