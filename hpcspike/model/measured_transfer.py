"""The transfer function of a noisy neuron, measured: mean rate at constant drives, smooth, monotone, with its slope.

The curve depends on the neuron model, its parameters, its step and the noise of trials, on nothing else: not on a seed
(random numbers have a key of their own), nor on tau_s, for the synaptic filter keeps the mean of a spike train.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpcspike import files
from hpcspike.errors import SpecError
from hpcspike.kernel_cache import folder_of, generation, sources_digest
from hpcspike.model.neurons import initial_state, model_code, parameters, step_size, user_advance
from hpcspike.model.random_streams import uniform_by_neuron
from hpcspike.model.trial_noise import NoisePath
from hpcspike.neurons import identity as identity_of_model
from hpcspike.spec.experiment import Neuron, TrialNoise, UserNeuron, n_steps

logger = logging.getLogger(__name__)

COPIES = 64
"""Neurons that are simulated at every drive, each with phases and noise of its own, the same at all drives."""
WARM_UP_MS, COUNTED_MS = 200.0, 4000.0
FLOOR_HZ, TOP_HZ = 0.5, 200.0
"""Rates between which the curve is tabulated; about 130 spikes are counted at the lower one."""
LEVEL, RISE = 1.4, 1.2
"""Ratio of the rates of neighbouring knots, each of which is the mean over drives at most the second ratio apart."""
POINTS = 110
"""About so many drives are tried for one curve; for predictions of its cost."""

_LARGEST = 2.0**20
_SMALLEST = 2.0**-10
_ROUNDS = 14
_KEY = (0, 0)


class Curve(NamedTuple):
    """A tabulated transfer function: drives u, rates in spikes per tau and derivatives at them, (k,) each.

    tail: length in u over which the rate falls to 1/e below the first knot.
    """

    knots: np.ndarray
    rate: np.ndarray
    slope: np.ndarray
    tail: float


def curve_of(neuron: Neuron, noise: TrialNoise, index: int, external: float) -> Curve:
    """The curve of the neurons that have the parameters of neuron ``index``, from the cache or measured.

    Parameters
    ----------
    neuron, noise
        Sections of an experiment.
    index
        Number of a neuron.
    external
        Constant external input that the curve is measured at.

    Raises
    ------
    SpecError
        If the neuron never spikes, or its rate does not depend on the drive.
    """
    key = identity(neuron, noise, index, external)
    if key not in _known:
        found = _read(key)
        if found is None:
            found = measure(neuron, noise, index, external)
            _write(key, found)
        _known[key] = found
    return _known[key]


_known: dict[str, Curve] = {}


def is_known(neuron: Neuron, noise: TrialNoise, index: int, external: float) -> bool:
    """Whether the curve need not be measured."""
    key = identity(neuron, noise, index, external)
    return key in _known or _read(key) is not None


def identity(neuron: Neuron, noise: TrialNoise, index: int, external: float) -> str:
    """SHA-256 (hex) of everything that a curve depends on, the code and the kind of processor included."""
    section = neuron.model_dump(mode="json", exclude={"bias"})
    if isinstance(neuron, UserNeuron):
        section = identity_of_model(neuron, None)
    kind = noise.model_dump(mode="json", exclude={"phase"})
    column = parameters(neuron, range(index, index + 1))
    document = {
        "neuron": section, "parameters": column.tolist(), "external": external,
        "noise": kind if noise.standard_deviation > 0 else None, "step_ms": neuron.step_ms, "tau_ms": neuron.tau_ms,
        "code": _code(),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@functools.cache
def _code() -> list[str]:
    import llvmlite.binding
    import numba

    here = Path(__file__)
    target = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    return [sources_digest(here), generation(here.with_name("transfer_kernels.py")), str(target)]


# ---- measuring -------------------------------------------------------------------------------------------------------


def measure(neuron: Neuron, noise: TrialNoise, index: int, external: float) -> Curve:
    """Measure a curve; arguments and errors as `curve_of`."""
    rates = _rates(neuron, noise, index, external)
    drive, rate = _resolved(*_between(rates, neuron), rates, neuron)
    from scipy.interpolate import PchipInterpolator

    floor, level = _per_tau(FLOOR_HZ, neuron), np.log(LEVEL)
    audible = rate >= floor
    drive, rate = drive[audible], rate[audible]
    # one knot per level: plateaus of neighbours that differ by chance would have no slope
    number = np.floor(np.log(rate / floor) / level).astype(int)
    levels = np.unique(number)
    knots, height = (np.array([part[number == one].mean() for one in levels]) for part in (drive, rate))
    if len(knots) < 2:
        raise SpecError(
            f"training.transfer = measured: the rate of neuron {index} jumps from 0 to "
            f"{1000 * height[-1] / neuron.tau_ms:.3g} Hz at a drive of {knots[-1]:.6g} and has no slope; choose a "
            "neuron.model whose rate grows with its drive, or more trial_noise.standard_deviation"
        )
    slope = PchipInterpolator(knots, height)(knots, 1)
    near = min(2, len(knots) - 1)  # as it falls between the first knots it goes on falling
    tail = (knots[near] - knots[0]) / np.log(height[near] / height[0])
    slope[0] = height[0] / tail
    return Curve(knots, height, np.asarray(slope), float(tail))


def _per_tau(hz: float, neuron: Neuron) -> float:
    return hz * neuron.tau_ms / 1000.0


def _rates(neuron: Neuron, noise: TrialNoise, index: int, external: float) -> Callable[[list[float]], np.ndarray]:
    """A function from drives to mean rates in spikes per tau."""
    from hpcspike.accelerate import respecialised
    from hpcspike.model.transfer_kernels import count_spikes

    run = count_spikes
    if isinstance(neuron, UserNeuron):
        run = respecialised(count_spikes, advance=user_advance(neuron))
    one = range(index, index + 1)
    phases = uniform_by_neuron(*_KEY, "transfer_phase", range(COPIES), 0, 0.0, 2.0 * np.pi)
    start = np.concatenate([initial_state(neuron, phase, one) for phase in phases[:, None]], axis=1)
    column = parameters(neuron, one)
    warm, counted = (n_steps(ms, neuron.step_ms) for ms in (WARM_UP_MS, COUNTED_MS))
    shaking = np.zeros((warm + counted, COPIES))
    if noise.standard_deviation > 0:
        shaking = NoisePath(noise, neuron, range(COPIES), _KEY, "transfer_noise", 0).rows(0, warm + counted)
    shared = parameters(neuron, range(index, index + 2)).shape[1] == 1

    def rates(drives: list[float]) -> np.ndarray:
        size = len(drives) * COPIES
        state, drive = np.tile(start, len(drives)), np.repeat(np.array(drives), COPIES)
        columns = column if shared else np.ascontiguousarray(np.repeat(column, size, axis=1))
        counts = np.zeros(size, dtype=np.int64)
        for part in (shaking[:warm], shaking[warm:]):
            counts[:] = 0
            run(model_code(neuron), state, columns, drive, external, part, step_size(neuron), counts)
        return np.asarray(counts.reshape(len(drives), COPIES).mean(axis=1) / (counted * neuron.step_ms / neuron.tau_ms))

    return rates


def _between(rates: Callable[[list[float]], np.ndarray], neuron: Neuron) -> tuple[np.ndarray, np.ndarray]:
    """Drives from where the neuron is silent to where it fires at `TOP_HZ`, or no faster, and its rates there."""
    floor, top = _per_tau(FLOOR_HZ, neuron), _per_tau(TOP_HZ, neuron)
    found = {0.0: float(rates([0.0])[0])}
    rest, drive, stale = found[0.0], _SMALLEST, 0
    before = rest
    while before < top and drive <= _LARGEST and stale < 4:
        now = found[drive] = float(rates([drive])[0])
        stale = stale + 1 if now <= 1.01 * before and before > 1.5 * rest + floor else 0
        before, drive = now, 2.0 * drive
    if max(found.values()) < floor:
        raise SpecError(
            f"training.transfer = measured: neurons of neuron.model = {neuron.model} do not fire at any drive up to "
            f"{_LARGEST:g}; rates cannot be trained through it: look at the model's threshold and units"
        )
    drive = -_SMALLEST
    while min(found.values()) >= floor and drive >= -_LARGEST:
        found[drive] = float(rates([drive])[0])
        drive *= 2.0
    if max(found.values()) <= 1.01 * min(found.values()):
        raise SpecError(
            f"training.transfer = measured: neurons of neuron.model = {neuron.model} fire at "
            f"{1000 * rest / neuron.tau_ms:.3g} Hz whatever their drive from {-_LARGEST:g} to {_LARGEST:g}; rates "
            "cannot be trained through it"
        )
    drives = np.array(sorted(found))
    values = np.array([found[one] for one in drives])
    silent, fast = drives[values < floor], drives[values >= min(top, values.max())]
    low = silent.max() if len(silent) else drives[0]
    kept = (drives >= low) & (drives <= fast.min())
    return drives[kept], values[kept]


def _resolved(
    drive: np.ndarray, rate: np.ndarray, rates: Callable[[list[float]], np.ndarray], neuron: Neuron
) -> tuple[np.ndarray, np.ndarray]:
    """Drives halved where the rate grows by more than `RISE`, and rates that never fall."""
    from scipy.optimize import isotonic_regression

    floor, closest = _per_tau(FLOOR_HZ, neuron), 1e-7 * (drive[-1] - drive[0])
    for _ in range(_ROUNDS):
        height = np.maximum(isotonic_regression(rate).x, floor)
        wide = np.flatnonzero((height[1:] > RISE * height[:-1]) & (np.diff(drive) > closest))
        if not len(wide):
            break
        new = 0.5 * (drive[wide] + drive[wide + 1])
        drive, rate = np.append(drive, new), np.append(rate, rates(new.tolist()))
        order = np.argsort(drive)
        drive, rate = drive[order], rate[order]
    return drive, np.asarray(isotonic_regression(rate).x)


# ---- on disk ---------------------------------------------------------------------------------------------------------


def _path(key: str) -> Path | None:
    from hpcspike.model.transfer_kernels import count_spikes

    folder = folder_of(count_spikes)
    return None if folder is None else folder / f"transfer.{key[:32]}.json"


def _read(key: str) -> Curve | None:
    """What was measured before; None if it is not there or not whole, and it is measured anew."""
    path = _path(key)
    if path is None:
        return None
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        document: dict[str, Any] = json.loads(body)
        if document["identity"] != key:
            return None
        knots, rate, slope = (np.array(document[name], dtype=np.float64) for name in ("knots", "rate", "slope"))
        return Curve(knots, rate, slope, float(document["tail"]))
    except (OSError, ValueError, KeyError):
        return None


def _write(key: str, curve: Curve) -> None:
    path = _path(key)
    if path is None:
        return
    columns = {name: getattr(curve, name).tolist() for name in ("knots", "rate", "slope")}
    body = json.dumps({"identity": key, **columns, "tail": curve.tail}).encode()
    try:
        files.write_bytes(path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    except OSError as error:  # as of compiled kernels: it costs time, no number changes
        logger.info("measured transfer functions cannot be kept in %s (%s)", path.parent, error.strerror or error)
