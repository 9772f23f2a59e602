"""Arguments of the Python surface: what is wrong is refused by name, and never taken in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpcspike
from hpcspike import checks, exchange, figures, measures
from hpcspike.engine.trained import Trained
from hpcspike.errors import DataError, HpcspikeError, SpecError
from hpcspike.spec.experiment import Training
from tests.small_networks import arrays, problem

MATRIX = np.ones((2, 3))
WRONG: dict[str, Any] = {"text": "x", "NaN": float("nan"), "list": [], "mapping": {}, "matrix": MATRIX, "none": None}


@pytest.fixture(scope="module")
def trained() -> Trained:
    return hpcspike.train(problem(12, n_sets=2), Training(n_loops=1))


@pytest.mark.parametrize("value", [-1, 2, 0.0, True, np.True_, "1", [0], np.zeros(1), None, float("nan")])
def test_a_number_of_a_target_set_is_a_whole_number_in_range(trained: Trained, value: Any) -> None:
    with pytest.raises(SpecError, match=r"^stimulus = .*: must be a whole number, 0 to 1 \(number of a target set"):
        trained.evoke(value)


def test_whole_numbers_of_numpy_are_taken(trained: Trained) -> None:
    np.testing.assert_array_equal(trained.evoke(np.int32(1), np.int64(1)).drive, trained.evoke(1, 1).drive)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials = 0: must be a whole number of at least 1"),
        ({"first_trial": -1}, "first_trial = -1: must be a whole number of at least 0"),
        ({"beyond_ms": -1.0}, "beyond_ms = -1.0: must be a finite number in ms, at least 0"),
        ({"beyond_ms": 0.5}, "beyond_ms = 0.5 ms: must be a multiple of the grid of 1 ms"),
        ({"beyond_ms": "1"}, "beyond_ms = '1': must be a finite number in ms"),
    ],
)
def test_what_a_cue_cannot_evoke_is_refused(trained: Trained, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        trained.evoke(**options)


ARGUMENTS = {
    "clamped_split": ("target_set", "trials"),
    "delete_spike": (
        "stimulus", "repeats", "first_trial", "delay_ms", "counted_from", "beyond_ms", "neuron", "formula",
    ),
    "eigenvalues": ("divisor",),
    "evaluate": ("measures", "tau_corr_ms"),
    "measure_heterogeneity": (
        "target_set", "bin_ms", "bin_fraction", "tau_corr_ms", "transfer", "smoothing", "tolerance",
    ),
    "measure_lesions": ("fractions", "draws", "trials", "target_set", "removed", "bin_ms"),
    "measure_performance": ("target_set", "trials", "bin_ms"),
    "predict_quasi_static": ("stimulus", "trials", "drive", "transfer", "smoothing", "bin_ms"),
    "recall": ("trials",),
    "record_trial": ("stimulus", "trial", "beyond_ms"),
    "signs": (),
    "taught_correlation": ("target_set", "trials"),
}  # fmt: skip
OPTIONAL = {"neuron", "bin_ms", "tau_corr_ms", "smoothing", "measures"}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_measures_refuse_wrong_arguments_by_name(trained: Trained, name: str) -> None:
    function = getattr(measures, name)
    for wrong in (None, "x", 3, {}, trained.problem):
        with pytest.raises(TypeError, match=r"^trained is .*, but must be a Trained: give what hpcspike.train returns"):
            function(wrong)
    for argument in ARGUMENTS[name]:
        for kind, value in WRONG.items():
            if (kind == "none" and argument in OPTIONAL) or (
                kind == "NaN" and (name, argument) == ("evaluate", "tau_corr_ms")
            ):
                continue
            with pytest.raises((HpcspikeError, TypeError), match=rf"^(the )?{argument}\b"):
                function(trained, **{argument: value})


@pytest.mark.parametrize(
    "argument", ["weights", "targets", "stimuli", "phase", "plastic", "filtered", "noise", "fixed"]
)
def test_arrays_that_are_none_are_refused_by_name(argument: str) -> None:
    for kind, value in WRONG.items():
        if kind == "none" and argument in ("plastic", "filtered", "noise", "fixed"):
            continue
        with pytest.raises(DataError, match=argument):
            hpcspike.Problem(**{**arrays(12), argument: value})


@pytest.mark.parametrize("argument", ["neuron", "synapse", "protocol", "training"])
def test_sections_of_another_kind_are_refused_by_name(argument: str) -> None:
    for value in ({}, "x", 3, hpcspike.Training() if argument != "training" else hpcspike.load):
        with pytest.raises(TypeError, match=f"^{argument} is .*, but must be a"):
            hpcspike.Problem(**arrays(5), **{argument: value})


def test_weights_given_as_a_mask_are_refused() -> None:
    with pytest.raises(DataError, match="plastic must be a mask of True and False"):
        hpcspike.Problem(**{**arrays(5), "plastic": np.full((5, 5), 0.5)})


@pytest.mark.parametrize("neurons", [[12], [-1], ["x"], [0.5], 3, MATRIX])
def test_neurons_that_are_not_there_are_refused(trained: Trained, neurons: Any) -> None:
    with pytest.raises(SpecError, match="^neurons = .*: must be a list of numbers of neurons, 0 to 11"):
        measures.without_neurons(trained, neurons)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"training": {"n_loops": 2}}, "training is .*, but must be a Training"),
        ({"threads": 1.0}, "threads = 1.0: must be a whole number of at least 1"),
        ({"diverged_drive": 0.0}, "diverged_drive = 0.0: must be a finite number, above 0"),
        ({"on_loop": "x"}, "on_loop = 'x': must be a function"),
        ({"world": 4}, "world is 4, but must be a World"),
    ],
)
def test_training_refuses_wrong_arguments_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises((SpecError, TypeError), match=message):
        hpcspike.train(problem(5), **options)


@pytest.mark.parametrize("value", [None, 3, [], {}])
def test_paths_are_paths(value: Any) -> None:
    for function in (hpcspike.load, hpcspike.open_network, hpcspike.open_sweep, hpcspike.retrain):
        with pytest.raises(TypeError, match=r"(path|store) = .*: must be a path, as text or pathlib.Path"):
            function(value)
    assert checks.path("path", "a/b") == Path("a/b")


def test_results_of_another_kind_are_refused_by_every_figure_analysis_and_export(trained: Trained) -> None:
    import xarray as xr

    from hpcspike import analysis

    takers: dict[str, Any] = {name: getattr(figures, name) for name in figures.__all__}
    takers |= {name: getattr(analysis, name) for name in analysis.__all__ if name not in ("fit_law", "paper_law")}
    takers |= {"weights_csr": exchange.weights_csr, "weight_matrix": exchange.weight_matrix}
    takers["compare"] = lambda results: analysis.compare(results, results)
    takers["map_of"] = lambda results: figures.map_of(results, "correlation", x="tau_syn_ms", y="tau_corr_ms")
    for name, taker in takers.items():
        for wrong in (None, "results/fig6.zarr", 3, [], trained, xr.Dataset({"x": ("time", [1.0])})):
            with pytest.raises(DataError) as caught:
                taker(wrong)
            if not isinstance(wrong, xr.Dataset):
                assert "must be the " in str(caught.value), name
    for law in (analysis.fit_law, analysis.paper_law):
        with pytest.raises(TypeError, match=r"crossing is 3, but must be a Crossing"):
            law(3)  # type: ignore[operator]
