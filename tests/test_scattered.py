"""Analyses and figures of points that lie anywhere: recall, and a collapse judged by the networks themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from smooth_response import adaptive_document, correlation, spectral_index

from hpcspike.analysis import collapse, error_types
from hpcspike.analysis.scaling import held_out_intervals
from hpcspike.figures import figures_for
from hpcspike.spec import validate_sweep
from hpcspike.variables import STATUS

pytest.importorskip("sklearn")

RECALL = STATUS.index("recall")


def scattered(law: Callable[[np.ndarray, np.ndarray], np.ndarray], n_networks: int = 90) -> xr.Dataset:
    """Networks at random tau_s and tau_c of an adaptive sweep, whose correlation is a law of both, with some noise."""
    random, plan = np.random.default_rng(1), validate_sweep(adaptive_document())
    columns = plan.columns()
    tau_s, tau_c = (random.choice(columns[key], n_networks) for key in ("synapse.tau_syn_ms", "targets.tau_corr_ms"))
    value = law(tau_s, tau_c) + 0.01 * random.standard_normal(n_networks)
    index = spectral_index(tau_s, tau_c)
    status = np.where(value >= 0.7, 0, np.where(index > 0, 1, 2))
    fixed = {"duration_ms": 100.0, "n_neurons": 20, "replicate": 0, "seed": 1}
    return xr.Dataset(
        {
            "correlation": ("point", value),
            "spectral_index": ("point", index),
            "correlation_taught": ("point", np.clip(value + 0.2, -0.99, 0.99)),
            "status": ("point", status.astype(np.int8)),
        },
        {
            "tau_syn_ms": ("point", tau_s, {"units": "ms"}),
            "tau_corr_ms": ("point", tau_c, {"units": "ms"}),
            **{name: ("point", np.full(n_networks, number)) for name, number in fixed.items()},
        },
        {"sweep": plan.model_dump_json()},
    )


def test_networks_that_follow_but_do_not_recall_have_a_region_of_their_own() -> None:
    sweep = scattered(correlation)
    kinds = error_types(sweep)
    assert set(np.unique(kinds["status"])) == {0, 1, 2, RECALL}
    expected = correlation(*np.meshgrid(kinds.tau_syn_ms, kinds.tau_corr_ms, indexing="ij"))
    status = kinds["status"].transpose(..., "tau_syn_ms", "tau_corr_ms").squeeze().values
    between = (expected > 0.55) & (expected < 0.65)
    assert (status[between] == RECALL).mean() > 0.9
    assert (status[expected < 0.4] != RECALL).all()
    words = {text.get_text() for text in figures_for(sweep)["map"]().axes[0].texts}
    assert {"recall", "sampling", "tracking"} <= words
    without = {text.get_text() for text in figures_for(sweep.drop_vars("correlation_taught"))["map"]().axes[0].texts}
    assert "recall" not in without


def test_a_collapse_of_scattered_networks_is_judged_by_the_networks() -> None:
    """A surface through the networks would predict a curve from its neighbours, whatever the law."""
    tracked = collapse(scattered(lambda tau_s, tau_c: 1.0 / (1.0 + tau_s / tau_c), 200))
    explained, alone = tracked["held_out_fraction"].squeeze().values
    assert explained < 0.05 < 0.3 < alone
    by_tau_s = collapse(scattered(lambda tau_s, tau_c: 1.0 / (1.0 + tau_s / 100.0), 200))
    explained, alone = by_tau_s["held_out_fraction"].squeeze().values
    assert alone < 0.05 < 0.3 < explained
    few = collapse(scattered(correlation, 20))
    assert np.isnan(few["held_out_fraction"]).all()
    assert "networks" in few.attrs["estimated"]
    scaled, _ = held_out_intervals(scattered(lambda tau_s, tau_c: 1.0 / (1.0 + tau_s / tau_c), 200))
    assert scaled.value < 0.05
    assert np.isnan(scaled.low)
