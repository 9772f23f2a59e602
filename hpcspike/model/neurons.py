"""Neuron models: from their section of an experiment to the arrays of the step kernel."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.model.neuron_kernels import IZHIKEVICH, LIF, TANH, THETA, USER, advance_user
from hpcspike.neurons import find_model
from hpcspike.spec.experiment import IzhikevichNeuron, LifNeuron, Neuron, UserNeuron, n_steps

IZHIKEVICH_TYPES = {
    "RS": (0.02, 0.2, -65.0, 8.0),
    "IB": (0.02, 0.2, -55.0, 4.0),
    "CH": (0.02, 0.2, -50.0, 2.0),
    "FS": (0.1, 0.2, -65.0, 2.0),
    "LTS": (0.02, 0.25, -65.0, 2.0),
}
"""a, b, c, d of each type (Izhikevich 2003): regular spiking, intrinsically bursting, chattering, fast spiking,
low-threshold spiking."""

_CODES = {"theta": THETA, "lif": LIF, "izhikevich": IZHIKEVICH, "user": USER, "tanh": TANH}


def model_code(neuron: Neuron) -> int:
    """Number of the model in `hpcspike.model.neuron_kernels.advance`; users' and rate models bring their own steps."""
    return _CODES[neuron.model]


def step_size(neuron: Neuron) -> float:
    """Integration step in the unit of time of the model's equations: tau, or ms where they have no tau."""
    if isinstance(neuron, (IzhikevichNeuron, UserNeuron)):
        return neuron.step_ms
    return neuron.step_ms / neuron.tau_ms


def state_dtype(neuron: Neuron, weight_dtype: np.dtype) -> np.dtype:
    """Precision of the neurons' state and drives: float64, but for integrate-and-fire neurons that of the weights.

    Rounding v and u to float32 is far below the noise of a balanced network, and halves the memory that a step moves.
    """
    return np.dtype(weight_dtype) if isinstance(neuron, LifNeuron) else np.dtype(np.float64)


def parameters(neuron: Neuron, neurons: range) -> np.ndarray:
    """Parameters (p, n) of ``neurons``, or (p, 1) if all share them."""
    if isinstance(neuron, LifNeuron):
        refractory = float(n_steps(neuron.refractory_ms, neuron.step_ms))
        return np.array([neuron.threshold, neuron.reset, refractory, neuron.drive_gain])[:, None]
    if isinstance(neuron, IzhikevichNeuron):
        types = [neuron.cell_types[i % len(neuron.cell_types)] for i in neurons]
        table = np.array([(*IZHIKEVICH_TYPES[name], neuron.drive_gain) for name in types])
        return np.ascontiguousarray(table.reshape(-1, 5).T)
    if isinstance(neuron, UserNeuron):
        values = find_model(neuron).values(neuron.parameters, neurons)
        return np.array(list(values.values())).reshape(-1, len(neurons))
    return np.empty((0, 1))


def initial_state(neuron: Neuron, phase: np.ndarray, neurons: range) -> np.ndarray:
    """State (v, n) of ``neurons`` at ``phase`` (n,) in radians.

    Theta neurons start at theta = phase, wrapped to (-pi, pi]; integrate-and-fire neurons at the same fraction of the
    way from reset to threshold as phase is of a turn; Izhikevich neurons at that fraction of the way from -65 to
    -50 mV, with w = b v; rate units, whose state is r = tanh(x), at x from -1 to 1 likewise.
    """
    fraction = np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi)
    if isinstance(neuron, LifNeuron):
        return np.stack([neuron.reset + fraction * (neuron.threshold - neuron.reset), np.zeros(len(phase))])
    if isinstance(neuron, IzhikevichNeuron):
        v = -65.0 + 15.0 * fraction
        return np.stack([v, parameters(neuron, neurons)[1] * v])
    if isinstance(neuron, UserNeuron):
        return _user_state(neuron, 2.0 * np.pi * fraction, neurons)
    if neuron.model == "tanh":
        return np.tanh(2.0 * fraction - 1.0)[None, :]
    return (np.pi - np.mod(np.pi - phase, 2.0 * np.pi))[None, :].copy()


def _user_state(neuron: UserNeuron, phase: np.ndarray, neurons: range) -> np.ndarray:
    model = find_model(neuron)
    given = model.initial_state(phase, model.values(neuron.parameters, neurons))
    try:
        made = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecError(
            f"neuron.source = {neuron.source}: initial_state does not return one array of numbers, but must return "
            f"(state variables, {len(phase)}): for example np.stack of one array per variable"
        ) from None
    if made.ndim != 2 or made.shape[1] != len(phase):
        raise SpecError(
            f"neuron.source = {neuron.source}: initial_state returns shape {made.shape}, but must return "
            f"(state variables, {len(phase)})"
        )
    return np.ascontiguousarray(made)


def user_advance(neuron: UserNeuron) -> Any:
    """The compiled `hpcspike.model.neuron_kernels.advance` of a user's model."""
    return _compiled(find_model(neuron).step, neuron.source)


@functools.cache
def _compiled(step: Callable[..., Any], source: str) -> Any:
    from numba.core import types

    from hpcspike.accelerate import compiled_stranger, respecialised

    function = compiled_stranger(step)
    column, number = types.Array(types.float64, 1, "A"), types.float64
    try:
        function.compile((column, column, number, number, number))
    except Exception as error:  # numba has errors of several kinds for what it cannot compile
        raise SpecError(
            f"neuron.source = {source}: numba cannot compile the step function{_where_and_why(error)}; write it with "
            "numbers, math functions and the two arrays only"
        ) from None
    answer = function.overloads[(column, column, number, number, number)].signature.return_type
    if not isinstance(answer, (types.Boolean, types.Integer)):
        raise SpecError(f"neuron.source = {source}: the step function returns {answer}, but must return True or False")
    return respecialised(advance_user, step_one=function)


def _where_and_why(error: Exception) -> str:
    """Line and reason of what numba says, which is a page long; the two lie in different places for each kind."""
    lines = [line.strip().removeprefix(">>> ").rstrip(" .") for line in str(error).splitlines() if line.strip()]
    head = "Failed in nopython mode pipeline"
    reason, *more = [line for line in lines if not line.startswith(head)] or lines or [type(error).__name__]
    if reason.endswith(":") and more:
        reason = f"{reason} {more[0]}"
    if reason == "compilation disabled":
        reason = "it is compiled for other types already; leave the types out of numba.njit(...)"
    reason, _, place = reason.partition(". Raised from ")
    # "FILE (LINE)", here or in an attribute
    found = re.fullmatch(r"(.+) \((\d+)\)", place or str(getattr(error, "loc", "")))
    where = f" (line {found[2]} of {Path(found[1]).name})" if found else ""
    return f"{where}: {reason.strip(' .')}"
