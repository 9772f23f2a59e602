"""Performance of the networks of a sweep, averaged over replicates on the grid of its parameters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import xarray as xr

from hpcspike.analysis.cells import assemble, evaluate, make_grid, measured, of_measure, statistics
from hpcspike.analysis.scattered import on_grid
from hpcspike.takes_results import takes_results

STATISTICS = ("performance", "performance_sd", "n_networks", "n_diverged", "n_finished")


@takes_results
def performance(
    sweep: xr.Dataset,
    *,
    over: Sequence[str] = ("tau_syn_ms", "tau_corr_ms"),
    measure: str = "correlation",
    pool: Sequence[str] = (),
    failed_as: float | None = None,
) -> xr.Dataset:
    """Mean and s.d. of a measure over replicates (paper Fig 6a).

    Parameters
    ----------
    sweep
        Dataset along ``point``; points whose ``done`` is 0 are left out.
    over
        Parameters that span the grid: the last dimensions of the result, in this order. Other parameters that vary
        become leading dimensions.
    measure
        Name of a result along ``point``.
    pool
        Parameters to average over besides the replicates.
    failed_as
        Value that a network without one (a diverged one) counts as; None leaves it out of mean and s.d. Diverged
        networks are counted either way.

    Returns
    -------
    Dataset
        ``performance`` and ``performance_sd`` (unit of the measure; s.d. with n - 1, NaN below two networks),
        ``n_networks`` in the mean, ``n_diverged`` and ``n_finished``. Cells without a network are NaN with count 0.
        Lazy if the sweep is.

    Raises
    ------
    DataError
        If a parameter or the measure is not part of the sweep.
    """
    sweep = on_grid(sweep, [measure])
    grid = make_grid(sweep, over=over, pool=pool)
    inputs = measured(sweep, measure)
    function = partial(statistics, grid=grid, failed_as=failed_as)
    arrays = evaluate(function, inputs, dict.fromkeys(STATISTICS, grid.shape))
    return assemble(
        {name: (grid.dims, arrays[name]) for name in STATISTICS},
        grid.axes,
        like=sweep,
        attrs={
            "measure": measure,
            "pooled": " ".join(pool),
            "failed_as": "left out" if failed_as is None else failed_as,
        },
        described=of_measure(sweep, measure),
    )
