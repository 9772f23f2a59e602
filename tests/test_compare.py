"""Two sweeps or two networks compared: nothing of itself, and what a changed seed changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from sweep_stub import stub_point, sweep_document
from synthetic import synthetic_sweep, synthetic_trained

from hpcspike.analysis.comparison import are_equal, compare
from hpcspike.cli import main
from hpcspike.errors import DataError
from hpcspike.figures import comparison_panels
from hpcspike.spec import validate_sweep
from hpcspike.sweep import batch
from hpcspike.sweep.growth import ensure_store
from hpcspike.sweep.store import open_store


def store(path: Path, monkeypatch: pytest.MonkeyPatch, **changes: object) -> Path:
    """A finished sweep of 12 points whose numbers follow from their experiments alone."""
    monkeypatch.setattr("hpcspike.runs.point.run_point", stub_point)
    document = sweep_document(**{key: value for key, value in changes.items() if key != "seed"})
    document["experiment"] = document["experiment"] | {"seed": changes.get("seed", 1)}
    ensure_store(path, validate_sweep(document))
    for number in range(len(open_store(path).batches)):
        batch.run_batch(path, number)
    return path


# ---- sweeps ----------------------------------------------------------------------------------------------------------


def test_a_sweep_equals_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(store(tmp_path / "a.zarr", monkeypatch))
    assert main(["compare", path, path]) == 0
    out = capsys.readouterr().out
    assert "points     12 in both, 0 only in A, 0 only in B" in out
    assert "at 0 of 12 points" in out
    assert out.endswith("\nequal\n")


def test_another_seed_is_named_and_differs_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = store(tmp_path / "a.zarr", monkeypatch), store(tmp_path / "b.zarr", monkeypatch, seed=2)
    assert main(["compare", str(a), str(b), "--out", str(tmp_path / "c.png")]) == 3
    out = capsys.readouterr().out
    assert "field      experiment.seed: 1 in A, 2 in B" in out
    assert "at 12 of 12 points" in out
    assert "correlation: 12 of 12 values, largest " in out
    assert (tmp_path / "c.png").stat().st_size > 5000
    assert main(["compare", str(a), str(b), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["equal"] is False
    assert document["different_points"] == list(range(12))


def test_points_of_one_sweep_alone_are_counted_and_the_others_matched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = store(tmp_path / "a.zarr", monkeypatch), store(tmp_path / "b.zarr", monkeypatch, replicates=3)
    assert main(["compare", str(a), str(b), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["points"], document["only_in_a"], document["only_in_b"]) == (12, 0, 6)
    assert document["variables"] == []
    assert document["fields"] == {"replicates": [2, 3]}


def test_one_changed_number_is_found_where_it_is() -> None:
    a = synthetic_sweep(tau_syn_ms=(5.0, 20.0), tau_corr_ms=(50.0, 100.0))
    b = a.copy(deep=True).isel(point=slice(None, None, -1))  # in another order
    chosen = dict(point=4)
    b["population_rate"][chosen] += 0.25
    found = compare(a, b)
    assert not are_equal(found)
    differs = found["n_different"].to_series()
    assert differs[differs > 0].to_dict() == {"population_rate": 1}
    (where,) = np.flatnonzero(found["point_differences"])
    assert int(found["point_b"][where]) == 4
    for name in ("tau_syn_ms", "tau_corr_ms", "replicate"):
        assert found[name][where] == b[name][chosen]
    assert found.sel(variable="population_rate")["largest_difference"] == 0.25
    assert found.sel(variable="population_rate")["rms_difference"] == pytest.approx(0.25 / np.sqrt(12))


def test_a_missing_value_differs_from_a_number_and_equals_another_missing_one() -> None:
    a = synthetic_sweep(tau_syn_ms=(5.0, 20.0))
    b = a.copy(deep=True)
    a["correlation"][:2] = np.nan
    b["correlation"][1:3] = np.nan
    found = compare(a, b).sel(variable="correlation")
    assert int(found["n_different"]) == 2
    assert np.isnan(found["difference"].values).sum() == 2


def test_the_loop_where_a_curve_differs_most_stands_for_it_and_a_longer_curve_differs() -> None:
    a = synthetic_sweep(replicates=2, n_loops=4)
    b = a.copy(deep=True)
    b["curve_rate"][0, 1] += 0.5
    b["curve_rate"][0, 3] -= 2.0
    found = compare(a, b).sel(variable="curve_rate")
    assert found["difference"].values == pytest.approx([-2.0, 0.0])
    longer = compare(a, a.pad(loop=(0, 1), constant_values=1.0)).sel(variable="curve_rate")
    assert int(longer["n_different"]) == 2


def test_what_only_one_sweep_varies_is_named() -> None:
    a = synthetic_sweep(further={"sigma": (1.0, 2.0)}).drop_vars("seed")
    with pytest.raises(DataError, match=r"select one value of what only one varies \(sigma\)"):
        compare(a, synthetic_sweep().drop_vars("seed"))
    assert are_equal(compare(a, a))


# ---- networks --------------------------------------------------------------------------------------------------------


def test_a_network_equals_itself_and_what_changed_is_counted() -> None:
    a = synthetic_trained(n_neurons=6, duration_ms=50)
    assert are_equal(compare(a, a))
    b = a.copy(deep=True)
    b["response"][0, 1, 2, 10:13] += 1.0
    b["curve_seconds"] += 1.0  # a clock, not a result
    found = compare(a, b)
    differs = found["n_different"].to_series()
    assert differs[differs > 0].to_dict() == {"response": 3}
    assert not are_equal(found)


def test_spikes_that_are_not_equally_many_differ() -> None:
    a = synthetic_trained(n_neurons=6, duration_ms=50)
    found = compare(a, a.isel(spike=slice(1, None))).sel(variable="spike_time")
    assert int(found["n_different"]) == int(found["n_compared"]) == a.sizes["spike"]
    assert np.isnan(found["largest_difference"])


def test_a_variable_of_one_network_alone_is_a_difference() -> None:
    a = synthetic_trained(n_neurons=6, duration_ms=50)
    found = compare(a.drop_vars("drive"), a)
    assert found.attrs["only_in_b"] == 1
    assert not are_equal(found)


def test_what_cannot_be_compared_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = synthetic_trained(n_neurons=6, duration_ms=50)
    with pytest.raises(DataError, match="the first is a trained network and the second a sweep: give two sweeps"):
        compare(network, synthetic_sweep())
    with pytest.raises(DataError, match="must be"):
        compare("a.zarr", network)  # type: ignore[arg-type]
    assert main(["compare", str(tmp_path / "no.zarr"), str(tmp_path / "no.zarr")]) == 2
    assert "no such store" in capsys.readouterr().err
    assert main(["compare", "a", "b", "--out", "c.txt"]) == 2
    assert "must end in .png, .pdf or .svg" in capsys.readouterr().err


@pytest.mark.parametrize("changed", [False, True])
def test_the_figure_shows_every_point_and_every_result_that_differs(changed: bool) -> None:
    a = synthetic_sweep(tau_syn_ms=(5.0, 20.0, 80.0), tau_corr_ms=(50.0, 100.0))
    b = a.copy(deep=True)
    if changed:
        b["correlation"][:5] += 0.05
    scores, shares = comparison_panels(compare(a, b)).axes
    assert sum(len(line.get_xdata()) for line in scores.lines[1:]) == a.sizes["point"]  # type: ignore[arg-type]
    assert [label.get_text() for label in shares.get_yticklabels()] == (["correlation"] if changed else [])
    assert any(text.get_text() == "none" for text in shares.texts) is not changed


def test_the_figure_of_networks_has_a_point_for_every_neuron() -> None:
    a = synthetic_trained(n_neurons=6, duration_ms=50)
    a["neuron_correlation"] = (("target_set", "neuron"), np.linspace(0, 1, 6)[None])
    b = a.assign(neuron_correlation=a["neuron_correlation"] * 0.9)
    scores = comparison_panels(compare(a, b)).axes[0]
    assert sum(len(line.get_xdata()) for line in scores.lines[1:]) == 6  # type: ignore[arg-type]
    assert isinstance(compare(a, b), xr.Dataset)
