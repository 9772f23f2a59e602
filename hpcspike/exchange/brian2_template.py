"""Text of the program that `hpcspike.exchange.brian2_script` writes: what is in braces is filled in."""

from __future__ import annotations

FIRST_LINE = '"""Test trials of a network that hpcspike trained, in Brian2: '
"""How such a program begins, by which it is known."""

SCRIPT = '''\
{first_line}{name}.

    python THIS_FILE            runs the trials and says how many spikes each has
    python THIS_FILE --check    says how many spikes equal the stored ones; exit code 1 if not all do

Needs Brian2 (2.9 with numpy below 2.4), and the .npz file of the same name beside it. Order within a step: neurons move
with the drives of the step before, drives decay, spikes add w tau / tau_s. Drives are constant within a step.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from brian2 import Network, NeuronGroup, SpikeMonitor, Synapses, defaultclock, ms, prefs, start_scope

ARRAYS = Path(__file__).with_suffix(".npz")
SHA256 = "{digest}"
N_NEURONS = {n_neurons}
STEP_MS = {step_ms!r}
FREE_RUN, CUE, WINDOW = {free}, {cue}, {window}  # steps of the parts of a trial
CONSTANTS = {{
    "tau": {tau_ms!r} * ms,
{constants}
}}

EQUATIONS = """
{declared}
    external : 1
"""
"""Drives of the synapses by their decay times, and external input: constant within a step."""


def build(arrays):
    """The network, its neurons and what records their spikes."""
    start_scope()
    prefs.codegen.target = "numpy"
    defaultclock.dt = STEP_MS * ms
{neurons}
    neurons.run_regularly(
        """
{decays}
        """,
        when="before_thresholds",
    )
{synapses}
    spikes = SpikeMonitor(neurons)
    network = Network(neurons, {parts}, spikes)
    network.store()
    return network, neurons, spikes


def run_trial(built, arrays, trial, target_set):
    """Spikes of one test trial from the cue on: steps from the end of the cue, and neurons."""
    network, neurons, spikes = built
    network.restore()
    {begin} = arrays["initial_state"][trial]
    for steps, applied in (
        (FREE_RUN, arrays["bias"]),
        (CUE, arrays["bias"] + arrays["cue"][target_set]),
        (WINDOW, arrays["bias"]),
    ):
        if steps:
            neurons.external = applied
            network.run(steps * STEP_MS * ms)
    step = np.rint(np.asarray(spikes.t / ms) / STEP_MS).astype(int) - FREE_RUN - CUE
    kept = step >= -CUE
    return step[kept], np.asarray(spikes.i)[kept]


def main():
    content = ARRAYS.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        sys.exit(f"{{ARRAYS}} is not the file that was written with this program: export the network again")
    with np.load(ARRAYS) as file:
        arrays = dict(file)
    built = build(arrays)
    n_equal = n_here = n_stored = 0
    for target_set in range(len(arrays["cue"])):
        for place, trial in enumerate(arrays["trial"]):
            step, neuron = run_trial(built, arrays, place, target_set)
            of_trial = (arrays["spike_trial"] == trial) & (arrays["spike_set"] == target_set)
            stored = set(zip(arrays["spike_step"][of_trial].tolist(), arrays["spike_neuron"][of_trial].tolist()))
            here = set(zip(step.tolist(), neuron.tolist()))
            n_equal, n_here, n_stored = n_equal + len(here & stored), n_here + len(here), n_stored + len(stored)
            rate = np.count_nonzero(step >= 0) / N_NEURONS / (WINDOW * STEP_MS / 1000)
            print(f"target set {{target_set}}, trial {{trial}}: {{len(here)}} spikes, {{rate:.2f}} Hz in the window")
    if "--check" in sys.argv[1:]:
        n_trials = len(arrays["cue"]) * len(arrays["trial"])
        print(f"{{n_equal}} of {{n_stored}} stored spikes equal, {{n_here}} in Brian2, over {{n_trials}} trials")
        sys.exit(0 if n_equal == n_here == n_stored else 1)


if __name__ == "__main__":
    main()
'''

MODELS = {
    "theta": """\
    neurons = NeuronGroup(
        N_NEURONS,
        "dtheta/dt = (1 - cos(theta) + ({drive} + external) * (1 + cos(theta))) / tau : 1" + EQUATIONS,
        method="rk4",
        threshold="theta > pi",
        reset="",  # all are wrapped at the end of a step
        namespace=CONSTANTS,
    )
    neurons.run_regularly("theta -= 2 * pi * ceil((theta - pi) / (2 * pi))", when="end")  # kept in (-pi, pi]\
""",
    "lif": '''\
    neurons = NeuronGroup(
        N_NEURONS,
        """
    v : 1
    left : 1
        """
        + EQUATIONS,
        threshold="v > threshold",
        reset="v = v_reset; left = refractory",
        namespace=CONSTANTS,
    )
    neurons.run_regularly(  # forward Euler of tau dv/dt = -v + I + gain u; left: refractory steps to go
        """
    v += int(left <= 0) * step * (external + gain * {drive} - v)
    left = clip(left - 1, 0, inf)
        """,
        when="groups",
    )\
''',
}
"""Neurons of each model, with {drive}, the sum of its drives."""

BEGINS = {"theta": "(neurons.theta,)", "lif": "neurons.v, neurons.left"}
"""What takes the rows of an initial state, by model."""

SYNAPSES = """
    {name} = Synapses(
        neurons, neurons, "w : 1", on_pre="{drive}_post += w * jump_{name}", namespace=CONSTANTS,
        delay={late} * STEP_MS * ms,  # beyond the step in which every spike arrives
    )
    {name}.connect(i=arrays["{name}_pre"], j=arrays["{name}_post"])
    {name}.w = arrays["{name}_weight"]
"""
