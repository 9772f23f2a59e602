"""A trained network of LIF neurons as a graph of the Neuromorphic Intermediate Representation (NIR).

The neurons are one CubaLIF, the synapses one Linear in a loop with it, as a graph in the graph, which is how recurrent
layers are told. The unit of voltage is chosen so that a spike adds exactly w to the current of a step
(``r`` = tau / dt, ``w_in`` = tau_s / dt), as backends take a spike to be 1 for one step: some read ``r`` and ``w_in``,
some assume these values. Zero of the voltage is the reset.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hpcspike.checks import whole_number
from hpcspike.engine.simulation import decay_per_step
from hpcspike.engine.trained import Trained
from hpcspike.errors import ResourceError, SpecError
from hpcspike.exchange.sayable import refuse, sayable_experiment
from hpcspike.files import whole
from hpcspike.hdf5_files import guarded
from hpcspike.runs.restore import trained_in
from hpcspike.spec.neurons import LifNeuron
from hpcspike.spec.synapse import DELAYS
from hpcspike.takes_results import takes_results

if TYPE_CHECKING:
    import xarray as xr

PLACE = "a NIR file"
INPUTS = ("input", "leak")


class _Network(NamedTuple):
    """What a graph is made from: the network, volts per unit of v, and decay of the current in a step."""

    trained: Trained
    neuron: LifNeuron
    scale: float
    decay: float
    starts: np.ndarray


@takes_results
def write_nir(trained: xr.Dataset, path: str | Path, *, bias: str = "input") -> None:
    """Write a trained network to a NIR file.

    Parameters
    ----------
    trained
        Dataset of one network of LIF neurons that recursive least squares trained.
    path
        File to write, ending in ``.nir``; it is whole or, if writing fails, as it was before.
    bias
        How the constant external input of the neurons is said: ``input``, as part of what `nir_input` gives, which
        every backend can be fed (several know no ``v_leak``); or ``leak``, as ``v_leak`` of the neurons.

    Raises
    ------
    DataError
        If the network has something that a NIR file does not say (named with key and value): other neurons and
        learners, noise, feed-forward neurons, refractoriness, several decay times.
    SpecError
        If ``bias`` is another word.
    ResourceError
        If nir is not installed, or the file cannot be written.

    Notes
    -----
    Nodes: ``input``, ``rnn``, ``output``; in ``rnn`` ``lif`` (CubaLIF) and ``recurrent`` (Linear, weight (N, N), rows
    postsynaptic, that of `hpcspike.exchange.weights_csr` with ``fixed=True``). Times are in s. Metadata of ``lif``:
    ``dt`` (s), ``decay`` of the current in a step, ``voltage_unit`` and ``voltage_zero`` (v = voltage_unit x voltage +
    voltage_zero), ``initial_voltage`` (trials, N) of the stored test trials, ``constant_input`` (N,) and ``cue_input``
    (target sets, N) as currents of a step, ``steps`` of free run, cue and window.
    """
    try:
        import nir
    except ModuleNotFoundError:
        raise ResourceError("NIR files need nir; install it with: pip install 'hpcspike[nir]'") from None
    network = _network(trained, bias)
    graph = _graph(nir, network, bias)
    with whole(Path(path)) as unfinished, guarded(unfinished) as guard:
        nir.write(guard, graph)


@takes_results
def nir_input(trained: xr.Dataset, target_set: int = 0, *, bias: str = "input") -> np.ndarray:
    """What to feed into ``input`` of the network's NIR graph in a test trial, step by step.

    An external current I acts on our neurons at once, the input of a CubaLIF through its synapse: so it is fed
    x(t) = E(t) - decay E(t - 1) with E = I dt / tau in the unit of voltage of the file, and E = 0 before the trial.

    Parameters
    ----------
    trained
        Dataset of one network, as for `write_nir`.
    target_set
        Whose cue is given.
    bias
        As for `write_nir`; with ``leak`` only the cue is fed.

    Returns
    -------
    numpy.ndarray
        Shape (steps, N): free run, cue and trained window.

    Raises
    ------
    DataError, SpecError
        As for `write_nir`, and if there is no such target set.
    """
    network = _network(trained, bias)
    problem = network.trained.problem
    whole_number("target_set", target_set, least=0, most=problem.n_sets - 1)
    constant, cues, steps = _currents(network)
    current = np.repeat((constant if bias == "input" else np.zeros_like(constant))[None, :], sum(steps), axis=0)
    current[steps[0] : steps[0] + steps[1]] += cues[target_set]
    fed = current.copy()
    fed[1:] -= network.decay * current[:-1]
    return fed


def _network(trained: xr.Dataset, bias: str) -> _Network:
    """The network, if a NIR file can say it."""
    if bias not in INPUTS:
        raise SpecError(f"bias = {bias!r}: must be one of {', '.join(INPUTS)}")
    experiment = sayable_experiment(trained, PLACE, models=("lif",))
    network = trained_in(trained, experiment)
    neuron, synapse = network.problem.neuron, network.problem.synapse
    assert isinstance(neuron, LifNeuron)
    refuse(
        neuron.refractory_ms > 0, PLACE, f"neuron.refractory_ms = {neuron.refractory_ms:g} ms",
        "neurons without refractoriness (CubaLIF has none)",
    )  # fmt: skip
    for key in DELAYS:
        delay = getattr(synapse, key)
        late = delay is not None and delay > neuron.step_ms
        refuse(late, PLACE, f"synapse.{key} = {delay} ms", "synapses whose spikes act in the next step")
    has_fixed = len(network.problem.static.presynaptic) > 0
    for key in ("static_tau_syn_ms", "static_tau_inhibitory_ms"):
        own = getattr(synapse, key)
        refuse(
            has_fixed and own is not None and own != synapse.tau_syn_ms, PLACE, f"synapse.{key} = {own} ms",
            f"synapses of one decay time (synapse.tau_syn_ms = {synapse.tau_syn_ms:g} ms)",
        )  # fmt: skip
    scale = synapse.tau_syn_ms / (neuron.drive_gain * neuron.step_ms)
    starts = scale * (trained["initial_state"].isel(state_variable=0).values - neuron.reset)
    return _Network(network, neuron, scale, decay_per_step(neuron.step_ms, synapse.tau_syn_ms, synapse.decay), starts)


def _currents(network: _Network) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int]]:
    """Constant input (N,) and cues (sets, N) as currents of a step, in the file's unit; steps of a trial's parts."""
    problem = network.trained.problem
    factor = network.scale * network.neuron.step_ms / network.neuron.tau_ms
    steps = (problem.test_free_run_steps, problem.stimulus_steps, problem.n_samples * problem.steps_per_sample)
    return factor * (problem.input - network.neuron.reset), factor * problem.stimuli, steps


def _graph(nir: Any, network: _Network, bias: str) -> Any:
    problem = network.trained.problem
    neuron, n = network.neuron, problem.n_neurons
    constant, cues, steps = _currents(network)
    tau_s, tau_syn_s, dt = neuron.tau_ms / 1000.0, problem.synapse.tau_syn_ms / 1000.0, neuron.step_ms / 1000.0
    leak = network.scale * (problem.input - neuron.reset) if bias == "leak" else np.zeros(n)
    lif = nir.CubaLIF(
        tau_syn=np.full(n, tau_syn_s), tau_mem=np.full(n, tau_s), r=np.full(n, tau_s / dt), v_leak=leak,
        v_threshold=np.full(n, network.scale * (neuron.threshold - neuron.reset)), v_reset=np.zeros(n),
        w_in=np.full(n, tau_syn_s / dt),
        metadata={
            "dt": np.float64(dt), "decay": np.float64(network.decay), "voltage_unit": np.float64(1.0 / network.scale),
            "voltage_zero": np.float64(neuron.reset), "initial_voltage": network.starts, "bias": bias,
            "constant_input": constant, "cue_input": cues, "steps": np.array(steps),
        },
    )  # fmt: skip
    recurrent = nir.Linear(weight=network.trained.weights.toarray())
    loop = _between(nir, n, {"lif": lif, "recurrent": recurrent})
    loop_edges = [("input", "lif"), ("lif", "recurrent"), ("recurrent", "lif"), ("lif", "output")]
    rnn = nir.NIRGraph(loop, loop_edges)
    return nir.NIRGraph(_between(nir, n, {"rnn": rnn}), [("input", "rnn"), ("rnn", "output")])


def _between(nir: Any, n: int, nodes: dict[str, Any]) -> dict[str, Any]:
    """Nodes between an input and an output of n channels."""
    return {"input": nir.Input({"input": np.array([n])}), **nodes, "output": nir.Output({"output": np.array([n])})}
