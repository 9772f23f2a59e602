"""The test trials of a trained network as a Python program for Brian2, with its arrays in an .npz file beside it.

What makes the spikes equal, and not only similar: Brian2 is told the order of a step as it is here (neurons move with
the drives of the step before, drives decay, spikes add w tau / tau_s), with the drives frozen within a step.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.engine.trained import Trained
from hpcspike.errors import StoreError
from hpcspike.exchange.brian2_template import BEGINS, FIRST_LINE, MODELS, SCRIPT, SYNAPSES
from hpcspike.exchange.sayable import SPIKES, refuse_single_precision, sayable_experiment
from hpcspike.exchange.synapse_groups import SynapseGroup, synapse_groups
from hpcspike.files import remove, whole
from hpcspike.runs.restore import trained_in
from hpcspike.takes_results import takes_results

if TYPE_CHECKING:
    import xarray as xr

    from hpcspike.spec.experiment import Experiment

PLACE = "the program for Brian2"
DRIVES = {"plastic": "u", "fixed": "u_fixed", "inhibitory": "u_inhibitory"}
"""What the program calls the drive of each group of synapses."""


@takes_results
def write_brian2(trained: xr.Dataset, path: str | Path) -> None:
    """Write a program that runs the stored test trials of a trained network in Brian2, and compares their spikes.

    Parameters
    ----------
    trained
        Dataset of one network of theta or LIF neurons that recursive least squares trained.
    path
        Program to write, ending in ``.py``; its arrays go into the ``.npz`` file of the same name. Both come to be, or
        none; a file that is there is replaced only if it was written by this function.

    Raises
    ------
    DataError
        If the network has something that the program does not say in Brian2 (named with key and value), or the Dataset
        lacks weights, spikes or the states that its test trials begin from.
    StoreError
        If a file of another origin is in the way.
    ResourceError
        If a file cannot be written.
    """
    script = Path(path)
    arrays = script.with_suffix(".npz")
    if script.suffix != ".py":
        raise StoreError(f"{script}: a program for Brian2 must end in .py")
    _refuse_foreign(script, arrays)
    experiment = sayable_experiment(trained, PLACE, models=MODELS)
    refuse_single_precision(experiment, PLACE)
    network = trained_in(trained, experiment)
    groups = synapse_groups(network)
    content = io.BytesIO()
    np.savez_compressed(content, **_arrays(trained, network, groups))
    text = _program(experiment, network, groups, hashlib.sha256(content.getvalue()).hexdigest())
    _write(script, text, arrays, content.getvalue())


def _refuse_foreign(script: Path, arrays: Path) -> None:
    if script.exists():
        begins = script.read_bytes()[: len(FIRST_LINE)] if script.is_file() else b""
        if begins != FIRST_LINE.encode():
            raise StoreError(f"{script} exists and is not such a program for Brian2; choose another path")
    elif arrays.exists():
        raise StoreError(f"{arrays} exists, where the arrays of {script} would go; choose another path")


def _arrays(trained: xr.Dataset, network: Trained, groups: list[SynapseGroup]) -> dict[str, Any]:
    problem = network.problem
    time, neuron, trial, target_set = (trained[name].values for name in SPIKES)
    return {
        "trial": trained["trial"].values,
        "initial_state": trained["initial_state"].values,
        "bias": problem.input,
        "cue": problem.stimuli,
        **{f"{group.name}_{name}": getattr(group, name) for group in groups for name in ("pre", "post", "weight")},
        "spike_step": np.rint(time / problem.neuron.step_ms).astype(np.int64) - 1,
        "spike_neuron": neuron,
        "spike_trial": trial,
        "spike_set": target_set,
    }


def _program(experiment: Experiment, network: Trained, groups: list[SynapseGroup], digest: str) -> str:
    problem, neuron = network.problem, network.problem.neuron
    constants: list[tuple[str, Any, str]] = []
    if neuron.model == "lif":
        constants += [
            ("step", neuron.step_ms / neuron.tau_ms, "dt / tau"),
            ("threshold", neuron.threshold, "a neuron spikes when v passes this"),
            ("v_reset", neuron.reset, "v after a spike"),
            ("refractory", float(neuron.refractory_steps), "steps in which v then stays there"),
            ("gain", neuron.drive_gain, "factor of the synaptic drive"),
        ]
    drives = [DRIVES[group.name] for group in groups]
    for group in groups:
        about = f"factor of {DRIVES[group.name]} in a step, tau_s = {group.tau_ms:g} ms"
        constants += [
            (f"decay_{group.name}", group.decay, about),
            (f"jump_{group.name}", group.jump, "tau / tau_s: a spike adds this times w"),
        ]
    drive = drives[0] if len(drives) == 1 else f"({' + '.join(drives)})"
    return SCRIPT.format(
        first_line=FIRST_LINE,
        name=experiment.name.replace("\\", "/").replace('"', "'"),  # it stands in a docstring
        digest=digest,
        n_neurons=problem.n_neurons,
        step_ms=neuron.step_ms,
        tau_ms=neuron.tau_ms,
        free=problem.test_free_run_steps,
        cue=problem.stimulus_steps,
        window=problem.n_samples * problem.steps_per_sample,
        constants="\n".join(f'    "{name}": {float(value)!r},  # {about}' for name, value, about in constants),
        declared="\n".join(f"    {name} : 1" for name in drives),
        begin=BEGINS[neuron.model],
        neurons=MODELS[neuron.model].format(drive=drive),
        decays="\n".join(f"    {DRIVES[group.name]} *= decay_{group.name}" for group in groups),
        synapses="".join(
            SYNAPSES.format(name=group.name, drive=DRIVES[group.name], late=group.late) for group in groups
        ),
        parts=", ".join(group.name for group in groups),
    )


def _write(script: Path, text: str, arrays: Path, content: bytes) -> None:
    """Both files, or none; of a pair that was there before, the program knows whether the arrays are its own."""
    new = not arrays.exists()
    try:
        with whole(script) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
            with whole(arrays) as unfinished_arrays:
                unfinished_arrays.write_bytes(content)
    except BaseException:
        if new:
            remove(arrays)
        raise
