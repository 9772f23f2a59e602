"""Spikes and trials as Neurodata Without Borders (NWB): for its tools, for Neo, and as targets of another network."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.analysis.units import unit_coordinates
from hpcspike.errors import ResourceError
from hpcspike.exchange.spike_trains import Trial, recorded_span, trials
from hpcspike.files import whole
from hpcspike.hdf5_files import guarded
from hpcspike.takes_results import takes_results

if TYPE_CHECKING:
    import xarray as xr

PAUSE_MS = 1.0
"""Between trials, each simulated on its own: in the file they follow each other, and no spike lies in two of them."""

_TRIAL_COLUMNS = {
    "window_time": "end of the cue and begin of the trained window (s)",
    "target_set": "target set that was cued",
    "test_trial": "number of the test trial of this target set",
}


@takes_results
def write_nwb(trained: xr.Dataset, path: str | Path) -> None:
    """Write the spikes of a trained network to an NWB file.

    Parameters
    ----------
    trained
        Dataset of one trained network.
    path
        File to write, ending in ``.nwb``; it is whole or, if writing fails, as it was before.

    Raises
    ------
    DataError
        If the Dataset holds no spikes.
    ResourceError
        If pynwb is not installed, or the file cannot be written.

    Notes
    -----
    A row of ``units`` per neuron: ``spike_times`` in s, ``obs_intervals`` (all trials as one interval, since Neo reads
    no more than one), ``correlation`` with its target and, of recorded targets, ``unit_name`` and what else the
    recording says of the unit that the neuron follows. A row of ``trials`` per target set and test trial:
    ``start_time`` (the cue), ``window_time`` (0 of the Dataset), ``stop_time``, all in s, ``target_set`` and
    ``test_trial``. The identifier is the hash of the experiment, which stands in ``notes`` as JSON. As targets of
    another experiment: ``targets: {kind: recorded, path: FILE, align: window_time, window_ms: [0, T]}``.
    """
    import h5py

    try:
        import pynwb
    except ModuleNotFoundError:
        raise ResourceError("NWB files need pynwb; install it with: pip install 'hpcspike[nwb]'") from None
    recorded = list(trials(trained))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about name spaces and deprecated types: nothing that a user can act on
        file = pynwb.NWBFile(
            session_description="Test trials of a simulated spiking network after training.",
            identifier=str(trained.attrs.get("experiment_hash", "unknown")),
            session_start_time=datetime.now(UTC),
            experiment_description=f"hpcspike experiment {trained.attrs.get('name', '')}".strip(),
            notes=str(trained.attrs.get("experiment", "")),
        )
        _add(file, trained, recorded)
        with whole(Path(path)) as unfinished, guarded(unfinished) as guard:
            with h5py.File(guard, "w") as opened, pynwb.NWBHDF5IO(file=opened, mode="w") as stream:
                stream.write(file)


def _add(file: Any, trained: xr.Dataset, recorded: list[Trial]) -> None:
    begin, end = recorded_span(trained)
    starts = np.arange(len(recorded)) * (end - begin + PAUSE_MS) / 1000.0
    zeros = starts - begin / 1000.0
    for name, words in _TRIAL_COLUMNS.items():
        file.add_trial_column(name, words)
    for one, start, zero in zip(recorded, starts.tolist(), zeros.tolist(), strict=True):
        file.add_trial(
            start_time=start, stop_time=zero + end / 1000.0, window_time=zero,
            target_set=one.target_set, test_trial=one.trial,
        )  # fmt: skip
    observed = [[0.0, zeros[-1] + end / 1000.0]]
    file.add_unit_column("correlation", "Pearson correlation of response and target, mean over trials and target sets")
    units = _columns(unit_coordinates(trained))
    for name, array in units.items():
        file.add_unit_column(name, str(array.attrs["long_name"]))
    correlation = _correlation(trained)
    for neuron, score in enumerate(correlation):
        times = [zero + one.times[neuron] / 1000.0 for one, zero in zip(recorded, zeros, strict=True)]
        said = {name: array.values[neuron].item() for name, array in units.items()}
        file.add_unit(id=neuron, spike_times=np.concatenate(times), obs_intervals=observed, correlation=score, **said)


def _correlation(trained: xr.Dataset) -> list[float]:
    """Of every neuron, NaN where the target is read out of the network."""
    if "output" in trained["neuron_correlation"].dims:
        return [float("nan")] * trained.sizes["neuron"]
    found: list[float] = trained["neuron_correlation"].mean("target_set").values.tolist()
    return found


def _columns(units: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """What is said of units, by names of columns that NWB does not use itself."""
    from pynwb.misc import Units

    own = {"correlation", *(column["name"] for column in Units.__columns__)}
    return {f"unit_{name}" if name in own else name: array for name, array in units.items()}
