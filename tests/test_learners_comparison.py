"""The comparison of learners: its table and its figure."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from hpcspike.analysis.learners import comparison, kind_of, learner_axis
from hpcspike.errors import DataError
from hpcspike.figures import figures_for
from hpcspike.figures.learners import learner_comparison
from hpcspike.figures.style import valued, valued_apart
from tests.drawn import title_of


@pytest.fixture
def sweep() -> xr.Dataset:
    learner = ["rls"] * 4 + ['{"kind": "ebn_alemi", "n_readouts": null, "variable": "drive"}'] * 4
    point = ("point",)
    ones = np.ones(8)
    return xr.Dataset(
        {
            "correlation": (point, [0.8, 0.6, 0.5, 0.3, 0.9, 0.7, np.nan, 0.4]),
            "status": (point, np.zeros(8, dtype=np.int8)),
            "diverged_loop": (point, [-1] * 6 + [3, -1]),
            "teacher_fit": (point, [np.nan] * 4 + [0.95] * 4),
            "population_rate": (point, 10.0 * ones), "n_trained": (point, 400.0 * ones),
            "simulated_seconds": (point, 7.0 * ones), "wall_seconds": (point, 2.0 * ones),
        },
        coords={
            "learner": (point, np.array(learner, dtype=object)), "n_neurons": (point, [20] * 8),
            "duration_ms": (point, [500.0, 500.0, 1000.0, 1000.0] * 2), "tau_corr_ms": (point, 100.0 * ones),
            "tau_syn_ms": (point, 20.0 * ones), "replicate": (point, [0, 1] * 4), "seed": (point, [1] * 8),
        },
    )  # fmt: skip


def test_means_are_over_networks_and_a_diverged_one_counts_as_nothing(sweep: xr.Dataset) -> None:
    table = comparison(sweep)
    assert table.learner.values.tolist() == ["rls", "ebn_alemi"]
    assert table.relative_duration.values.tolist() == [5.0, 10.0]
    found = table.correlation.sel(n_neurons=20).values
    np.testing.assert_allclose(found, [[0.7, 0.4], [0.8, 0.2]])
    assert table.n_diverged.sel(learner="ebn_alemi", relative_duration=10.0).item() == 1
    assert np.isnan(table.teacher_fit.sel(learner="rls")).all()
    assert "fast weights" in table.for_free.sel(learner="ebn_alemi").item()
    assert table.carrier.sel(learner="rls").item() == "drive of every neuron"


def test_a_sweep_over_something_else_has_no_comparison(sweep: xr.Dataset) -> None:
    other = sweep.drop_vars("learner").assign_coords(kind=("point", ["theta"] * 8))
    assert learner_axis(other) is None
    with pytest.raises(DataError, match="no axis 'learner'"):
        comparison(other)
    assert kind_of('{"kind": "user", "path": "a.b:C"}') == "a.b:C"


def test_the_figure_shows_every_learner_and_states_what_it_is_given(sweep: xr.Dataset) -> None:
    assert "learners" in figures_for(sweep)
    figure = learner_comparison(sweep)
    labels = [text.get_text() for legend in figure.subfigs[0].legends for text in legend.get_texts()]
    assert labels == ["RLS", "Alemi et al.", "linear teacher of\nthe balanced networks"]
    capacities = figure.subfigs[0].axes[-1]
    assert "0.7" in title_of(capacities)
    drawn = {(line.get_marker(), *line.get_ydata()) for line in capacities.lines if len(line.get_ydata())}
    # RLS: 0.7 at T = 500 ms = 5 tau_c, 0.4 at 1000 ms; Alemi et al.: 0.8, then 0.2 with the diverged network
    assert drawn == {("o", 5.0), ("s", 5.0)}
    cells = [cell.get_text().get_text() for cell in figure.axes[-1].tables[0].get_celld().values()]
    assert any("a matrix P per neuron" in cell.replace("\n", " ") for cell in cells)
    assert "400" in cells


def test_the_figure_draws_the_means_side_by_side_with_their_standard_deviation(sweep: xr.Dataset) -> None:
    figure = learner_comparison(sweep)
    axes = figure.axes[0]
    rls, alemi = axes.containers
    assert rls[0].get_ydata().tolist() == pytest.approx([0.7, 0.4])
    assert alemi[0].get_ydata().tolist() == pytest.approx([0.8, 0.2])
    for container, sd in ((rls, [0.1, 0.1]), (alemi, [0.1, 0.2])):
        lengths = [(segment[1, 1] - segment[0, 1]) / 2 for segment in container[2][0].get_segments()]
        assert lengths == pytest.approx(np.array(sd) * np.sqrt(2))
        assert container[0].get_xdata() == pytest.approx([5.0, 10.0], abs=0.1)
    assert rls[0].get_xdata()[0] < alemi[0].get_xdata()[0]
    (teacher,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert teacher.get_ydata().tolist() == [0.95, 0.95]
    assert title_of(axes) == "$N$ = 20"
    marks = {line.get_marker(): line.get_ydata().tolist() for line in figure.axes[1].lines if len(line.get_ydata())}
    assert marks == {"o": [5.0], "s": [5.0]}
    sweep["correlation"] = ("point", [0.8] * 4 + [0.2] * 4)
    marks = {
        line.get_marker(): line.get_ydata().tolist()
        for line in learner_comparison(sweep).axes[1].lines
        if len(line.get_ydata())
    }
    assert marks == {"^": [10.0], "v": [5.0]}


def test_capacities_stand_at_the_sizes_that_their_learner_was_given(sweep: xr.Dataset) -> None:
    sizes = [20] * 4 + [50] * 4  # RLS has one size, Alemi et al. another
    figure = learner_comparison(sweep.assign_coords(n_neurons=("point", sizes)))
    drawn = {line.get_marker(): line.get_xdata() for line in figure.subfigs[0].axes[-1].lines if len(line.get_xdata())}
    assert np.round(drawn["o"]).tolist() == [0.0]
    assert np.round(drawn["s"]).tolist() == [1.0]


def test_figures_of_one_learner_are_drawn_for_each_of_them_apart(sweep: xr.Dataset) -> None:
    assert set(figures_for(sweep)) == {"learners"}
    point = ("point",)
    other = sweep.assign_coords(tau_corr_ms=(point, [50.0] * 8), seed=(point, [2] * 8))
    both = xr.concat([sweep, other], dim="point")
    drawn = figures_for(both.assign(curve_correlation=(("point", "loop"), np.ones((16, 3)))))
    assert list(drawn) == ["learners", "capacity_rls", "capacity_ebn-alemi", "training"]
    assert drawn["capacity_ebn-alemi"]().axes
    words = [text.get_text() for legend in drawn["training"]().legends for text in legend.get_texts()]
    assert words == ["RLS", "Alemi et al."]


def test_learners_of_one_kind_are_told_apart_by_what_differs() -> None:
    values = ['{"kind": "lsnn", "passes": 5, "beta": 1}', "rls", '{"kind": "lsnn", "passes": 9, "beta": 1}']
    assert valued_apart("learner", values) == ["LSNN (passes = 5)", "RLS", "LSNN (passes = 9)"]
    assert valued("learner", values[0]) == "LSNN"
    assert valued_apart("tau_syn_ms", [2.0, 30.0]) == [valued("tau_syn_ms", 2.0), valued("tau_syn_ms", 30.0)]
