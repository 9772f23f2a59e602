"""The two kinds of learning error over the plane of synaptic and correlation times."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from hpcspike.analysis.cells import Arrays, Grid, assemble, evaluate, finished, make_grid, statistics
from hpcspike.analysis.scattered import on_grid
from hpcspike.errors import DataError
from hpcspike.takes_results import takes_results
from hpcspike.variables import POINT_RESULTS, STATUS

MEASURES = (
    "correlation",
    "spectral_index",
    "fast_share_response",
    "fast_share_target",
    "sampling_error",
    "tracking_error",
    "quasi_static_residual",
    "sampling_theory",
    "tracking_theory",
    "lag_error",
    "lag_theory",
    "sampling_formula",
    "weight_norm",
    "spike_noise",
    "correlation_taught",
)
SPREAD = "_sd_over_networks"


@takes_results
def error_types(
    sweep: xr.Dataset,
    *,
    over: Sequence[str] = ("tau_syn_ms", "tau_corr_ms"),
    pool: Sequence[str] = (),
) -> xr.Dataset:
    """What kind of error the networks of every cell make, beside the theory (paper Eq 3, Fig 6).

    Parameters
    ----------
    sweep
        Dataset along ``point``; measures that it lacks are left out.
    over, pool
        As in `hpcspike.analysis.performance`.

    Returns
    -------
    Dataset
        Means over networks of the correlation, the spectral index, the shares of fast power, the clamped sampling and
        tracking errors, the quasi-static residual, the theory's eps_sample and eps_track, and of every further result
        whose name begins with ``spectral_index``; beside each its s.d. (n - 1) as ``<name>_sd_over_networks``.
        ``status``: that of most networks (the worse one if two are equally frequent), -1 without data;
        ``status_fraction`` along ``status_name``; ``sign_agreement``: share of networks whose spectral index has the
        sign that most have; ``n_finished``. Lazy if the sweep is.

    Raises
    ------
    DataError
        If a parameter is not part of the sweep, or the sweep has no ``status``.
    """
    if "status" not in sweep:
        raise DataError("this sweep has no 'status'; give the Dataset of a sweep, as hpcspike.open_sweep returns it")
    sweep = on_grid(sweep)
    grid = make_grid(sweep, over=over, pool=pool)
    further = [str(n) for n in sweep.data_vars if str(n).startswith("spectral_index") and n not in MEASURES]
    names = [n for n in (*MEASURES, *further) if n in sweep and sweep[n].dims == ("point",)]
    parts = {}
    for name in names:
        inputs = {"values": sweep[name]}
        if not name.endswith("_theory"):  # what the theory says holds for a diverged network too
            inputs["status"] = sweep["status"]
        shapes = dict.fromkeys(("performance", "performance_sd"), grid.shape)
        parts[name] = evaluate(partial(_mean, grid=grid), inputs, shapes)
    shapes = {"status": grid.shape, "status_fraction": (*grid.shape, len(STATUS)), "n_finished": grid.shape}
    counts = evaluate(partial(_majority, grid=grid), {"status": sweep["status"]}, shapes)
    result = assemble(
        {
            "status": (grid.dims, counts["status"]),
            "status_fraction": ((*grid.dims, "status_name"), counts["status_fraction"]),
            "n_finished": (grid.dims, counts["n_finished"]),
        },
        {**grid.axes, "status_name": np.array(STATUS)},
        like=sweep,
        attrs={"pooled": " ".join(pool), "ties": "the worse status"},
    )
    for name in names:
        known = POINT_RESULTS[name].attrs if name in POINT_RESULTS else dict(sweep[name].attrs)
        attrs = {"units": "1", "long_name": name, **known}
        result[name] = (grid.dims, parts[name]["performance"], attrs)
        spread = {"units": attrs["units"], "long_name": f"{attrs['long_name']}, s.d. over networks (n - 1)"}
        result[name + SPREAD] = (grid.dims, parts[name]["performance_sd"], spread)
    if "spectral_index" in names:
        inputs = {"values": sweep["spectral_index"], "status": sweep["status"]}
        agreement = evaluate(partial(_sign_agreement, grid=grid), inputs, {"sign_agreement": grid.shape})
        extra = assemble({"sign_agreement": (grid.dims, agreement["sign_agreement"])}, grid.axes, like=sweep, attrs={})
        result = result.merge(extra, combine_attrs="override")
    return result


def _mean(*, values: np.ndarray, status: np.ndarray | None = None, grid: Grid) -> Arrays:
    return statistics(values=values, status=status, grid=grid, failed_as=None)


def _majority(*, status: np.ndarray, grid: Grid) -> Arrays:
    done = finished(grid.cell, status)
    counts = np.zeros((grid.n_cells, len(STATUS)), dtype=np.int64)
    np.add.at(counts, (grid.cell[done], status[done]), 1)
    total = counts.sum(axis=1)
    # reversed, so that argmax takes the worse of two equally frequent ones
    winner = len(STATUS) - 1 - np.argmax(counts[:, ::-1], axis=1)
    share = counts / np.where(total > 0, total, np.nan)[:, None]
    return {
        "status": np.where(total > 0, winner, -1).reshape(grid.shape),
        "status_fraction": share.reshape(*grid.shape, len(STATUS)),
        "n_finished": total.reshape(grid.shape),
    }


def _sign_agreement(*, values: np.ndarray, status: np.ndarray, grid: Grid) -> Arrays:
    positive = np.where(np.isnan(values), np.nan, (values > 0).astype(np.float64))
    share = statistics(values=positive, status=status, grid=grid, failed_as=None)["performance"]
    return {"sign_agreement": np.fmax(share, 1 - share)}
