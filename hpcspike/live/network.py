"""A trained network that runs: what is the same for all learners."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from hpcspike.checks import path as checked_path
from hpcspike.checks import shown
from hpcspike.errors import SpecError, StoreError
from hpcspike.files import claimed, whole
from hpcspike.hdf5_files import write_unfinished
from hpcspike.live.asked import Asked
from hpcspike.live.selection import Selection, chosen
from hpcspike.shown import Shown
from hpcspike.spec.experiment import Experiment
from hpcspike.zarr_files import write_zarr

if TYPE_CHECKING:
    from hpcspike.engine.training import OnLoop

FIXED_SECTIONS = ("name", "seed", "replicate", "network", "connectivity", "targets", "stimulus", "feed_forward")
"""Sections of an experiment that say what a network is, and cannot be changed once it is there."""
FIXED_KEYS = ("learner.kind", "training.subset")
"""Keys of other sections that say so, with what is below them."""


class Network(Shown):
    """A trained network, live: run it under other conditions, change it, train it on.

    Nothing changes a network in place: what alters it returns another one. All results are Datasets with the names,
    units and dimensions that `hpcspike.run` uses, so that all figures and exports take them.

    Attributes
    ----------
    experiment
        What it is, with the settings of now.
    changes
        What was done to it after the training that its experiment describes, one line each.

    Examples
    --------
    >>> net = live_network("net.zarr")                                             # doctest: +SKIP
    >>> net.test(3).response.sel(neuron=17)                                        # doctest: +SKIP
    >>> net.test(5, silence=0.1, beyond_ms=200.0)                                  # doctest: +SKIP
    >>> net.train(5).save("longer.zarr")                                           # doctest: +SKIP
    """

    experiment: Experiment
    changes: tuple[str, ...]
    labels: dict[str, xr.DataArray]
    """Coordinates along ``neuron``: names of recorded units, and what else their file says of them."""
    origin: dict[str, str]
    """Attributes of the Dataset that it was opened from, but for those that say how the file was made."""

    # ---- what each kind of network does in its own way ---------------------------------------------------------------

    @property
    @abstractmethod
    def n_neurons(self) -> int:
        """Number of neurons N."""

    def test(
        self,
        trials: int = 20,
        *,
        first_trial: int = 0,
        target_set: int | None = None,
        seed: int | None = None,
        beyond_ms: float = 0.0,
        stimulus: Any = None,
        silence: Selection = None,
        clamp: Mapping[Any, Any] | None = None,
        noise: float | Mapping[str, float] = 0.0,
        delete_spike: int | None = None,
        add_spike: tuple[Any, float] | None = None,
    ) -> xr.Dataset:
        """Run test trials, plasticity off.

        Parameters
        ----------
        trials, first_trial
            How many, and the number of the first. Trial k begins from the same state and has the same noise whenever
            it is asked for; the first ones are those in the network's file.
        target_set
            Whose cue is given; default: that of every set, one after the other.
        seed
            Begin from the states, and with the noise, of another seed.
        beyond_ms
            Record this much longer than the trained window, a multiple of the targets' grid.
        stimulus
            Input of the user's own in place of the cue: one number per neuron (N,), held during the cue; or
            (time, neuron) over cue and window, an array whose rows are held over equal parts, or a DataArray with its
            times in ms from the end of the cue. A number: the same for all, so that 0 is no cue. Of networks that other
            learners trained: (samples of cue and window, inputs of the task).
        silence
            Neurons that do not spike: numbers, names of recorded units, a group (``"inhibitory"``), a share as 0.1, or
            ``{coordinate: value}``; see `hpcspike.live.selection.chosen`.
        clamp
            Drives that neurons are held at: ``{17: 0.5, "recorded": "target"}``; the key is a selection, the value a
            number, (time,) numbers over the recorded time, or ``"target"``.
        noise
            External input that is new in every trial: its s.d. in units of the external input, white; or the keys of
            ``trial_noise``, as ``{"standard_deviation": 0.1, "tau_corr_ms": 10}``. Of networks that other learners
            trained: noise on the membrane, see `hpcspike.learners.interface.Learner.rollout`.
        delete_spike
            Number of the spike of each trial's window, in order of time, that reaches nobody.
        add_spike
            A neuron and a time in ms: a spike that others receive then, although the neuron has none; if it has one
            then, nothing is changed.

        Returns
        -------
        xarray.Dataset
            ``response``, ``drive``, ``target``, spikes, ``initial_state``, ``neuron_correlation``, and the scalars
            ``correlation`` (over neurons that have a target and are neither silent nor held) and ``population_rate``,
            both over the trained window; the coordinates ``silenced`` and ``clamped`` along ``neuron`` where asked
            for. The attribute ``conditions`` (JSON) says what was asked. ``target`` is NaN beyond the window.

        Raises
        ------
        SpecError, DataError
            If an argument is none that it can be, or a network of this kind cannot be asked for it.
        """
        return self._tested(
            Asked(
                trials=trials, first_trial=first_trial, target_set=target_set, seed=seed, beyond_ms=beyond_ms,
                stimulus=stimulus, silence=silence, clamp=clamp, noise=noise, delete_spike=delete_spike,
                add_spike=add_spike,
            )
        )  # fmt: skip

    @abstractmethod
    def _tested(self, asked: Asked) -> xr.Dataset:
        """`test`, in the way of its learner."""

    @abstractmethod
    def train(
        self,
        loops: int,
        *,
        settings: Mapping[str, Any] | None = None,
        states: str | Path | None = None,
        threads: int = 1,
        progress: bool = False,
        on_loop: OnLoop | None = None,
    ) -> Network:
        """The network after further training on all of its target sets.

        Parameters
        ----------
        loops
            Further loops per target set; of other learners than rls further passes.
        settings
            Settings to change before, as ``{"training.ridge": 10.0}``; see `with_settings`.
        states
            Folder of ``hpcspike train --checkpoint`` of the same experiment: the matrices P in it are gone on with, and
            the result equals that of a training that was not ended. Otherwise P is that of the last `train` in this
            process if nothing that it depends on was changed, else it begins anew with I / ridge.
        threads
            Threads over neurons.
        progress
            Show a progress bar.
        on_loop
            Called after every loop with its number and its row of the learning curve.

        Returns
        -------
        Network
            Its last change says with which P it went on. Neurons begin at the initial state of the experiment.
        """

    @abstractmethod
    def dataset(self) -> xr.Dataset:
        """All about the network as it is now: what `hpcspike.run` returns, test trials and measures included."""

    @abstractmethod
    def _with_experiment(self, experiment: Experiment, changed: str) -> Network:
        """The same network with other settings."""

    # ---- what all do alike -------------------------------------------------------------------------------------------

    def with_settings(self, settings: Mapping[str, Any]) -> Network:
        """The same network under other settings of its experiment: another tau_s, noise, step, learning rule.

        Parameters
        ----------
        settings
            Keys as in YAML -> values, as ``{"synapse.tau_syn_ms": 40.0}``. What the network is (sections ``network``,
            ``connectivity``, ``targets``, ``stimulus``, ``seed``; ``training.subset``) stays as it is.

        Raises
        ------
        SpecError
            If a key or value is none, or belongs to what stays.
        """
        for key, value in settings.items():
            section, _, rest = str(key).partition(".")
            fixed = section in FIXED_SECTIONS or any(f"{key}.".startswith(f"{one}.") for one in FIXED_KEYS)
            if fixed or not rest:
                raise SpecError(
                    f"settings: {key} = {shown(value)} cannot be changed after training; what can be: keys of "
                    f"{', '.join(name for name in Experiment.model_fields if name not in FIXED_SECTIONS)}, other than "
                    f"{' and '.join(FIXED_KEYS)}"
                )
        experiment = self.experiment.changed(settings)
        words = ", ".join(f"{key} = {value}" for key, value in settings.items())
        return self._with_experiment(experiment, f"settings: {words}")

    def tests(self, conditions: Mapping[str, Mapping[str, Any]], trials: int = 20, **common: Any) -> xr.Dataset:
        """Test trials under several conditions, side by side.

        Parameters
        ----------
        conditions
            Name -> arguments of `test`, as ``{"intact": {}, "10 % silent": {"silence": 0.1}}``.
        trials, common
            Arguments of `test` for all of them.

        Returns
        -------
        xarray.Dataset
            ``neuron_correlation``, ``neuron_rate``, ``correlation``, ``population_rate`` and ``mean_response`` (over
            trials) along ``condition``; names of recorded conditions are ``recorded_condition`` there.
        """
        if not conditions:
            raise SpecError("conditions is empty: must map names to arguments of test, as {'intact': {}}")
        parts = []
        for asked in conditions.values():
            found = self.test(trials, **{**common, **asked})
            mean = found["response"].mean("trial", keep_attrs=True)
            kept = found[["neuron_correlation", "neuron_rate", "correlation", "population_rate"]]
            kept = kept.drop_vars(["silenced", "clamped"], errors="ignore").assign(mean_response=mean)
            parts.append(kept.rename(condition="recorded_condition") if "condition" in kept.coords else kept)
        names = xr.DataArray(list(conditions), dims="condition", attrs={"units": "1", "long_name": "test condition"})
        joined = xr.concat(parts, dim="condition", join="outer", combine_attrs="drop_conflicts")
        return joined.assign_coords(condition=names)

    def chosen(self, selection: Selection, *, name: str = "neurons") -> np.ndarray:
        """The numbers of the neurons that a selection means; see `hpcspike.live.selection.chosen`.

        selection
            A number, name, group, share or list, as `test` takes it for ``silence``.
        name
            What messages call it.
        """
        return chosen(
            name, selection, experiment=self.experiment, labels=self.labels, n_neurons=self.n_neurons
        )  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write `dataset` to a file that `hpcspike.live_network` reads, ``.zarr`` or ``.nc``; whole or absent.

        Raises
        ------
        StoreError
            If something is there already, or it cannot be written.
        """
        where = checked_path("path", path)
        if where.suffix not in (".zarr", ".nc"):
            raise StoreError(f"path = {where}: must end in .zarr (a zarr store) or .nc (a netCDF file)")
        if where.exists():
            raise StoreError(f"path = {where} exists; choose another path or move it away")
        write_network(self.dataset(), where)
        return where

    def _attributes(self, *arrays: np.ndarray) -> dict[str, str]:
        """Attributes of Datasets of the network; arrays: what tells it from others that were changed alike."""
        found = {**self.origin, "experiment": json.dumps(self.experiment.model_dump(mode="json"))}
        if not self.changes:
            return found
        trained = self.origin.get("trained_hash", self.origin.get("experiment_hash", ""))
        digest = hashlib.sha256(json.dumps([trained, self.changes]).encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        found |= {"trained_hash": trained, "experiment_hash": digest.hexdigest()}
        return {**found, "changes": json.dumps(self.changes)}

    def _told(self) -> list[tuple[str, str]]:
        rows = [
            ("name", self.experiment.name), ("learner", self.experiment.learner.kind),
            ("neurons", f"{self.n_neurons} {self.experiment.neuron.model}"),
        ]  # fmt: skip
        return [*rows, *((f"change {k}", words) for k, words in enumerate(self.changes, 1))]


def origin_of(network: xr.Dataset) -> dict[str, str]:
    """What a Dataset says of the network that it holds, without how its file was made."""
    kept = ("name", "trained_variable", "experiment_hash", "trained_hash", "stand_in")
    return {name: str(network.attrs[name]) for name in kept if name in network.attrs}


def changes_in(network: xr.Dataset) -> tuple[str, ...]:
    """What a Dataset says was done to its network after training."""
    return tuple(json.loads(network.attrs.get("changes", "[]")))


def write_network(network: xr.Dataset, path: Path) -> None:
    """Write the Dataset of a network or of test trials to a path that is free."""
    with claimed(path), whole(path) as unfinished:
        if path.suffix == ".nc":
            write_unfinished(network, unfinished, compress=True)
        else:
            write_zarr(network, unfinished)
