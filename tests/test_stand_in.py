"""The generated stand-in: plausible rates, keyed by the seed, and never mistaken for recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike.errors import SpecError
from hpcspike.figures.available import figures_for
from hpcspike.identity import experiment_hash
from hpcspike.model.build import build_problem, recording_of
from hpcspike.model.stand_in import stand_in_attributes, stand_in_rates
from hpcspike.spec import load, validate_sweep
from hpcspike.spec.experiment import Experiment
from hpcspike.sweep.growth import ensure_store
from hpcspike.variables import STAND_IN
from tests.drawn import heading_of
from tests.small_networks import experiment


def stand_in(seed: int = 3, replicate: int = 0, training: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    targets = {"kind": "recorded", "path": "generated", "n_units": 12, "duration_ms": 200.0, "auxiliary_ratio": 0.5}
    return experiment(
        network={}, seed=seed, replicate=replicate, targets={**targets, **changes},
        training={"variable": "rate", "n_loops": 1, "update_interval_ms": 10.0, **(training or {})},
    )  # fmt: skip


def test_rates_are_those_of_a_task_without_extremes() -> None:
    times, rates = stand_in_rates(300, duration_ms=4600.0, seed=1)
    assert times[0] == 0.0
    assert times[-1] == 4600.0
    assert rates.shape == (300, 231)
    means = rates.mean(axis=1)
    assert means.min() > 5.0
    assert means.max() < 30.0
    assert 9.0 < means.mean() < 13.0
    assert rates.min() > 0.0
    assert (rates.max(axis=1) <= 5.0 * means * (1 + 1e-9)).all()
    assert (rates.std(axis=1) / means).min() > 0.1
    # heterogeneous: profiles peak throughout the window, and no two units are alike
    assert np.histogram(rates.argmax(axis=1), bins=4, range=(0, 231))[0].min() > 15
    alike = np.corrcoef(rates) - np.eye(300)
    assert alike.max() < 0.9999


def test_three_profiles_in_ten_are_turned_upside_down(monkeypatch: pytest.MonkeyPatch) -> None:
    # a step in place of ramps and pulses; the ripple is at most 0.15 of it
    monkeypatch.setattr("hpcspike.model.stand_in._shape", lambda kind, times, rng: np.where(times < 1000.0, 0.0, 1.0))
    _, rates = stand_in_rates(400, duration_ms=1980.0, seed=1)
    falls = int((rates[:, 50:].mean(axis=1) < rates[:, :50].mean(axis=1)).sum())
    assert abs(falls - 120) < 3 * np.sqrt(400 * 0.3 * 0.7)


def test_rates_are_keyed_by_seed_and_unit_alone() -> None:
    _, whole = stand_in_rates(20, duration_ms=1000.0, seed=1)
    _, few = stand_in_rates(5, duration_ms=1000.0, seed=1)
    _, other = stand_in_rates(5, duration_ms=1000.0, seed=2)
    np.testing.assert_array_equal(few, whole[:5])
    assert (other != few).any(axis=1).all()
    times, _ = stand_in_rates(1, duration_ms=1010.0, seed=1)
    assert times[-1] == 1020.0


def test_data_are_the_same_in_all_replicates_and_auxiliary_targets_are_not() -> None:
    first, second = (build_problem(stand_in(replicate=k)).targets[0] for k in (0, 1))
    np.testing.assert_array_equal(first[:12], second[:12])
    assert (first[12:] != second[12:]).any(axis=1).all()
    assert first.shape == (18, 200)


def test_without_a_length_or_number_it_has_those_of_the_paper() -> None:
    recording = recording_of(stand_in(duration_ms=None, n_units=None))
    assert recording is not None
    assert recording.values.shape == (227, 231)
    assert recording.unit_ids[3] == "stand-in 3"


def test_identity_follows_the_seed_and_needs_no_file(tmp_path: Path) -> None:
    assert experiment_hash(stand_in()) == experiment_hash(stand_in())
    assert experiment_hash(stand_in()) != experiment_hash(stand_in(seed=4))
    path = tmp_path / "x.yaml"
    path.write_text("targets: {kind: recorded, path: generated, n_units: 4}\ntraining: {variable: rate}\n")
    assert load(path).targets.path == "generated"


@pytest.mark.parametrize("key", ["unit", "sample_ms", "variable", "align"])
def test_keys_of_files_are_refused(key: str) -> None:
    value: Any = {"unit": "Hz", "sample_ms": 20.0}.get(key, "x")
    with pytest.raises(ValueError, match=f"targets.{key} has no effect: targets.path = generated is"):
        stand_in(**{key: value})


def test_results_and_every_figure_say_that_the_data_are_made_up() -> None:
    made_up = stand_in()
    dataset = hpcspike.run(made_up)
    assert dataset.attrs["stand_in"] == STAND_IN
    figures = figures_for(dataset)
    assert {"recorded", "samples", "raster", "training"} <= set(figures)
    for draw in figures.values():
        assert STAND_IN in heading_of(draw())


def test_other_experiments_are_not_called_made_up() -> None:
    plain = experiment()
    assert stand_in_attributes(plain) == {}
    dataset = hpcspike.run(plain)
    assert "stand_in" not in dataset.attrs
    assert STAND_IN not in heading_of(figures_for(dataset)["samples"]())


def test_targets_that_are_generated_are_no_drives() -> None:
    with pytest.raises((SpecError, ValueError), match="gives rates; choose holds: rate"):
        stand_in(holds="drive", training={"variable": "drive"})


def test_a_sweep_over_made_up_data_says_so(tmp_path: Path) -> None:
    document = {
        "name": "ratios",
        "experiment": stand_in().model_dump(mode="json", exclude={"network"}),
        "axes": {"targets.auxiliary_ratio": [0.0, 0.5]},
    }
    sweep = validate_sweep(document)
    path = tmp_path / "ratios.zarr"
    ensure_store(path, sweep)
    with hpcspike.open_sweep(path) as opened:
        assert opened.attrs["stand_in"] == STAND_IN
    with hpcspike.open_sweep(path, complete_only=False) as opened:
        assert opened["n_neurons"].values.tolist() == [12, 18]  # which the recording decides
        assert opened["duration_ms"].values.tolist() == [200.0, 200.0]
