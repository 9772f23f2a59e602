"""Saving the state of a training and going on from it, on any number of ranks, bit for bit.

The state is kept by neuron, so that blocks of other bounds can pick it up. All ranks call these functions together.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike import provenance
from hpcspike.engine import checkpoint_files as files
from hpcspike.engine.checkpoint_identity import refuse_another
from hpcspike.engine.checkpoint_lock import held
from hpcspike.engine.communication import World
from hpcspike.errors import ResourceError, SpecError, StoreError
from hpcspike.files import Busy, unfinished_beside
from hpcspike.neurons import n_states
from hpcspike.rls.capacity import best_capacity
from hpcspike.spec.connectivity import BalancedConnectivity, DaleConnectivity
from hpcspike.spec.experiment import Experiment

if TYPE_CHECKING:
    from hpcspike.engine.resumable import Resumable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """Where and when training saves its state; SIGTERM, SIGUSR1, SIGHUP and Ctrl-C make it save and stop in any case.

    Attributes
    ----------
    folder
        Folder of the checkpoints of one training, and of nothing else; all ranks must see it.
    every_loops, every_minutes
        Save after so many loops, or when so much time has passed since the last time.
    time_limit_minutes
        Save and stop early enough for this time after ``started``.
    stop_after_steps
        Save and stop after so many steps of this run; for tests.
    keep
        How many checkpoints stay, the older ones in reserve.
    at_end
        Save once more when training is complete, so that nothing is lost if what follows is interrupted, and loops can
        be added.
    started
        Seconds of `time.monotonic` from which the time limit counts; default: when this object is made.
    """

    folder: Path
    every_loops: int | None = None
    every_minutes: float | None = None
    time_limit_minutes: float | None = None
    stop_after_steps: int | None = None
    keep: int = 2
    at_end: bool = True
    started: float = field(default_factory=time.monotonic, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        for name in ("every_loops", "every_minutes", "time_limit_minutes", "stop_after_steps", "keep"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SpecError(f"checkpoints: {name} = {value} must be more than 0")


def progress_of(training: Resumable) -> str:
    """How far a training has come, in words."""
    total = training.total_steps
    of_all = "" if total is None else f" of {total:,}"
    return f"{training.steps:,}{of_all} {training.unit}"


# ---- saving ----------------------------------------------------------------------------------------------------------


def state_bytes(training: Resumable) -> int:
    """Bytes of the state of all ranks now; a checkpoint is a little larger."""
    n_rows = training.n_rows
    own = sum(int(a.row_lengths(n_rows).sum()) * a.dtype.itemsize for a in training.state_arrays())
    return int(training.world.concatenate(np.array([own])).sum())


def check_folder(checkpoints: Checkpoints, world: World, size: int) -> None:
    """Refuse, before work starts, a folder in which nothing can be made or whose disk is too full; it must be held.

    size: bytes of one checkpoint.
    """
    folder = checkpoints.folder

    def check() -> None:
        try:
            probe = unfinished_beside(folder / "probe")
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(f"{folder}: checkpoints cannot be written ({reason}); choose another path") from None
        there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        free, needed = shutil.disk_usage(folder).free, (checkpoints.keep + 1) * size
        if free + there < needed:
            raise ResourceError(
                f"{folder}: checkpoints of {size / 1e9:.3g} GB, {checkpoints.keep} of which are kept while one more is "
                f"written, do not fit: {free / 1e9:.3g} GB are free; choose a folder on another disk"
            )

    _on_root(world, check)


def save(training: Resumable, checkpoints: Checkpoints, identity: dict[str, Any]) -> Path:
    """Write a checkpoint, all ranks in parallel; older ones than ``checkpoints.keep`` are removed.

    Raises
    ------
    ResourceError
        If it cannot be written (disk full); the previous ones are still there then.
    """
    world, folder, began = training.world, checkpoints.folder, time.monotonic()
    path = files.checkpoint_path(folder, training.steps)
    numbers = training.state_numbers()
    first = world.concatenate(np.array([training.first]))

    def make_folder() -> Path:
        files.remove_unfinished(folder)
        unfinished = files.unfinished_path(folder, training.steps)
        unfinished.mkdir(parents=True)
        return unfinished

    def write_block() -> dict[str, Any]:
        block = unfinished / f"block-{world.rank:05d}.bin"
        return files.write_block(block, training.state_arrays(), training.n_rows)

    def finish() -> None:
        document = {
            "schema": files.SCHEMA, "hpcspike": provenance.package_version(), "identity": identity,
            "target": provenance.code_generation_target(), "steps": training.steps, "numbers": numbers,
            "bounds": [*first.tolist(), training.n_rows_of_all], "files": entries,
        }  # fmt: skip
        files.write_manifest(unfinished, document)
        files.put_in_place(unfinished, path)
        files.prune(folder, path, checkpoints.keep)

    try:
        unfinished = _on_root(world, make_folder)
        entry = world.agree(write_block)
        entries = _gather(world, entry)
        _on_root(world, finish)
    except OSError as error:
        if world.rank == 0:
            files.remove_unfinished(folder)
        raise ResourceError(
            f"{path}: cannot be written ({error.strerror or error}); the checkpoints before it are as they were"
        ) from None
    if world.rank == 0:
        size = sum(entry["size"] for entry in entries)
        logger.info("saved %s: %.3g MB in %.2f s", path, size / 1e6, time.monotonic() - began)
    return path


def discard(checkpoints: Checkpoints, world: World | None = None) -> None:
    """Remove the checkpoints of a folder, and the folder if there is nothing else in it.

    All stays if another process trains there now.
    """
    folder = checkpoints.folder

    def work() -> None:
        if not folder.is_dir():
            return
        with contextlib.suppress(Busy), held(folder, World()):
            files.remove_unfinished(folder)
            for path in files.checkpoints_in(folder):
                files.remove(path)
        with contextlib.suppress(OSError):  # it holds something else
            folder.rmdir()

    _on_root(world or World(), work)


def _on_root(world: World, work: Callable[[], Any]) -> Any:
    # rank 0 does it, all have the result or the error
    return world.share(world.agree(lambda: work() if world.rank == 0 else None))


def _gather(world: World, thing: dict[str, Any]) -> list[dict[str, Any]]:
    # of all ranks, on rank 0 only
    line = np.frombuffer(json.dumps(thing).encode() + b"\n", dtype=np.uint8)
    lines = world.collect(line, 0)
    return [] if lines is None else [json.loads(line) for line in lines.tobytes().splitlines()]


# ---- going on --------------------------------------------------------------------------------------------------------


def resume(training: Resumable, checkpoints: Checkpoints, identity: dict[str, Any]) -> bool:
    """Set a fresh training to the newest valid checkpoint, if there is one; whether it did.

    Raises
    ------
    StoreError
        If the folder holds a checkpoint of another experiment.
    """
    world, folder = training.world, checkpoints.folder
    found = _on_root(world, lambda: files.checkpoints_in(folder))
    for path in found:
        try:
            document = _on_root(world, partial(_open, path, identity))
            world.agree(partial(_verify, path, document, world))
        except files.Damaged as damage:
            if world.rank == 0:
                logger.warning("%s is damaged (%s) and left out", path, damage)
            continue
        world.agree(partial(_load, training, path, document))
        training.restored()
        if world.rank == 0:
            logger.info("going on from %s, after %s", path, progress_of(training))
        return True
    if found and world.rank == 0:
        logger.warning("%s holds no checkpoint that is whole; training starts anew", folder)
    return False


def _open(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    document = files.read_manifest(path)
    if document["schema"] != files.SCHEMA:
        raise StoreError(
            f"{path} was written by hpcspike {document['hpcspike']} in layout {document['schema']}, this version reads "
            f"layout {files.SCHEMA}; go on with that version, or choose another folder to start anew"
        )
    refuse_another(path.parent, document["identity"], identity)
    version, target = provenance.package_version(), provenance.code_generation_target()
    if (document["hpcspike"], document["target"]) != (version, target):
        logger.warning(
            "%s was written by hpcspike %s on %s, this is %s on %s: what follows may differ in the last bits from a "
            "run that was not interrupted",
            path, document["hpcspike"], document["target"].get("cpu"), version, target.get("cpu"),
        )  # fmt: skip
    return document


def _verify(path: Path, document: dict[str, Any], world: World) -> None:
    for entry in document["files"][world.rank :: world.size]:
        reason = files.verify_block(path, entry)
        if reason is not None:
            raise files.Damaged(reason)


def _load(training: Resumable, path: Path, document: dict[str, Any]) -> None:
    training.load_numbers(document["numbers"])
    bounds = document["bounds"]
    begin, end = training.first, training.first + training.n_rows
    for array in training.state_arrays():
        lengths = array.row_lengths(training.n_rows)
        for entry, first, stop in zip(document["files"], bounds[:-1], bounds[1:], strict=True):
            low, high = max(first, begin), min(stop, end)
            if low < high:
                files.read_rows(
                    path, entry, array,
                    rows=(low - first, high - first), lengths=lengths[low - begin : high - begin], into=low - begin,
                )  # fmt: skip


# ---- sizes -----------------------------------------------------------------------------------------------------------

_MANIFEST_BYTES = 7000
_LENGTHS_BYTES = 40  # of the five arrays with rows of unequal length


def checkpoint_bytes(experiment: Experiment, *, n_neurons: int | None = None, updates: int | None = None) -> float:
    """Expected size of a checkpoint of an experiment.

    Parameters
    ----------
    experiment
        What is trained.
    n_neurons
        Number of neurons, where the experiment leaves it to a file.
    updates
        Weight updates made so far, which decide how many of them P does not contain yet; default: as many as make the
        checkpoint largest.
    """
    n = experiment.network.n_neurons if n_neurons is None else n_neurons
    if n is None:
        raise SpecError("network.n_neurons is missing: give the number of neurons that the recorded targets make")
    mean, square = _in_degree_moments(experiment, n)
    size = np.dtype(experiment.training.dtype).itemsize
    entry = np.dtype(experiment.training.precision_of_matrices).itemsize
    if experiment.training.algorithm == "blocked":
        capacity = best_capacity(mean)
        kept = capacity - 1 if updates is None else updates % capacity
        engine = entry * ((square + mean) / 2.0 + max(kept, 1) * mean) + 8.0 * (kept + 4)
    else:
        engine = entry * square
    share = _trained_share(experiment, n)
    if share < 1.0:  # the others have neither P nor plastic weights
        engine, mean = share * engine, share * mean
    if experiment.training.sign_rule != "none":
        engine += 4.0 * mean  # when each synapse was excluded
    states, real = n_states(experiment.neuron), size if experiment.neuron.facts.state_as_weights else 8
    copies = 1 + (experiment.synapse.weight_acts == "at_spikes")
    # of a neuron: its state, drives and their copies; r, trace and moments; number of events
    numbers = real * (states + 2 + copies) + 8.0 * (2 + 3) + 4.0
    kept = 2 + (experiment.training.keep == "best")  # weights: now, before the loop, at the best test
    per_neuron = engine + numbers + _LENGTHS_BYTES + (kept * size + 4.0) * mean  # and events
    return n * per_neuron + _MANIFEST_BYTES


def _trained_share(experiment: Experiment, n: int) -> float:
    # at most, where a file says how many units there are
    subset, targets = experiment.training.subset, experiment.targets
    if subset is None or not isinstance(experiment.connectivity, BalancedConnectivity):
        return 1.0
    most = experiment.connectivity.populations(n)[0]
    return (subset.n_trained or getattr(targets, "n_units", None) or most) / n


def _in_degree_moments(experiment: Experiment, n: int) -> tuple[float, float]:
    # mean of K and of K^2
    mean, square = _recurrent_moments(experiment, n)
    fed = experiment.feed_forward.n_inputs(experiment.targets.n_sets)
    return mean + fed, square + 2.0 * fed * mean + fed * fed


def _recurrent_moments(experiment: Experiment, n: int) -> tuple[float, float]:
    connectivity = experiment.connectivity
    if isinstance(connectivity, BalancedConnectivity):
        k = 2.0 * connectivity.plastic_in_degree
        return k, k * k
    if isinstance(connectivity, DaleConnectivity):
        k = float(sum(connectivity.in_degrees(n)))
        return k, k * k
    p = connectivity.probability
    mean = p * (n - 1)
    return mean, mean * mean + mean * (1.0 - p)
