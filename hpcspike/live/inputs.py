"""Stimuli and clamps of a user's own, on the steps of a test trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from hpcspike.checks import shown
from hpcspike.errors import DataError, SpecError
from hpcspike.model.problem import Problem


class Span(NamedTuple):
    """Steps of the cue and of the recorded time after it, the length of a step in ms, and the number of neurons."""

    cue: int
    after: int
    step_ms: float
    n_neurons: int

    @classmethod
    def of(cls, problem: Problem, n_samples: int) -> Span:
        """Of a trial that records so many samples."""
        after = n_samples * problem.steps_per_sample
        return cls(problem.stimulus_steps, after, problem.neuron.step_ms, problem.n_rows)

    @property
    def steps(self) -> int:
        """Steps from the start of the cue on."""
        return self.cue + self.after

    @property
    def words(self) -> str:
        """What may be given, for messages."""
        return (
            f"must be one number per neuron ({self.n_neurons},), or (time, neuron) with rows that evenly divide the "
            f"{self.steps * self.step_ms:g} ms of cue and window, or a DataArray with these dimensions and its time in "
            "ms from the end of the cue"
        )


def stimulus_on_steps(stimulus: Any, span: Span) -> tuple[np.ndarray, np.ndarray | None]:
    """A user's stimulus as input during the cue (n,), and as further input of every step (steps, n) or None.

    Parameters
    ----------
    stimulus
        (n,) or a number: external input during the cue, in place of that of the target set. (time, n): external input
        over cue and window beside the constant one, no cue; rows are held over equal parts. A DataArray with the
        dimensions ``time`` and ``neuron`` has its own times (ms from the end of the cue): a row holds from its time to
        the next, and there is no input before the first.

    Raises
    ------
    DataError
        If it is something else, or not finite.
    """
    if isinstance(stimulus, xr.DataArray) and "time" in stimulus.dims:
        return np.zeros(span.n_neurons), _timed(stimulus, span)
    values = _finite("stimulus", stimulus, span)
    if values.ndim == 0:
        return np.full(span.n_neurons, float(values)), None
    if values.shape == (span.n_neurons,):
        return values, None
    if values.ndim != 2 or values.shape[1] != span.n_neurons or span.steps % max(len(values), 1):
        raise DataError(f"stimulus has shape {values.shape}: {span.words}")
    return np.zeros(span.n_neurons), np.repeat(values, span.steps // len(values), axis=0)


def _timed(stimulus: xr.DataArray, span: Span) -> np.ndarray:
    if set(stimulus.dims) != {"time", "neuron"} or stimulus.sizes["neuron"] != span.n_neurons:
        sizes = ", ".join(f"{name} {size}" for name, size in stimulus.sizes.items())
        raise DataError(f"stimulus has the dimensions {sizes}: must be time and neuron, {span.n_neurons} of the latter")
    if "time" not in stimulus.coords:
        raise DataError("stimulus has no coordinate 'time': give its times in ms from the end of the cue")
    begins = np.asarray(stimulus["time"].values, dtype=np.float64)
    if not np.isfinite(begins).all() or (np.diff(begins) <= 0).any():
        raise DataError("stimulus: its times must be finite and increasing, in ms from the end of the cue")
    rows = _finite("stimulus", stimulus.transpose("time", "neuron").values, span)
    at = span.step_ms * (np.arange(span.steps) - span.cue)
    row = np.searchsorted(begins, at + 1e-9 * span.step_ms, side="right") - 1
    return np.where((row >= 0)[:, None], rows[np.maximum(row, 0)], 0.0)


def clamp_on_steps(
    clamp: Mapping[Any, Any], neurons_of: Any, span: Span, targets: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Drives that neurons are held at: (steps, n), NaN where they have their own, and who is held, ascending.

    Parameters
    ----------
    clamp
        Selection of neurons -> drive: a number, held from the start of the cue on; (time,), rows over equal parts of
        the recorded time after the cue; or ``"target"``, the target of each neuron.
    neurons_of
        Selection -> numbers of neurons.
    targets
        (n, window steps) targets on the steps of the window, None where targets are no drives.

    Raises
    ------
    SpecError, DataError
        If it is no such mapping, or a drive does not fit.
    """
    if not isinstance(clamp, Mapping) or not clamp:
        raise SpecError(
            f"clamp = {shown(clamp)}: must map neurons to drives, as {{17: 0.5}} or {{'recorded': 'target'}}"
        )
    held = np.full((span.steps, span.n_neurons), np.nan)
    who: list[int] = []
    for selection, drive in clamp.items():
        neurons = neurons_of(selection)
        who += neurons.tolist()
        if isinstance(drive, str):
            if drive != "target" or targets is None:
                rule = "'target' needs a network that is trained on drives" if drive == "target" else "or 'target'"
                raise SpecError(f"clamp = {shown(drive)}: must be a number or (time,) numbers, {rule}")
            held[span.cue : span.cue + targets.shape[1], neurons] = targets[neurons].T
            continue
        values = _finite("clamp", drive, span)
        if values.ndim == 0:
            held[:, neurons] = float(values)
        elif values.ndim == 1 and len(values) and span.after % len(values) == 0:
            held[span.cue :, neurons] = np.repeat(values, span.after // len(values))[:, None]
        else:
            raise DataError(
                f"clamp has shape {values.shape}: must be a number, or (time,) with rows that evenly divide the "
                f"{span.after * span.step_ms:g} ms after the cue"
            )
    return held, np.unique(who)


def _finite(name: str, values: Any, span: Span) -> np.ndarray:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} = {shown(values)}: {span.words}") from None
    if not np.isfinite(found).all():
        raise DataError(f"{name} holds NaN or infinite values: every entry must be a finite number")
    return found
