"""One point of a sweep again, with everything a store has no room for: trained anew, or from a state that was kept."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcspike.errors import StoreError
from hpcspike.spec.experiment import Experiment
from hpcspike.sweep.records import read_records
from hpcspike.sweep.selection import find_point, parameters_of
from hpcspike.sweep.store import SweepStore, open_store
from hpcspike.variables import POINT_RESULTS, STATUS, TESTED_RESULTS

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Difference:
    """A result that is not the same to the last bit."""

    name: str
    stored: float
    now: float


@dataclass(frozen=True)
class Comparison:
    """The results of a network beside those that its sweep holds.

    Attributes
    ----------
    finished
        Whether the sweep holds any.
    n_numbers, n_curves
        Results compared.
    differences
        Those that differ; of a curve the loop with the largest difference.
    origin
        What computed the stored numbers on what, if it is not what computed these.
    """

    finished: bool
    n_numbers: int = 0
    n_curves: int = 0
    differences: tuple[Difference, ...] = ()
    origin: str = ""

    def __str__(self) -> str:
        if not self.finished:
            return "the sweep has no results of this point yet"
        if not self.differences:
            return f"equal to the sweep bit for bit ({self.n_numbers} numbers, {self.n_curves} learning curves)"
        shown = [f"{d.name} {d.stored!r} in the sweep, {d.now!r} now" for d in self.differences[:4]]
        more = f", and {len(self.differences) - 4} more" if len(self.differences) > 4 else ""
        total = self.n_numbers + self.n_curves
        reason = f" (the sweep's: {self.origin})" if self.origin else ""
        return f"differs from the sweep in {len(self.differences)} of {total} results{reason}: {'; '.join(shown)}{more}"


def retrain(
    store: str | Path,
    *,
    point: int | None = None,
    where: Mapping[str, Any] | None = None,
    states: str | Path | None = None,
    threads: int = 1,
    progress: bool = False,
    run_user_code: bool = False,
) -> xr.Dataset:
    """Train one point of a sweep again and return everything about it, as `hpcspike.run` does.

    The experiment is the one that the store records, the sweep may still be running, and nothing is written to it.

    Parameters
    ----------
    store
        Folder of the sweep's store.
    point
        Number of the point: its row in the store, which is the coordinate ``point`` of `hpcspike.open_sweep` and of
        exports.
    where
        Or values of its parameters, by field or coordinate: ``{"synapse.tau_syn_ms": 20.0, "replicate": 0}``.
    states
        Folder in which ``hpcspike run-batch --keep-states`` kept the states of finished points: if that of this point
        is there, it is loaded and nothing is trained.
    threads
        Threads over neurons; the numbers do not depend on it.
    progress
        Show a progress bar.
    run_user_code
        Whether a neuron model or learner of a user's own that the store names may be run; look at it before.

    Returns
    -------
    xarray.Dataset
        What `hpcspike.run` returns. Its attributes ``sweep``, ``point`` and ``parameters`` (JSON) say which network it
        is, and ``comparison`` whether its results equal the stored ones bit for bit, or which of them differ.

    Raises
    ------
    StoreError
        If there is no such store, or not exactly one such point; the message says which there are. Or if the point
        needs a user's code that may not be run, or that has changed since.
    ResourceError
        If the network does not fit into memory.

    Examples
    --------
    >>> network = retrain("results/fig6.zarr", where={"tau_syn_ms": 20.0, "replicate": 0})    # doctest: +SKIP
    >>> network.attrs["comparison"]                                                           # doctest: +SKIP
    'equal to the sweep bit for bit (28 numbers, 3 learning curves)'
    """
    opened = open_store(store)
    row = find_point(opened, point=point, where=where)
    return retrain_row(opened, row, states=states, threads=threads, progress=progress, run_user_code=run_user_code)[0]


def retrain_row(
    opened: SweepStore, row: int, *, states: str | Path | None, threads: int, progress: bool, run_user_code: bool
) -> tuple[xr.Dataset, Comparison]:
    """The Dataset of `retrain` of a row of a store, and how its results compare with those of the sweep."""
    experiment = opened.experiments([row], run_user_code=run_user_code)[row]
    dataset = _trained(experiment, states, threads=threads, progress=progress)
    comparison = compare(opened, row, dataset)
    parameters = json.dumps(parameters_of(opened, row))
    named = {"sweep": opened.name, "point": row, "parameters": parameters, "comparison": str(comparison)}
    return dataset.assign_attrs(named), comparison


_OTHERWISE = [STATUS.index("sampling"), STATUS.index("tracking")]
"""What a network that fails to recall was called before there was a word for it."""


def compare(store: SweepStore, row: int, trained: xr.Dataset) -> Comparison:
    """The results of a point as it was trained again beside those in the store, bit for bit.

    Parameters
    ----------
    store, row
        The sweep, and the row of the point.
    trained
        Dataset of the trained network.
    """
    if not store.done()[row]:
        return Comparison(finished=False)
    differences = []
    names = {True: 0, False: 0}
    for name, variable in (POINT_RESULTS | TESTED_RESULTS).items():
        if name not in trained or name not in store.group:
            continue
        is_curve = "loop" in variable.dims
        stored, now = np.atleast_1d(store.read(name, row)), np.atleast_1d(trained[name].values)
        now = now[: len(stored)]  # a sweep keeps as many passes as there are loops
        now = np.concatenate([now, np.full(len(stored) - len(now), np.nan)]).astype(stored.dtype)
        names[is_curve] += 1
        if name == "status" and "correlation_taught" not in store.group and now[0] == STATUS.index("recall"):
            now = np.where(np.isin(stored, _OTHERWISE), stored, now)
        apart = (stored != now) & ~((stored != stored) & (now != now))  # NaN equals NaN
        if apart.any():
            k = int(np.argmax(np.where(apart, np.nan_to_num(np.abs(stored - now), nan=np.inf), -1.0)))
            differences.append(Difference(f"{name} of loop {k}" if is_curve else name, stored[k].item(), now[k].item()))
    origin = _other_origin(store, row) if differences else ""
    return Comparison(True, names[False], names[True], tuple(differences), origin)


def _trained(experiment: Experiment, states: str | Path | None, *, threads: int, progress: bool) -> xr.Dataset:
    from hpcspike.runs.point import fit_and_evaluate
    from hpcspike.runs.run import describe
    from hpcspike.sweep.cost import check_memory
    from hpcspike.sweep.states import kept_state

    check_memory(experiment, keeps_trials=True)
    if states is not None and not Path(states).is_dir():
        raise StoreError(f"{states}: no such folder of kept states; leave it out to train the point anew")
    lent = contextlib.nullcontext() if states is None else kept_state(Path(states), experiment)
    with lent as checkpoints:
        learner, evaluation = fit_and_evaluate(experiment, threads=threads, progress=progress, checkpoints=checkpoints)
    origin = "trained anew" if checkpoints is None else "from the state that was kept"
    return describe(experiment, learner, evaluation).assign_attrs(network=origin)


def _other_origin(store: SweepStore, row: int) -> str:
    """What may explain a difference: version, revision and processor of the stored numbers, where they are others."""
    from hpcspike import provenance

    record = read_records(store.path).get(int(store.read("run", row)), {})
    here = {
        "hpcspike": provenance.package_version(),
        "revision": provenance.code_revision(),
        "versions": provenance.package_versions(),
        "llvm": provenance.code_generation_target(),
    }
    parts = []
    for name, value in here.items():
        there = record.get(name)
        if there == value:
            continue
        if isinstance(value, dict):
            changed = [key for key in value if (there or {}).get(key) != value[key]]
            parts += [f"{key} {(there or {}).get(key)}" for key in changed if key != "features"]
            parts += ["other processor features"] if changed == ["features"] else []
        else:
            parts.append(f"{name} {there}")
    return ", ".join(parts)
