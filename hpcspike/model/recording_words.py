"""What was understood of a recording, in words: said before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcspike.model.recording_table import Trials, in_words, listed, plain
from hpcspike.model.recordings import Recording
from hpcspike.model.targets import duration_of, n_neurons_of
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.recorded import RecordedTargets

_MOST_VALUES = 6


def understood(experiment: Experiment, recording: Recording) -> list[str]:
    """Lines about the recording that an experiment trains.

    They name units x samples x ms, the rates and their range, conditions and trials (used, left out and why), the units
    kept of how many, and the window that is trained.

    Raises
    ------
    DataError
        If the recording is shorter than an update interval.
    """
    targets = experiment.targets
    assert isinstance(targets, RecordedTargets)
    lines = []
    if recording.further:
        order = "in turn" if experiment.protocol.set_order == "alternating" else "in random order, new in every round"
        names = recording.condition_names
        lines.append(f"{len(names)} conditions, each with its own cue, trained {order}: {listed(names)}")
    for one, source in zip(recording.conditions, targets.each_condition(), strict=True):
        said = [*_file(source, one), *_trials_of(one), _values(experiment, one)]
        if one.condition:
            said = [f"{one.condition}: {said[0]}", *(f"  {line}" for line in said[1:])]
        lines += said
    lines.insert(len(lines) if recording.further else len(lines) - 1, _kept(targets, recording))
    begin, length = recording.begin_ms, duration_of(experiment, recording)
    size = n_neurons_of(experiment, recording)
    auxiliary = size - len(recording.values)
    own = ", with targets of their own in every condition" if recording.further else ""
    beside = f", and {auxiliary} auxiliary neurons beside them{own}" if auxiliary else ""
    if experiment.training.subset is not None:
        beside = f", each by one neuron of {size}"
    lines.append(f"trained: {begin:g} to {begin + length:g} ms of {len(recording.values)} units{beside}")
    return lines


def _file(targets: RecordedTargets, recording: Recording) -> list[str]:
    assert recording.table is not None
    table, times = recording.table, recording.times_ms
    name = targets.path if targets.is_stand_in else Path(targets.path).name
    steps = np.diff(times)
    even = float(np.ptp(steps)) <= 1e-6 * float(steps.max())
    apart = f"every {steps.mean():.6g} ms" if even else f"{steps.min():g} to {steps.max():g} ms apart"
    return [
        f"{name} ({table.kind}): {len(table.values)} units x {times.size} samples, {times[0]:g} to {times[-1]:g} ms "
        f"({times[-1] - times[0]:g} ms, {apart})"
    ]


def _trials_of(recording: Recording) -> list[str]:
    table = recording.table
    assert table is not None
    words = _trials(table.trials, table.conditions, table.alignment)
    return [words] if words else []


def _trials(trials: Trials | None, conditions: str, alignment: str | None) -> str:
    parts = [] if not conditions else [conditions]
    if trials is not None:
        dropped = "; ".join(f"{number} {reason}" for reason, number in trials.dropped.items())
        parts.append(f"{trials.used} of {trials.of} trials" + (f" (left out: {dropped})" if dropped else ""))
    if alignment is not None:
        parts.append(f"0 ms is {alignment}")
    return ", ".join(parts)


def _kept(targets: RecordedTargets, recording: Recording) -> str:
    table = recording.table
    assert table is not None
    kept, read = len(recording.values), len(table.values)
    reasons = []
    if table.units_of is not None and table.units_of != read:
        reasons.append(f"{table.units_of - read} of other {in_words(targets.select_units)}")
    if recording.mean_rates_hz is not None and not targets.is_stand_in:
        over = " over all conditions" if recording.further else ""
        reasons.append(f"mean rate above {targets.min_rate_hz:g} Hz{over}")
    if targets.n_units is not None and kept < read:
        reasons.append(f"the first {targets.n_units}")
    of = read if table.units_of is None else table.units_of
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return f"kept: {kept} of {of} units{why}: {listed(recording.unit_ids)}"


def _values(experiment: Experiment, recording: Recording) -> str:
    if recording.mean_rates_hz is None:
        low, high, mean = recording.values.min(), recording.values.max(), recording.values.mean()
        return f"drives from {low:.3g} to {high:.3g}, mean {mean:.3g} (dimensionless)"
    per_hz = experiment.neuron.tau_ms / 1000.0
    means = recording.mean_rates_hz
    return (
        f"their rates: mean {means.mean():.3g} Hz ({means.min():.3g} to {means.max():.3g} Hz over units), "
        f"{recording.values.min() / per_hz:.3g} to {recording.values.max() / per_hz:.3g} Hz over time"
    )


def columns_in_words(columns: dict[str, NDArray[Any]]) -> list[str]:
    """Columns and what they hold: their values where there are few, else their range."""
    lines = []
    for name, column in columns.items():
        values = sorted({plain(value) for value in column if value == value}, key=lambda one: (str(type(one)), one))
        if len(values) > _MOST_VALUES and column.dtype.kind in "iuf":
            words = f"{values[0]:.6g} to {values[-1]:.6g}"
        else:
            words = listed(values, _MOST_VALUES)
        lines.append(f"{name} ({words or 'nothing'})")
    return lines
