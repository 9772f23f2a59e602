"""What a checkpoint is of: the experiment, or the arrays of a problem without one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.engine.communication import World
from hpcspike.errors import StoreError
from hpcspike.identity import flat
from hpcspike.neurons import identity
from hpcspike.spec.neurons import UserNeuron

if TYPE_CHECKING:
    from hpcspike.engine.trainer import Trainer


def identify(trainer: Trainer, experiment: dict[str, Any] | None) -> dict[str, Any]:
    """What names a training, as plain data: its experiment and wiring, or all arrays of a problem without one.

    experiment: the canonical form of an experiment; see `hpcspike.identity`. All ranks must ask together.
    """
    problem, world = trainer.problem, trainer.world
    rows = range(problem.n_rows)

    def of_rows(*compressed: tuple[np.ndarray, np.ndarray]) -> str:
        return _digest_rows(world, (b"".join(v[s[i] : s[i + 1]].tobytes() for s, v in compressed) for i in rows))

    def of(array: np.ndarray) -> str:
        return _digest_rows(world, (array[i].tobytes() for i in rows))

    plastic, static = problem.plastic, problem.static
    if experiment is not None:
        # only integers: the rest may differ in the last bit where another machine computes it
        wiring = of_rows((plastic.start, plastic.presynaptic), (static.start, static.presynaptic))
        return {**experiment, "arrays": {"wiring": wiring}}
    names = ("presynaptic", "weight")
    arrays = {
        "plastic": of_rows(*((plastic.start, getattr(plastic, name)) for name in names)),
        "static": of_rows(*((static.start, getattr(static, name)) for name in names)),
        "targets": of(problem.targets.transpose(1, 0, 2)),
        "stimuli": of(problem.stimuli.T),
        "phase": of(problem.phase),
        "input": of(problem.input),
        **({} if problem.noise is None else {"noise": of(problem.noise.T)}),
        **({} if problem.cue is None else {"cue": of(problem.cue.transpose(2, 0, 1))}),
        "filtered": hashlib.sha256(problem.filtered.tobytes()).hexdigest(),
    }
    neuron = problem.neuron
    model = neuron.model_dump(mode="json")
    if isinstance(neuron, UserNeuron):
        model = identity(neuron, problem.n_neurons)
    # of a problem without an experiment, whose seed decides nothing else while it is trained
    noisy = problem.trial_noise.standard_deviation > 0
    random = problem.protocol.start == "random" or trainer.tests.every or noisy
    key: dict[str, Any] = {"seed": problem.seed, "replicate": problem.replicate} if random else {}
    if trainer.measures is not None and trainer.tests.every:
        tests = ("test_every_loops", "n_test_trials")
        key["measures"] = {name: getattr(trainer.measures, name) for name in tests}
    if noisy:
        key["trial_noise"] = problem.trial_noise.model_dump(mode="json")
    return {
        **key,
        "network": {"n_neurons": problem.n_neurons},
        "neuron": model,
        "synapse": problem.synapse.model_dump(mode="json"), "protocol": problem.protocol.model_dump(mode="json"),
        "stimulus_ms": problem.stimulus_ms, "grid_ms": problem.grid_ms,
        "training": trainer.training.model_dump(mode="json"), "diverged_drive": trainer.diverged_drive,
        "arrays": arrays,
    }  # fmt: skip


def _digest_rows(world: World, rows: Iterable[bytes]) -> str:
    # row by row and then over all rows, so that it does not depend on the blocks
    own = b"".join(hashlib.sha256(row).digest() for row in rows)
    return hashlib.sha256(world.concatenate(np.frombuffer(own, dtype=np.uint8)).tobytes()).hexdigest()


def refuse_another(folder: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    """A `StoreError` that names what differs, unless it is that there are more loops now."""
    there, here = flat(saved), flat(json.loads(json.dumps(now)))
    loops = "training.n_loops"
    more_loops = there.get(loops, 0) <= here.get(loops, 0)
    parts = []
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) == here.get(key) or (key == loops and more_loops):
            continue
        if key.startswith("arrays."):
            parts.append(f"{key.removeprefix('arrays.')} differs")
        else:
            parts.append(f"{key} is {_shown(there, key)} there and {_shown(here, key)} here")
    if parts:
        hint = " (loops can be added, not taken away)" if any(part.startswith(loops) for part in parts) else ""
        raise StoreError(
            f"{folder} holds a checkpoint of another experiment: {', '.join(parts)}{hint}; "
            "choose another folder, or remove this one to start anew"
        )


def _shown(document: dict[str, Any], key: str) -> str:
    return json.dumps(document[key]) if key in document else "absent"
