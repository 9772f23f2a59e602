"""How irregular and how variable the spikes of one trained network are, from its Dataset."""

from __future__ import annotations

import numpy as np
import xarray as xr

from hpcspike.analysis.neurons import experiment_of
from hpcspike.engine.simulation import Spikes
from hpcspike.errors import DataError
from hpcspike.measures.variability import fano_factor, irregularity, pair_correlations
from hpcspike.takes_results import takes_results
from hpcspike.variables import ANALYSIS, ANALYSIS_COORDINATES

_SPIKES = ("spike_time", "spike_neuron", "spike_trial", "spike_set")


@takes_results
def spike_statistics(
    trained: xr.Dataset, *, bin_ms: float = 50.0, n_neurons: int = 200, least_intervals: int = 5
) -> xr.Dataset:
    """CV and CV2 of intervals, Fano factor and correlations of pairs, of the test trials of one network.

    Parameters
    ----------
    trained
        Dataset of one network of spiking neurons.
    bin_ms
        Width of the bins of pair correlations (ms), a multiple of the step; what is left of the window after the last
        whole bin is not used for them.
    n_neurons
        Pairs are those of this many neurons at most, evenly spread over all.
    least_intervals
        Neurons with fewer intervals in all trials have no CV and no CV2.

    Returns
    -------
    Dataset
        ``cv_isi``, ``cv2_isi``, ``n_intervals``, ``fano_factor`` (counts of the whole window) and ``spike_rate``, each
        (target_set, neuron); ``pair_correlation_noise`` and ``pair_correlation_total`` (target_set, pair) with the
        coordinates ``pair_first`` and ``pair_second``. Fano factor and noise correlations are of repetitions: NaN with
        one trial, or where every trial has a target of its own. Elephant's definitions
        (`hpcspike.measures.irregularity` and its companions). All of the trained window, plasticity off.

    Raises
    ------
    DataError
        If the Dataset holds no spikes, or its window is shorter than a bin.
    SpecError
        If the bin is no multiple of the step.
    """
    spikes, step_ms, duration_ms = _of_dataset(trained)
    binned_ms = float(np.floor(duration_ms / bin_ms + 1e-9) * bin_ms)
    if binned_ms <= 0:
        raise DataError(f"bin_ms = {bin_ms:g} ms is longer than the window of {duration_ms:g} ms; choose a shorter one")
    n_all, trials = trained.sizes["neuron"], trained.sizes["trial"]
    chosen = np.unique(np.linspace(0, n_all - 1, min(n_neurons, n_all)).round().astype(int))
    first, second = np.triu_indices(len(chosen), 1)
    repeated = trials > 1 and "trial" not in trained.get("target", xr.DataArray(0)).dims
    window = {"step_ms": step_ms, "duration_ms": duration_ms}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in _PER_NEURON + _PER_PAIR}
    for of_set in spikes:
        found = irregularity(of_set, range(n_all), **window, least_intervals=least_intervals)
        columns["cv_isi"].append(found.cv)
        columns["cv2_isi"].append(found.cv2)
        columns["n_intervals"].append(found.n_intervals)
        count = sum(np.bincount(one.neuron[_inside(one, **window)], minlength=n_all) for one in of_set)
        columns["spike_rate"].append(np.asarray(count) * (1000.0 / (trials * duration_ms)))
        nothing = np.full(n_all, np.nan)
        columns["fano_factor"].append(fano_factor(of_set, range(n_all), **window)[:, 0] if repeated else nothing)
        few = [_of_neurons(one, chosen, n_all) for one in of_set]
        for kind in ("noise", "total"):
            pairs = np.full(len(first), np.nan)
            if repeated or kind == "total":
                matrix = pair_correlations(
                    few, range(len(chosen)), step_ms=step_ms, duration_ms=binned_ms, bin_ms=bin_ms, kind=kind
                )
                pairs = matrix[first, second]
            columns[f"pair_correlation_{kind}"].append(pairs)
    variables = {
        name: (("target_set", "neuron" if name in _PER_NEURON else "pair"), np.stack(parts), ANALYSIS[name].attrs)
        for name, parts in columns.items()
    }
    coordinates = {
        name: ("pair", trained["neuron"].values[chosen[which]], ANALYSIS_COORDINATES[name].attrs)
        for name, which in (("pair_first", first), ("pair_second", second))
    }
    kept = {name: array for name, array in trained.coords.items() if array.dims in (("neuron",), ("target_set",))}
    attrs = {"bin_ms": bin_ms, "window_ms": duration_ms, "n_trials": trials}
    return xr.Dataset(variables, coords={**kept, **coordinates}, attrs=attrs)


_PER_NEURON = ("cv_isi", "cv2_isi", "n_intervals", "fano_factor", "spike_rate")
_PER_PAIR = ("pair_correlation_noise", "pair_correlation_total")


def _of_dataset(trained: xr.Dataset) -> tuple[list[list[Spikes]], float, float]:
    """Spikes by target set and trial, with the step and the length of the window in ms."""
    neuron_section = experiment_of(trained).get("neuron", {})
    missing = [name for name in _SPIKES if name not in trained]
    if missing or neuron_section.get("model") == "tanh":
        why = f"it has no {missing[0]!r}" if missing else "units of neuron.model = tanh do not spike"
        raise DataError(f"this Dataset holds no spikes ({why}); give that of one network of spiking neurons")
    step_ms = float(neuron_section["step_ms"])
    time, neuron, trial, target_set = (trained[name].values for name in _SPIKES)
    # a spike is written at the end of its step
    step = np.rint(time / step_ms).astype(np.int32) - 1
    # trials may begin at another than the first, neurons may be a part of the network
    places = {int(number): place for place, number in enumerate(trained["neuron"].values)}
    place = np.array([places.get(int(number), -1) for number in neuron], dtype=np.int32)
    by_set = []
    for s in trained["target_set"].values if "target_set" in trained.coords else range(trained.sizes["target_set"]):
        here = (target_set == s) & (place >= 0)
        by_set.append([Spikes(step[here & (trial == k)], place[here & (trial == k)]) for k in trained["trial"].values])
    return by_set, step_ms, float(trained["time"].values[-1])


def _inside(spikes: Spikes, *, step_ms: float, duration_ms: float) -> np.ndarray:
    return (spikes.step >= 0) & (spikes.step < round(duration_ms / step_ms))


def _of_neurons(spikes: Spikes, chosen: np.ndarray, n_all: int) -> Spikes:
    """Spikes of the chosen neurons alone, by their places among them."""
    place = np.full(n_all, -1, dtype=np.int32)
    place[chosen] = np.arange(len(chosen))
    kept = place[spikes.neuron] >= 0
    return Spikes(spikes.step[kept], place[spikes.neuron[kept]])
