"""The comparison of learners: its table and its figure."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from hpcspike.analysis.learners import comparison, kind_of, learner_axis
from hpcspike.errors import DataError
from hpcspike.figures import figures_for
from hpcspike.figures.learners import learner_comparison


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
    assert labels == ["RLS", "Alemi et al.", "its linear teacher"]
    cells = [cell.get_text().get_text() for cell in figure.axes[-1].tables[0].get_celld().values()]
    assert any("a matrix P per neuron" in cell.replace("\n", " ") for cell in cells)
    assert "400" in cells
