"""Saving a learner's state and going on from it: checkpoints are whole or absent."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.engine import checkpoint_files as files
from hpcspike.errors import Interrupted, ResourceError, StoreError
from hpcspike.files import write_bytes

if TYPE_CHECKING:
    from hpcspike.engine.checkpoint import Checkpoints
    from hpcspike.engine.stopping import Signals
    from hpcspike.learners.interface import Learner

logger = logging.getLogger(__name__)

_ARRAYS = "state.npz"
_STATE, _HISTORY = "state.", "history."


def save(learner: Learner, folder: Path, identity: dict[str, Any], *, keep: int = 2) -> Path:
    """Write a checkpoint; only the ``keep`` newest stay."""
    arrays = {_STATE + name: np.asarray(value) for name, value in learner.state().items()}
    arrays |= {_HISTORY + name: learner.history[name] for name in learner.history.columns}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    passes, content = len(learner.history), buffer.getvalue()
    path, unfinished = files.checkpoint_path(folder, passes), files.unfinished_path(folder, passes)
    document = {**_head(learner, identity), "passes": passes, "sha256_of_state": hashlib.sha256(content).hexdigest()}
    try:
        files.remove_unfinished(folder)
        unfinished.mkdir(parents=True)
        write_bytes(unfinished / _ARRAYS, content)
        files.write_manifest(unfinished, document)
        files.put_in_place(unfinished, path)
        files.prune(folder, path, keep)
    except OSError as error:
        files.remove_unfinished(folder)
        raise ResourceError(
            f"{folder}: the checkpoint cannot be written ({error.strerror or error}); make room or choose another path"
        ) from None
    return path


def resume(learner: Learner, folder: Path, identity: dict[str, Any]) -> bool:
    """Take over the newest whole checkpoint of a folder; False if there is none.

    Raises
    ------
    StoreError
        If it is of another learner or another experiment.
    """
    for path in files.checkpoints_in(folder):
        try:
            document = files.read_manifest(path)
            content = (path / _ARRAYS).read_bytes()
            if hashlib.sha256(content).hexdigest() != document.get("sha256_of_state"):
                raise files.Damaged(f"{_ARRAYS} is not as it was written")
        except (files.Damaged, OSError) as error:
            logger.warning("%s is passed over: %s", path, error)
            continue
        head = json.loads(json.dumps(_head(learner, identity)))
        different = [key for key in head if document.get(key) != head[key]]
        if different:
            raise StoreError(
                f"{folder} holds a checkpoint of another training ({', '.join(different)} differs); choose another "
                "folder, or remove this one to start anew"
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        learner.restore({k.removeprefix(_STATE): v for k, v in arrays.items() if k.startswith(_STATE)})
        for name in learner.history.columns:
            learner.history.columns[name] = arrays[_HISTORY + name].tolist()
        return True
    return False


class Keeper:
    """Saves after a pass when it is due, and ends training when it must stop."""

    def __init__(self, learner: Learner, checkpoints: Checkpoints, identity: dict[str, Any], signals: Signals) -> None:
        self._learner, self._asked, self._identity, self._signals = learner, checkpoints, identity, signals
        self._begun_at = self._saved_at = len(learner.history)
        self._last_save = self._last_pass = time.monotonic()
        self._longest = 0.0

    def after(self, *, finished: bool) -> None:
        """Save if it is due; `Interrupted` if training must stop."""
        now, asked, passes = time.monotonic(), self._asked, len(self._learner.history)
        self._longest, self._last_pass = max(self._longest, now - self._last_pass), now
        stop = "" if finished else self._why_stop(now, passes)
        due = (asked.every_loops is not None and passes % asked.every_loops == 0) or (
            asked.every_minutes is not None and now - self._last_save >= 60.0 * asked.every_minutes
        )
        if (stop or due or (finished and asked.at_end)) and passes > self._saved_at:
            save(self._learner, asked.folder, self._identity, keep=asked.keep)
            self._saved_at, self._last_save = passes, time.monotonic()
        if stop:
            raise Interrupted(
                f"stopped {stop} after pass {passes}; the state is in {asked.folder}, and the same command goes on "
                "from there"
            )

    def _why_stop(self, now: float, passes: int) -> str:
        if self._signals.received:
            return f"by signal {self._signals.received}"
        limit = self._asked.time_limit_minutes
        if limit is not None and self._asked.started + 60.0 * limit - now < 2.0 * self._longest + 2.0:
            return "before its time limit"
        after = self._asked.stop_after_steps
        return "as asked" if after is not None and passes - self._begun_at >= after else ""


class NoKeeper:
    """Training without checkpoints."""

    def after(self, *, finished: bool) -> None:
        """Nothing to do."""


@contextmanager
def keeping(
    learner: Learner, checkpoints: Checkpoints | None, identity: dict[str, Any] | None
) -> Iterator[Keeper | NoKeeper]:
    """Resume if there is something to resume, and watch over training while the block lasts."""
    if checkpoints is None:
        yield NoKeeper()
        return
    from hpcspike.engine.stopping import Signals

    with Signals() as signals:
        resume(learner, checkpoints.folder, identity or {})
        yield Keeper(learner, checkpoints, identity or {}, signals)


def _head(learner: Learner, identity: dict[str, Any]) -> dict[str, Any]:
    name = f"{type(learner).__module__}:{type(learner).__qualname__}"
    return {"schema": files.SCHEMA, "learner": name, "identity": identity}
