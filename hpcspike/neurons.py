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
Every file that takes part, and the parameters' values, belong to the identity of the experiment (`identity`).
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpcspike import plugins
from hpcspike.errors import SpecError
from hpcspike.spec.neurons import Neuron, UserNeuron

ARGUMENTS = ("state", "parameters", "drive", "external", "step_ms")
"""What the step function of a model is called with, by position."""

KEY = "neuron.source"
"""The YAML key that names a model."""

Parameter = float | Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
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

    def values(self, given: Mapping[str, float], neurons: range, *, only: str | None = None) -> dict[str, np.ndarray]:
        """Parameters of ``neurons``, name -> (n,): the ``given`` ones, otherwise the defaults; or ``only`` one of them.

        Raises
        ------
        SpecError
            If a parameter is no number, or its function does not return one for each of these neurons.
        """
        numbers = np.arange(neurons.start, neurons.stop)
        found = {}
        for name, default in self.parameters.items():
            if only is not None and name != only:
                continue
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
    found = plugins.find(neuron.source, key=KEY)
    if not isinstance(found, NeuronModel):
        raise SpecError(
            f"neuron.source = {neuron.source}: {plugins.split(neuron.source)[1]} is a {type(found).__name__}, but must "
            "be a hpcspike.neurons.NeuronModel"
        )
    model = _checked(found, neuron.source)
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
        return neuron.facts.n_states
    model = find_model(neuron)
    return len(model.initial_state(np.zeros(1), model.values(neuron.parameters, range(1))))


def identity(neuron: UserNeuron, n_neurons: int | None) -> dict[str, Any]:
    """What takes the place of a user's model in the identity of an experiment, as plain data.

    Every file of the user's that takes part (see `hpcspike.plugins`), the values of all parameters as the neurons have
    them, and the numbers outside of it that a function of the model refers to.

    Parameters
    ----------
    neuron
        The section that names the model.
    n_neurons
        Size of the network; None where a recording decides it: then parameters that are functions count by their code.
    """
    document = neuron.model_dump(mode="json")
    given = tuple(sorted(neuron.parameters.items()))
    return {**document, **_identity(find_model(neuron), neuron.source, given, n_neurons)}


@functools.lru_cache(maxsize=1000)
def _identity(
    model: NeuronModel, source: str, parameters_given: tuple[tuple[str, float], ...], n_neurons: int | None
) -> dict[str, Any]:
    given = dict(parameters_given)
    functions: list[Any] = [model.step, model.initial_state, *(p for p in model.parameters.values() if callable(p))]
    files = plugins.files(source, key=KEY)
    own = files.get(plugins.OWN) or plugins.code_digest(*functions)
    imported = {name: digest for name, digest in files.items() if name != plugins.OWN}
    parameters: dict[str, Any] = {}
    for name, default in model.parameters.items():
        value = given.get(name, default)
        if not callable(value):
            parameters[name] = float(model.values(given, range(1), only=name)[name][0])
        elif n_neurons is None:
            parameters[name] = plugins.code_digest(value)
        else:
            parameters[name] = _digest(model.values(given, range(n_neurons), only=name)[name])
    constants = {name: number for function in functions for name, number in _constants(function)}
    return {
        "source": f"{own}:{plugins.split(source)[1]}",
        "parameters": parameters,
        **({"imports": imported} if imported else {}),
        **({"constants": dict(sorted(constants.items()))} if constants else {}),
    }


def _constants(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """Numbers and arrays from outside of a function that it refers to: the compiler takes them as they are."""
    plain = getattr(function, "py_func", function)
    if not inspect.isfunction(plain):
        return
    found = inspect.getclosurevars(plain)
    for name, value in {**found.globals, **found.nonlocals}.items():
        if isinstance(value, np.ndarray):
            yield name, _digest(value)
        elif isinstance(value, (bool, int, float, np.number, np.bool_)):
            yield name, np.asarray(value).item()


def _digest(values: np.ndarray) -> str:
    return f"sha256:{hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}"


@functools.lru_cache(maxsize=100)
def _checked(model: NeuronModel, source: str) -> NeuronModel:
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
    if not callable(model.initial_state):
        kind = type(model.initial_state).__name__
        raise SpecError(f"neuron.source = {source}: initial_state must be a function, not a {kind}")
    if not isinstance(model.parameters, Mapping):
        kind = type(model.parameters).__name__
        raise SpecError(f"neuron.source = {source}: parameters must map names to values, not be a {kind}")
    return model
