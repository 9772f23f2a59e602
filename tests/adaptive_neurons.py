"""Neuron models as a user writes them: adaptive exponential integrate-and-fire, and models with mistakes in them."""

from __future__ import annotations

import math

import numba
import numpy as np

from hpcspike.neurons import NeuronModel


def adaptive_exponential(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    """tau dv/dt = -v + sharp exp((v - 1) / sharp) + I + u - w, tau_w dw/dt = -w; w grows by jump at a spike."""
    tau, tau_w, sharp, jump = parameters
    v, w = state
    slope = -v + sharp * math.exp(min((v - 1.0) / sharp, 20.0)) + external + drive - w
    state[0] = v + step_ms / tau * slope
    state[1] = w - step_ms / tau_w * w
    if state[0] > 2.0:
        state[0] = 0.0
        state[1] += jump
        return True
    return False


def at_rest(phase, parameters):  # type: ignore[no-untyped-def]
    """v uniform on [0, 1), no adaptation yet."""
    return np.stack([phase / (2 * np.pi), np.zeros(len(phase))])


DEFAULTS = {"tau": 10.0, "tau_w": 80.0, "sharp": 0.2, "jump": lambda neurons: 0.05 * (neurons % 3)}
adaptive = NeuronModel(step=adaptive_exponential, parameters=DEFAULTS, initial_state=at_rest)
compiled = NeuronModel(step=numba.njit(adaptive_exponential), parameters=DEFAULTS, initial_state=at_rest)

no_model = 3
too_few = NeuronModel(step=lambda state, drive: False, parameters={}, initial_state=at_rest)
no_function = NeuronModel(step=3.0, parameters={}, initial_state=at_rest)  # type: ignore[arg-type]


def _objects(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    return {"spiked": open("file")}


def _no_answer(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    state[0] += drive


def _importing(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    import json

    return json.dumps(state) == "x"


def _misread(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    return state[0] > parameters["gain"]


@numba.njit("boolean(float64, float64, float64, float64, float64)")  # type: ignore[untyped-decorator]
def _typed(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    return state > drive


importing = NeuronModel(step=_importing, parameters={}, initial_state=at_rest)
misread = NeuronModel(step=_misread, parameters={}, initial_state=at_rest)
typed = NeuronModel(step=_typed, parameters={}, initial_state=at_rest)
uncompilable = NeuronModel(step=_objects, parameters={}, initial_state=at_rest)
speechless = NeuronModel(step=_no_answer, parameters={}, initial_state=at_rest)
shapeless = NeuronModel(step=adaptive_exponential, parameters=DEFAULTS, initial_state=lambda phase, p: phase)


def _mute(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    return False


def _clock(state, parameters, drive, external, step_ms):  # type: ignore[no-untyped-def]
    state[0] += 0.05 * step_ms
    if state[0] > 1.0:
        state[0] = 0.0
        return True
    return False


mute = NeuronModel(step=_mute, parameters={}, initial_state=at_rest)
clock = NeuronModel(step=_clock, parameters={}, initial_state=at_rest)
