"""Where the states of long points are saved while they are trained, and which are kept for longer trainings."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpcspike.engine.communication import World
from hpcspike.files import put_in_place, unfinished_beside
from hpcspike.identity import canonical
from hpcspike.spec.experiment import Experiment

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints


@dataclass(frozen=True)
class Saving:
    """When the state of a point is saved.

    Attributes
    ----------
    minutes
        Points predicted to take longer are saved this often, min; 0: none are.
    keep
        Folder in which the states of all finished points are kept, so that loops can be added to them later.
    time_limit_minutes
        Save and stop early enough for this time after ``started``.
    started
        Seconds of `time.monotonic` from which the time limit counts.
    """

    minutes: float = 5.0
    keep: Path | None = None
    time_limit_minutes: float | None = None
    started: float = field(default_factory=time.monotonic, compare=False)


def states_folder(store: Path) -> Path:
    """Where the states of points in work lie."""
    return store.with_name(store.name + ".states")


def checkpoints_of(
    store: Path, experiment: Experiment, seconds: float, saving: Saving, *, world: World
) -> Checkpoints | None:
    """How the state of a point is saved; None if it is not.

    Parameters
    ----------
    store
        Store of the sweep.
    experiment
        The point.
    seconds
        Its predicted time on one core, s.
    """
    long = 0.0 < 60.0 * saving.minutes < seconds / world.size
    if not long and saving.keep is None:
        return None
    from hpcspike.engine.checkpoint import Checkpoints

    training = _training(experiment)
    n_loops = experiment.training.n_loops
    if saving.keep is None:
        folder = states_folder(store) / f"{training}-{n_loops}"
    else:
        folder = saving.keep / training / str(n_loops)
        if world.rank == 0:
            _begin_with_fewer_loops(folder)
    return Checkpoints(
        folder,
        every_minutes=saving.minutes or None,
        time_limit_minutes=saving.time_limit_minutes,
        at_end=long or saving.keep is not None,
        started=saving.started,
    )


def forget(checkpoints: Checkpoints, saving: Saving, *, world: World) -> None:
    """Called when the results of a point are safe: remove its states, or keep the last one if that was asked for."""
    from hpcspike.engine.checkpoint import discard
    from hpcspike.engine.checkpoint_files import checkpoints_in, prune

    if saving.keep is None:
        discard(checkpoints, world)
    elif world.rank == 0:
        for newest in checkpoints_in(checkpoints.folder)[:1]:
            prune(checkpoints.folder, newest, 1)


@contextmanager
def kept_state(keep: Path, experiment: Experiment) -> Iterator[Checkpoints | None]:
    """The state of a trained point that was kept, to be gone on from; None if there is none.

    It is lent as links (copies where there can be none): what was kept is neither changed nor written beside.
    """
    from hpcspike.engine.checkpoint import Checkpoints
    from hpcspike.engine.checkpoint_files import checkpoints_in

    kept = checkpoints_in(keep / _training(experiment) / str(experiment.training.n_loops))
    if not kept:
        yield None
        return
    place = keep if os.access(keep, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=".lent-", dir=place) as folder:
        shutil.copytree(kept[0], Path(folder) / kept[0].name, copy_function=_link_or_copy)
        yield Checkpoints(Path(folder), at_end=False)


def _training(experiment: Experiment) -> str:
    """Name of everything that decides a training but its number of loops."""
    document = canonical(experiment)
    document["training"].pop("n_loops")
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:24]


def _begin_with_fewer_loops(folder: Path) -> None:
    """Put the last state of the longest shorter training there, if nothing is there yet."""
    from hpcspike.engine.checkpoint_files import checkpoints_in

    if checkpoints_in(folder) or not folder.parent.is_dir():
        return
    lengths = (int(other.name) for other in folder.parent.iterdir() if other.name.isdigit())
    for length in sorted((length for length in lengths if length < int(folder.name)), reverse=True):
        for state in checkpoints_in(folder.parent / str(length))[:1]:
            unfinished = unfinished_beside(folder / state.name)
            shutil.copytree(state, unfinished, copy_function=_link_or_copy)
            put_in_place(unfinished, folder / state.name)
            return


def _link_or_copy(source: str, target: str) -> None:
    # states are never changed, so a link is as good as a copy, and costs nothing
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
