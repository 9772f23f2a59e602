"""Where the two errors balance: crossings of curves that are known, and laws that made them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr

from hpcspike.analysis import crossings, fit_law, paper_law
from hpcspike.analysis.crossing import THEORY, Crossing
from hpcspike.errors import DataError

TAU_SYN = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]


def sweep(n_neurons: list[int], tau_corr_ms: list[float], prefactor: float = 3.0) -> xr.Dataset:
    """Points whose spectral index is 0, and whose correlation is largest, at prefactor tau_c^(2/3) N^(-1/3)."""
    points = list(itertools.product(n_neurons, tau_corr_ms, TAU_SYN, range(2)))
    size, tau_corr, tau_syn, _ = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    distance = np.log(tau_syn / (prefactor * tau_corr ** THEORY[0] * size ** THEORY[1]))
    return xr.Dataset(
        {
            "spectral_index": ("point", -0.7 * distance),
            "correlation": ("point", 0.9 - 0.05 * distance**2),
            "status": ("point", np.zeros(len(points), dtype=np.int8)),
        },
        coords={
            "n_neurons": ("point", size.astype(np.int64)),
            "tau_corr_ms": ("point", tau_corr),
            "tau_syn_ms": ("point", tau_syn),
        },
    )


@pytest.mark.parametrize("definition", ["balance", "optimum"])
def test_the_law_that_made_the_points_is_found(definition: str) -> None:
    found = crossings([sweep([500], [50.0, 100.0, 200.0]), sweep([250, 1000], [100.0])], definition)  # type: ignore[arg-type]
    assert len(found.tau_syn_ms) == 5
    law = fit_law(found)
    assert law.exponents == pytest.approx(THEORY, abs=0.02)
    assert law.prefactor == pytest.approx(3.0, rel=0.1)
    assert law.held_out < 0.01
    assert fit_law(found, THEORY).prefactor == pytest.approx(3.0, rel=0.02)


def test_the_papers_prefactors_are_those_of_its_two_errors() -> None:
    # tau_s / (4 pi tau_c) = 1 / sqrt(N tau_s / tau) at the crossing
    size, tau_corr, tau = 500.0, 100.0, 10.0
    at = paper_law(Crossing(np.array([size]), np.array([tau_corr]), np.array([1.0])), tau).prefactor
    at *= tau_corr ** THEORY[0] * size ** THEORY[1]
    assert at / (4 * np.pi * tau_corr) == pytest.approx(1 / np.sqrt(size * at / tau))


def test_cells_without_a_crossing_are_left_out() -> None:
    data = sweep([500], [100.0, 1e6])
    assert crossings(data).tau_corr_ms.tolist() == [100.0]
    with pytest.raises(DataError, match="widen the range"):
        crossings(sweep([500], [1e6]))


def test_a_tau_s_at_which_every_network_diverged_hides_no_optimum() -> None:
    whole = sweep([500], [100.0])
    holed = whole.copy(deep=True)
    holed["correlation"][whole["tau_syn_ms"].values == TAU_SYN[-1]] = np.nan
    np.testing.assert_array_equal(crossings(holed, "optimum").tau_syn_ms, crossings(whole, "optimum").tau_syn_ms)


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ([1.0, -1.0, 2.0, 1.0, 3.0, -1.0, -2.0], np.log(50.0) + 0.75 * np.log(2.0)),  # falls twice: the last counts
        ([1.0, 0.0, -1.0, -1.0, -1.0, -1.0, -1.0], np.log(5.0)),
        ([-1.0, -1.0, 1.0, 2.0, 3.0, 4.0, 4.0], np.nan),
    ],
)
def test_the_balance_is_the_last_fall_through_zero(values: list[float], at: float) -> None:
    data = sweep([500], [100.0])
    by_tau = dict(zip(TAU_SYN, values, strict=True))
    data["spectral_index"][:] = [by_tau[tau] for tau in data["tau_syn_ms"].values.tolist()]
    if np.isnan(at):
        with pytest.raises(DataError, match="widen the range"):
            crossings(data)
    else:
        assert np.log(crossings(data).tau_syn_ms).tolist() == pytest.approx([at])


def test_errors_of_a_law_are_in_decades_and_held_out_ones_know_nothing_of_their_cell() -> None:
    found = Crossing(np.array([100.0, 100.0, 800.0]), np.array([10.0, 10.0, 10.0]), np.array([1.0, 10.0, 100.0]))
    law = fit_law(found, (0.0, 0.0))  # the geometric mean, 10
    assert law.prefactor == pytest.approx(10.0)
    assert law.error == pytest.approx(np.sqrt(2 / 3))
    assert law.held_out == pytest.approx(np.sqrt((1.5**2 + 0.0 + 1.5**2) / 3))
    scaled = fit_law(found, (1.0, -1.0))
    assert scaled.prefactor == pytest.approx((1.0 * 10.0 * 100.0 * 100.0 * 100.0 * 800.0) ** (1 / 3) / 10.0)
