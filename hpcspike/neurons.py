"""Neuron models of your own.

A model is a function that moves one neuron by one step, in plain Python that numba can compile, with the names and
values of its parameters and the state that neurons start from::

    # my_neurons.py
    import numpy as np
    from hpcspike.neurons import NeuronModel

    def step(state, parameters, drive, external, step_ms):
        tau, threshold = parameters
        state[0] += step_ms / tau * (drive + external - state[0])
        if state[0] > threshold:
            state[0] = 0.0
            return True
        return False

    def start(phase, parameters):
        return np.stack([phase / (2 * np.pi) * parameters["threshold"]])

    leaky = NeuronModel(step=step, parameters={"tau": 10.0, "threshold": 1.0}, initial_state=start)

An experiment names it by where it is, which every process that runs the experiment can follow::

    neuron: {model: user, source: "my_neurons.py:leaky", parameters: {tau: 15.0}, step_ms: 0.5}

``source`` is either a file with a path from the YAML file, or a module that Python finds: ``package.module:leaky``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcspike.errors import SpecError
from hpcspike.spec.neurons import Neuron, UserNeuron

ARGUMENTS = ("state", "parameters", "drive", "external", "step_ms")
"""What the step function of a model is called with, by position."""

Parameter = float | Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class NeuronModel:
    """A neuron model.

    Attributes
    ----------
    step
        ``step(state, parameters, drive, external, step_ms)`` moves one neuron by ``step_ms`` and returns whether it
        spiked. state (v,): changed in place; parameters (p,): in the order below; drive, external: its synaptic drive
        u and external input I, frozen during the step. Everything is float64. It may be compiled by numba already.
    parameters
        Name -> default value, or a function of neuron numbers (n,) that returns one value for each.
    initial_state
        ``initial_state(phase, parameters)`` returns the state (v, n) of neurons from phases (n,), which are uniform on
        [0, 2 pi), and parameters, name -> (n,). A neuron's state must depend on its own phase and parameters only.
    """

    step: Callable[..., Any]
    parameters: Mapping[str, Parameter]
    initial_state: Callable[[np.ndarray, dict[str, np.ndarray]], np.ndarray]

    def values(self, given: Mapping[str, float], neurons: range) -> dict[str, np.ndarray]:
        """Parameters of ``neurons``, name -> (n,), with the ``given`` ones in place of the defaults.

        Raises
        ------
        SpecError
            If a parameter is no number, or its function does not return one for each of these neurons.
        """
        numbers = np.arange(neurons.start, neurons.stop)
        found = {}
        for name, default in self.parameters.items():
            value = given.get(name, default)
            made = value(numbers) if callable(value) else value
            try:
                found[name] = np.full(len(numbers), made, dtype=np.float64)
            except (TypeError, ValueError):
                raise SpecError(
                    f"parameter {name!r} of the neuron model is {made!r} for {len(numbers)} neurons, but must be a "
                    "number, or a function of neuron numbers that returns one for each"
                ) from None
        return found


def find_model(neuron: UserNeuron) -> NeuronModel:
    """The model that an experiment names.

    Raises
    ------
    SpecError
        If it is not there, is no `NeuronModel`, has a step function with other arguments, or lacks a given parameter.
    """
    model = _found(neuron.source)
    for name in neuron.parameters:
        if name not in model.parameters:
            raise SpecError(
                f"neuron.parameters.{name}: {neuron.source} has no such parameter; it has "
                f"{', '.join(model.parameters) or 'none'}"
            )
    return model


def n_states(neuron: Neuron) -> int:
    """Number of state variables of a neuron of any model, without the compiler that the models themselves need."""
    if not isinstance(neuron, UserNeuron):
        return {"theta": 1, "lif": 2, "izhikevich": 2, "tanh": 1}[neuron.model]
    model = find_model(neuron)
    return len(model.initial_state(np.zeros(1), model.values(neuron.parameters, range(1))))


@functools.cache
def source_digest(source: str) -> str:
    """SHA-256 (hex) of the file in which a model's step function is written; what that file imports does not count."""
    code = getattr(_found(source).step, "py_func", _found(source).step).__code__
    file = Path(code.co_filename)
    if file.is_file():
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return hashlib.sha256(code.co_code + repr((code.co_consts, code.co_names)).encode()).hexdigest()  # a notebook


@functools.cache
def _found(source: str) -> NeuronModel:
    place, _, name = source.rpartition(":")
    module = _module_of_file(Path(place), source) if place.endswith(".py") else _module(place, source)
    if not hasattr(module, name):
        raise SpecError(f"neuron.source = {source}: {place} has no {name!r}; give the name of a NeuronModel in it")
    model = getattr(module, name)
    if not isinstance(model, NeuronModel):
        raise SpecError(
            f"neuron.source = {source}: {name} is a {type(model).__name__}, but must be a hpcspike.neurons.NeuronModel"
        )
    function = getattr(model.step, "py_func", model.step)
    if not inspect.isfunction(function):
        raise SpecError(f"neuron.source = {source}: step must be a Python function, not a {type(function).__name__}")
    arguments = list(inspect.signature(function).parameters.values())
    if len(arguments) != len(ARGUMENTS) or any(a.kind is not a.POSITIONAL_OR_KEYWORD for a in arguments):
        shown = f"{function.__name__}({', '.join(map(str, arguments))})"
        raise SpecError(
            f"neuron.source = {source}: the step function is {shown}, but is called with ({', '.join(ARGUMENTS)}); "
            "give it these five arguments"
        )
    return model


def _module(name: str, source: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = f"no module {error.name!r}"
        hint = "install it or add its folder to PYTHONPATH, or give the file: path/from/the/yaml/file.py:name"
        raise SpecError(f"neuron.source = {source}: {missing} is found; {hint}") from None
    except Exception as error:  # whatever the user's module does when it is imported
        raise SpecError(f"neuron.source = {source}: importing {name} fails: {type(error).__name__}: {error}") from error


def _module_of_file(file: Path, source: str) -> Any:
    if not file.is_file():
        raise SpecError(f"neuron.source = {source}: no such file; paths start at the folder of the YAML file")
    place = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]  # two folders may have a file of that name
    spec = importlib.util.spec_from_file_location(f"hpcspike_user_{file.stem}_{place}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses in it, and pickle, look for it
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # as above
        del sys.modules[spec.name]
        raise SpecError(f"neuron.source = {source}: running {file} fails: {type(error).__name__}: {error}") from error
    return module
