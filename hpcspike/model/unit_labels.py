"""Who the neurons of a network are: names and other data of the recorded units, as coordinates along ``neuron``."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import replace
from typing import Any

import numpy as np

from hpcspike.model.recordings import Recording
from hpcspike.variables import ABOUT_UNITS, POINT_RESULTS, STUDY, TESTED_RESULTS, TRAINED, Variable

Labels = dict[str, tuple[Variable, np.ndarray]]


def unit_labels(recording: Recording, n_neurons: int, neurons: np.ndarray | None = None) -> Labels:
    """Coordinates along ``neuron``: ``unit_name``, and all else that the file says of its units.

    Parameters
    ----------
    recording
        The units that some neurons follow.
    n_neurons
        Number of neurons N.
    neurons
        (n_units,) the neuron that follows each unit; default: the first ones, in order.

    Returns
    -------
    dict
        Name -> its entry of a registry and (N,) values; of neurons without a unit '' or NaN. ``unit_id`` is the ``id``
        of the file; other names are those of the file, after ``unit_`` where a result has that name.
    """
    who = np.arange(len(recording.unit_ids)) if neurons is None else neurons
    labels: Labels = {"unit_name": (TRAINED["unit_name"], _placed(recording.unit_ids, who, n_neurons))}
    for name, values in recording.attributes.items():
        column = _placed(values, who, n_neurons)
        dtype, units = ("str", "1") if column.dtype.kind == "U" else ("float64", "")
        meaning = f"{name} of the recorded unit, as its file has it"
        labels[_coordinate(name, labels)] = Variable(("neuron",), dtype, units, meaning, extra=ABOUT_UNITS), column
    return labels


def recording_time(recording: Recording, window_times_ms: np.ndarray) -> tuple[Variable, np.ndarray]:
    """The recording's own time axis at times (samples,) of the window, in ms, and what counts as 0 on it if known."""
    known = {} if recording.alignment is None else {"alignment": recording.alignment}
    variable = replace(TRAINED["recording_time"], extra=known)
    return variable, recording.begin_ms + window_times_ms


def _placed(values: Any, neurons: np.ndarray, n_neurons: int) -> np.ndarray:
    """Numbers as float64 and all else as text, with NaN or '' for the other neurons."""
    known = np.asarray(values)
    if known.dtype.kind in "iuf":
        column = np.full(n_neurons, np.nan)
        column[neurons] = known
        return column
    texts = np.full(n_neurons, "", dtype=object)
    texts[neurons] = [one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in known.tolist()]
    return texts.astype(np.str_)


def _coordinate(name: str, taken: Container[str]) -> str:
    """A name that no other variable has, without what file formats forbid in names."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "attribute"
    results = {"id", "name", *TRAINED, *POINT_RESULTS, *TESTED_RESULTS, *STUDY}
    found = f"unit_{plain}" if plain in results or plain[0].isdigit() else plain
    while found in taken:
        found += "_"
    return found
