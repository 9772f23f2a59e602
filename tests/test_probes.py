"""Which measure of the networks every probe of a study reports, under which name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpcspike.spec import study as sections
from hpcspike.studies.probes import PROBES, Networks

TRAINED = SimpleNamespace(problem=SimpleNamespace(n_recorded=7, n_sets=2))
UNTRAINED = SimpleNamespace(problem=TRAINED.problem)
NETWORKS = Networks(TRAINED, UNTRAINED, SimpleNamespace(connectivity=None), np.array([2, 0]))  # type: ignore[arg-type]


def numbers(*shape: int, first: float = 0.0) -> np.ndarray:
    return first + np.arange(float(np.prod(shape))).reshape(shape)


def test_shuffles_report_the_trial_mean_and_the_rate_of_the_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(trained: Any, **asked: Any) -> SimpleNamespace:
        assert trained is TRAINED
        assert asked == {"n_recorded": 7, "fractions": [0.0, 0.5, 1.0], "draws": 2, "trials": 4}
        values = {"response": 0.0, "trial_mean": 10.0, "rate_of_drive": 20.0, "binned": 30.0}
        return SimpleNamespace(**{name: numbers(3, 2, first=first) for name, first in values.items()})

    monkeypatch.setattr("hpcspike.measures.shuffle.measure_shuffles", measure)
    found = PROBES["shuffle"](
        NETWORKS, sections.ShuffleProbe.model_validate({"fractions": [0.0, 0.5, 1.0], "draws": 2, "trials": 4})
    )
    assert found["shuffle_correlation"][0] == found["shuffle_correlation_phi"][0] == ("shuffle_fraction", "draw")
    np.testing.assert_array_equal(found["shuffle_correlation"][1], numbers(3, 2, first=10.0))
    np.testing.assert_array_equal(found["shuffle_correlation_phi"][1], numbers(3, 2, first=20.0))
    assert found["shuffle_fraction"][1].tolist() == [0.0, 0.5, 1.0]


def test_lesions_report_single_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(trained: Any, **asked: Any) -> SimpleNamespace:
        assert trained is TRAINED
        assert asked == {"fractions": [0.0, 0.4], "draws": 3, "among": "all"}
        return SimpleNamespace(
            response=numbers(2, 3), trial_mean=numbers(2, 3, first=50.0), worst_decile=numbers(2, 3, first=7.0),
            share_followed=numbers(2, 3, first=9.0),
        )  # fmt: skip

    monkeypatch.setattr("hpcspike.measures.lesion.measure_lesions", measure)
    found = PROBES["lesion"](NETWORKS, sections.LesionProbe.model_validate({"fractions": [0.0, 0.4], "draws": 3}))
    for name, first in {"lesion_correlation": 0.0, "lesion_worst_decile": 7.0, "lesion_share_followed": 9.0}.items():
        np.testing.assert_array_equal(found[name][1], numbers(2, 3, first=first))
        assert found[name][0] == ("lesion_fraction", "draw")


def test_deleted_spikes_report_the_mean_over_repeats_that_had_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def delete(trained: Any, *, repeats: int, delay_ms: float, beyond_ms: float) -> SimpleNamespace:
        assert (repeats, delay_ms, beyond_ms) == (3, 60.0, 5.0)
        deviation = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 6.0]]) * (1.0 if trained is TRAINED else 10.0)
        return SimpleNamespace(neuron=np.array([4, -1, 0]), deviation=deviation, time_ms=np.array([1.0, 2.0]))

    monkeypatch.setattr("hpcspike.measures.perturbation.delete_spike", delete)
    found = PROBES["perturbation"](NETWORKS, sections.PerturbationProbe(repeats=3, delay_ms=60.0, beyond_ms=5.0))
    assert found["phase_deviation_after"][1].tolist() == [2.0, 4.0]
    assert found["phase_deviation_before"][1].tolist() == [20.0, 40.0]


def test_predictions_are_means_over_sets_and_courses_those_of_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(trained: Any, *, stimulus: int = 0, trials: int, bin_ms: float) -> SimpleNamespace:
        assert (trials, bin_ms) == ((5, 20.0) if trained is TRAINED else (3, 20.0))
        first = 100.0 * stimulus if trained is TRAINED else 7.0
        return SimpleNamespace(
            correlation_drive=first + np.array([1.0, 2.0, 6.0]),
            correlation_rate_of_drive=first + np.array([10.0, 20.0, 60.0]),
            predicted_drive=numbers(3, 4, first=first), rate=numbers(3, 2, first=first + 20),
            rate_of_drive=numbers(3, 2, first=first + 40),
        )  # fmt: skip

    monkeypatch.setattr("hpcspike.measures.quasi_static.predict_quasi_static", predict)
    found = PROBES["quasi_static"](NETWORKS, sections.QuasiStaticProbe(trials=5, bin_ms=20.0))
    assert found["quasi_static_drive_correlation"][1] == 53.0
    assert found["quasi_static_rate_correlation"][1] == 80.0
    assert found["quasi_static_drive_correlation_before"][1] == 10.0
    assert found["rate_time"][1].tolist() == [10.0, 30.0]
    for name, first, width in (("predicted_drive", 0, 4), ("binned_rate", 20, 2), ("predicted_rate", 40, 2)):
        expected = [numbers(3, width, first=first + 100.0 * s)[[2, 0]] for s in range(2)]
        np.testing.assert_array_equal(found[name][1], expected)


def test_spectra_before_and_after_keep_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def eigenvalues(trained: Any, *, divisor: float) -> SimpleNamespace:
        assert (trained, divisor) == (TRAINED, 1.0)
        return SimpleNamespace(before=np.array([1 + 2j, 3 + 4j]), after=np.array([5 + 6j, 7 + 8j]), radii=(5.0, 9.0))

    monkeypatch.setattr("hpcspike.measures.weight_eigenvalues.eigenvalues", eigenvalues)
    found = PROBES["spectrum"](NETWORKS, sections.SpectrumProbe())
    values = {name: np.asarray(value).tolist() for name, (_, value) in found.items()}
    assert values == {
        "eigenvalue": [0, 1],
        "eigenvalue_real_before": [1.0, 3.0], "eigenvalue_imag_before": [2.0, 4.0], "spectral_radius_before": 5.0,
        "eigenvalue_real_after": [5.0, 7.0], "eigenvalue_imag_after": [6.0, 8.0], "spectral_radius_after": 9.0,
    }  # fmt: skip


def test_recall_signs_and_heterogeneity_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = {
        "successive_recall.recall": SimpleNamespace(cued=numbers(2, 2), confused=numbers(2, 2, first=10.0)),
        "kept_signs.signs": SimpleNamespace(flipped=0.25, excluded=np.array([0.1, 0.2])),
        "heterogeneity.measure_heterogeneity": SimpleNamespace(
            residual=np.array([1.0, np.nan, 3.0]), rank=4, n_neurons=9, n_bins=6, effective_rank=3.5
        ),
    }
    for name, result in fake.items():
        monkeypatch.setattr(f"hpcspike.measures.{name}", lambda trained, result=result, **asked: result)
    recalled = PROBES["recall"](NETWORKS, sections.RecallProbe())
    np.testing.assert_array_equal(recalled["recall_correlation"][1], numbers(2, 2))
    np.testing.assert_array_equal(recalled["recall_confusion"][1], numbers(2, 2, first=10.0))
    kept = PROBES["signs"](NETWORKS, sections.SignsProbe())
    assert (kept["sign_flips"][1], kept["excluded_share"][1].tolist()) == (0.25, [0.1, 0.2])
    ranks = PROBES["heterogeneity"](NETWORKS, sections.HeterogeneityProbe())
    assert {name: value for name, (_, value) in ranks.items()} == {
        "rank": 4, "full_rank": 6, "effective_rank": 3.5, "best_fit_residual": 2.0,
    }  # fmt: skip
