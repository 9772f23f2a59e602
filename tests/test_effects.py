"""The figure of a sweep over three or more parameters."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr

from hpcspike.errors import DataError
from hpcspike.figures import figures_for, parameter_effects

AXES = {"row_sum_penalty": [0.0, 8.0, 800.0], "plastic_in_degree": [10, 20], "feed_forward_ridge": [10.0, 100.0]}


def sweep(**axes: list[float]) -> xr.Dataset:
    points = list(itertools.product(*axes.values(), range(2)))
    columns = dict(zip([*axes, "replicate"], map(np.array, zip(*points, strict=True)), strict=True))
    found = np.arange(float(len(points)))
    found[3] = np.nan  # a diverged network
    return xr.Dataset(
        {
            "correlation": ("point", found), "status": ("point", np.zeros(len(points), np.int8)),
            "done": ("point", np.ones(len(points), np.uint8)),
        },
        coords={
            **{name: ("point", np.full(len(points), 20.0)) for name in ("tau_syn_ms", "tau_corr_ms", "duration_ms")},
            "n_neurons": ("point", np.full(len(points), 100)), "seed": ("point", np.ones(len(points), int)),
            **{name: ("point", values) for name, values in columns.items()},
        },
    )  # fmt: skip


def test_every_parameter_has_a_panel_with_the_mean_over_the_others() -> None:
    made = sweep(**AXES)
    assert "effects" in figures_for(made)
    panels = parameter_effects(made).axes
    assert [axes.get_xlabel().split(" $")[0] for axes in panels] == [
        "penalty on row sums", "plastic inputs per population", "feed-forward ridge"
    ]  # fmt: skip
    for axes, (name, values) in zip(panels, AXES.items(), strict=True):
        means = np.asarray(axes.containers[0].lines[0].get_ydata(), dtype=float)
        expected = [np.nanmean(made["correlation"].values[made[name].values == value]) for value in values]
        np.testing.assert_allclose(means, expected)
        assert [text.get_text() for text in axes.get_xticklabels()] == [f"{value:g}" for value in values]


def test_of_fewer_parameters_there_is_none() -> None:
    made = sweep(row_sum_penalty=[0.0, 8.0], plastic_in_degree=[10, 20])
    assert "effects" not in figures_for(made)
    with pytest.raises(DataError, match="three or more numeric parameters"):
        parameter_effects(made)
    with pytest.raises(DataError, match="no result 'speed'"):
        parameter_effects(sweep(**AXES), variable="speed")
