"""Tables that `hpcspike analyse` writes: no number twice, and every unit in its heading."""

from __future__ import annotations

import numpy as np

from hpcspike.analysis import capacity, error_types, inverted_u
from hpcspike.commands.analyse import tables_of
from tests.synthetic import synthetic_sweep


def test_the_kinds_of_error_stand_once_per_cell_with_a_column_for_every_status() -> None:
    sweep = synthetic_sweep(tau_syn_ms=(3.0, 20.0), tau_corr_ms=(50.0, 100.0, 200.0), replicates=3)
    status = np.where(sweep["tau_syn_ms"] == 3.0, 1, np.where(sweep["replicate"] == 0, 2, 0))
    sweep["status"] = sweep["status"].copy(data=status)
    ((ending, table),) = tables_of(error_types(sweep)).items()
    assert ending == ""
    assert len(table) == 6
    assert not table.duplicated(["tau_syn_ms", "tau_corr_ms"]).any()
    row = table[(table["tau_syn_ms"] == 20.0) & (table["tau_corr_ms"] == 100.0)].iloc[0]
    np.testing.assert_allclose(
        row[["status_fraction_learned", "status_fraction_sampling", "status_fraction_tracking"]].astype(float),
        [2 / 3, 0.0, 1 / 3],
    )
    assert row["tracking_theory"] == 20.0 / (4 * np.pi * 100.0)


def test_numbers_of_a_whole_curve_have_a_table_of_their_own_with_units() -> None:
    tables = tables_of(inverted_u(synthetic_sweep(tau_syn_ms=(5.0, 20.0, 90.0), tau_corr_ms=(50.0, 100.0))))
    assert list(tables) == ["", "_by_tau_corr_ms_and_n_neurons"]
    assert len(tables[""]) == 6
    curves = tables["_by_tau_corr_ms_and_n_neurons"]
    assert curves["tau_corr_ms"].tolist() == [50.0, 100.0]
    assert {"optimum_tau_syn (ms)", "near_optimal_low (ms)", "optimum_performance"} <= set(curves.columns)


def test_capacities_are_not_repeated_over_windows() -> None:
    sweep = synthetic_sweep(tau_corr_ms=(50.0, 100.0), duration_ms=(500.0, 1000.0), n_neurons=(100, 300))
    tables = tables_of(capacity(sweep, threshold=(0.6, 0.7)))
    assert {ending: len(table) for ending, table in tables.items()} == {
        "": 8, "_by_n_neurons_and_tau_corr_ms_and_threshold": 8, "_by_n_neurons_and_threshold": 4
    }  # fmt: skip
    assert [ending for ending, table in tables.items() if "capacity" in table] == ["_by_n_neurons_and_threshold"]
    assert "longest_learned (ms)" in tables["_by_n_neurons_and_tau_corr_ms_and_threshold"]
