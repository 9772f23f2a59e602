"""Neuron models: from their section of an experiment to the arrays of the step kernel."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.model.neuron_kernels import MODELS, advance_user
from hpcspike.model.neuron_models import MODELS as FILES
from hpcspike.model.own_values import values_of
from hpcspike.neurons import find_model
from hpcspike.spec.neurons import Neuron, UserNeuron


def model_code(neuron: Neuron) -> int:
    """Place of the model in `hpcspike.model.neuron_kernels.advance`; -1 of those that bring steps of their own."""
    return MODELS.index(neuron.model) if neuron.model in MODELS else -1


def step_size(neuron: Neuron) -> float:
    """Integration step in the unit of time of the model's equations: tau, or ms where they have no tau."""
    return neuron.step_ms if neuron.facts.unit_of_time == "ms" else neuron.step_ms / neuron.tau_ms


def faster(neuron: Neuron, neurons: range) -> np.ndarray | float:
    """The section's tau over that of each of ``neurons``, (n,); 1 where none has its own."""
    own = getattr(neuron, "by_neuron", None)
    if own is None or own.tau_ms is None:
        return 1.0
    return neuron.tau_ms / values_of(own.tau_ms, neuron.tau_ms, neurons)


def state_dtype(neuron: Neuron, weight_dtype: np.dtype) -> np.dtype:
    """Precision of the neurons' state and drives: float64, or that of the weights (`ModelFacts.state_as_weights`)."""
    return np.dtype(weight_dtype) if neuron.facts.state_as_weights else np.dtype(np.float64)


def parameters(neuron: Neuron, neurons: range) -> np.ndarray:
    """Parameters (p, n) of ``neurons``, or (p, 1) if all share them."""
    if isinstance(neuron, UserNeuron):
        values = find_model(neuron).values(neuron.parameters, neurons)
        return np.array(list(values.values())).reshape(-1, len(neurons))
    made: np.ndarray = FILES[neuron.model].parameters(neuron, neurons)
    return made


def initial_state(neuron: Neuron, phase: np.ndarray, neurons: range) -> np.ndarray:
    """State (v, n) of ``neurons`` at ``phase`` (n,) in radians, any turn; what it means is the model's own."""
    if isinstance(neuron, UserNeuron):
        return _user_state(neuron, 2.0 * np.pi * (np.mod(phase, 2.0 * np.pi) / (2.0 * np.pi)), neurons)
    made: np.ndarray = FILES[neuron.model].initial_state(neuron, phase, neurons)
    return made


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
