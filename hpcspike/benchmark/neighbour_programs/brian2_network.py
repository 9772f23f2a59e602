"""The balanced network in Brian2: a C++ program of its own where there is a compiler, else Cython."""

from __future__ import annotations

import shutil
import tempfile

import brian2 as b2  # type: ignore[import-not-found]
import numpy as np
from turns import asked_for, take_turns  # type: ignore[import-not-found]

network = asked_for()
standalone = shutil.which("g++") is not None or shutil.which("clang++") is not None
folder = tempfile.TemporaryDirectory()
if standalone:
    b2.set_device("cpp_standalone", build_on_run=False, directory=folder.name)
else:
    b2.prefs.codegen.target = "cython"
b2.seed(network["seed"])
b2.defaultclock.dt = network["step_ms"] * b2.ms
n, half = network["n_neurons"], network["n_neurons"] // 2
neurons = b2.NeuronGroup(
    n,
    """dv/dt = (-v + u + bias) / tau : 1 (unless refractory)
    du/dt = -u / tau_syn : 1
    bias : 1""",
    threshold="v > 1", reset="v = 0", refractory=network["refractory_ms"] * b2.ms, method="exact",
    namespace={"tau": network["tau_ms"] * b2.ms, "tau_syn": network["tau_syn_ms"] * b2.ms},
)  # fmt: skip
rng = np.random.default_rng(network["seed"])
neurons.v = rng.uniform(0.0, 1.0, n)
neurons.bias = np.repeat([network["input_e"], network["input_i"]], [half, n - half])
k = network["in_degree"]
pre = np.concatenate([start + rng.integers(0, half, (n, k)) for start in (0, half)], axis=1)
post = np.repeat(np.arange(n), 2 * k)
synapses = b2.Synapses(neurons, neurons, "w : 1", on_pre="u_post += w", delay=network["step_ms"] * b2.ms)
synapses.connect(i=pre.ravel(), j=post)
scale = network["tau_ms"] / network["tau_syn_ms"]
by_pair = np.array([[network[f"weight_{to}{source}"] for source in "ei"] for to in "ei"]) * scale
synapses.w = by_pair[(post >= half).astype(int), (pre.ravel() >= half).astype(int)]
counter = b2.SpikeMonitor(neurons, record=False)
counter.active = False
everything = b2.Network(neurons, synapses, counter)
everything.run(network["warm_up_ms"] * b2.ms)
counter.active = True


def in_this_process() -> dict[str, float]:
    """The next stretch."""
    before = counter.num_spikes
    everything.run(network["duration_ms"] * b2.ms)
    return {"spikes": int(counter.num_spikes - before)}


def by_the_program() -> dict[str, float | None]:
    """The C++ program from its start; what it measures is the stretch after the warm-up."""
    b2.device.run(directory=folder.name, with_output=False, run_args=[])
    return {
        "spikes": int(counter.num_spikes), "wall_seconds": float(b2.device._last_run_time),
        "processor_seconds": None,
    }  # fmt: skip


if standalone:
    everything.run(network["duration_ms"] * b2.ms)
    b2.device.build(directory=folder.name, compile=True, run=False)
kind = "C++ program" if standalone else "Cython"
take_turns(f"{b2.__version__} ({kind})", n * 2 * k, by_the_program if standalone else in_this_process)
