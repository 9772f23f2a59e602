"""What the workflow must know before its first job: the batches of a sweep and what each will need."""

from __future__ import annotations

import difflib
import itertools
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcspike.errors import SpecError
from hpcspike.identity import experiment_hash, sweep_hash
from hpcspike.plugins import files, sources_in
from hpcspike.runs.facts import refuse_in_vain
from hpcspike.spec.experiment import Experiment
from hpcspike.spec.fields import FILE_NAME
from hpcspike.spec.load import load
from hpcspike.spec.study import Study
from hpcspike.spec.sweep import Sweep
from hpcspike.spec.yaml_text import shown, shown_text
from hpcspike.sweep.cost import BASE_MIB
from hpcspike.sweep.durable import read_sealed
from hpcspike.sweep.layout import SCHEMA, UNVOUCHED
from hpcspike.sweep.plan import Batches
from hpcspike.sweep.records import receipt_path, round_path

if TYPE_CHECKING:
    from hpcspike.sweep.grid import Grid

SNAKEMAKE_MIB = 350
"""Memory of a job beside that of its batch: a scheduler counts the two Snakemake processes that start it, too."""


@dataclass(frozen=True)
class Jobs:
    """The jobs of one sweep.

    Attributes
    ----------
    sweep
        The validated sweep.
    store
        Folder of its store.
    identity
        Changes when the sweep does, or a user's code that it names.
    batches
        Predicted time, memory and ranks of every batch.
    runs_user_code
        Whether the sweep names such code.
    equal_needs
        Whether every batch of one process asks for as much as the largest of them.
    """

    sweep: Sweep
    store: Path
    identity: str
    batches: Batches
    runs_user_code: bool = False
    equal_needs: bool = False

    @property
    def receipts(self) -> list[str]:
        """The file that each batch leaves when it is complete."""
        return [str(receipt_path(self.store, batch)) for batch in range(len(self.batches))]

    def numbers(self, *, mpi: bool) -> str:
        """Regular expression of the numbers of the batches that MPI ranks compute, or of the others."""
        if self.adaptive:  # more follow, none of them for MPI
            return "none" if mpi else "[0-9]+"
        chosen = [f"{batch:04d}" for batch, ranks in enumerate(self.batches.ranks) if (ranks > 1) == mpi]
        return "|".join(chosen) or "none"

    @property
    def adaptive(self) -> bool:
        """Whether batches are added while the sweep runs."""
        return self.sweep.adaptive is not None

    def now(self, batch: int) -> Batches:
        """The batches, read again from the store where one has been added since."""
        if batch < len(self.batches):
            return self.batches
        found = _planned(self.store, self.sweep)
        return self.batches if found is None else found

    def round_needs(self, number: int) -> list[str]:
        """Files that must be there before a round of an adaptive sweep is chosen."""
        assert self.sweep.adaptive is not None
        complete = [self.round(earlier) for earlier in range(number - self.sweep.adaptive.ahead)]
        needed = [receipt for known in complete if known for receipt in self.receipts_of(known)]
        return ([str(round_path(self.store, number - 1))] if number else []) + needed

    def round(self, number: int) -> dict[str, Any] | None:
        """What the receipt of a round says; None if there is none."""
        return read_sealed(round_path(self.store, number))

    def rounds(self) -> Iterator[dict[str, Any]]:
        """What the receipts of the rounds say that are there."""
        for number in itertools.count():
            known = self.round(number)
            if known is None:
                return
            yield known

    def receipts_of(self, known: Mapping[str, Any]) -> list[str]:
        """The files that the batches of a round leave."""
        return [str(receipt_path(self.store, batch)) for batch in known["batches"]]

    def ranks(self, batch: int) -> int:
        """MPI ranks of a batch."""
        return self.now(batch).ranks[batch]

    def minutes(self, batch: int, *, attempt: int = 1) -> int:
        """Time to ask for: three times the prediction, more at each attempt, never below ten minutes."""
        now = self.now(batch)
        seconds = max(now.seconds[k] / now.ranks[k] for k in self._alike(batch))
        return max(10, math.ceil(3.0 * attempt * seconds / 60.0))

    def memory(self, batch: int, *, attempt: int = 1) -> int:
        """Memory to ask for in MB: a third above the prediction, more at each attempt, and what Snakemake takes."""
        now = self.now(batch)
        all_ranks = max(now.memory_mib[k] + BASE_MIB * (now.ranks[k] - 1) for k in self._alike(batch))
        return math.ceil((1.3 * attempt * all_ranks + SNAKEMAKE_MIB) * 1.048576)

    def _alike(self, batch: int) -> list[int]:
        """The batches that ask for the same."""
        if not self.equal_needs or self.ranks(batch) > 1:
            return [batch]
        return [k for k, ranks in enumerate(self.now(batch).ranks) if ranks == 1]

    def memory_per_rank(self, batch: int, *, attempt: int = 1) -> int:
        """Memory to ask for in MB for each rank of a batch."""
        return math.ceil(self.memory(batch, attempt=attempt) / self.ranks(batch))


DEFAULT_NETWORKS = ("cluster/config/fig1_drive.yaml", "cluster/config/fig1_rate.yaml")
"""Trained beside the default sweep, and only beside that."""

_LONGEST_SETTING = 60

_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "text"), "number": ((int, float), "a number"), "boolean": (bool, "True or False"),
    "array": (list, "a list"),
}  # fmt: skip


def check_settings(settings: Mapping[str, Any], schema: Path) -> None:
    """Refuse settings of the workflow that its schema does not have, or that are of another kind, in one line.

    Raises
    ------
    SpecError
        If there is one; it says what there is.
    """
    known = json.loads(schema.read_text())["properties"]
    for key, value in settings.items():
        if key not in known:
            close = difflib.get_close_matches(key[:_LONGEST_SETTING], known, n=1)
            hint = f"did you mean {close[0]}? Known" if close else "known"
            raise SpecError(f"--config {shown_text(key)}: unknown setting; {hint} settings: {', '.join(known)}")
        kind, words = _KINDS[known[key]["type"]]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise SpecError(f"--config {key}={shown_text(str(value))}: must be {words}; {known[key]['description']}")
        for text in value if isinstance(value, list) else [value]:
            _refuse_marks(key, text)


def _refuse_marks(key: str, text: Any) -> None:
    """Paths and names stand in Snakemake's patterns and on command lines, where some characters mean something else."""
    if isinstance(text, str) and (text.startswith("-") or not text.isprintable() or set(text) & set("{}")):
        raise SpecError(
            f"--config {key}={shown(text)}: must not begin with '-', nor hold braces or what cannot be printed; "
            "choose another name"
        )


def networks_beside(settings: Mapping[str, Any]) -> list[str]:
    """The experiments that are trained beside a sweep: those asked for, two of the paper beside the default sweep."""
    given = settings.get("networks")
    return list(given) if given is not None else [] if "sweep" in settings else list(DEFAULT_NETWORKS)


@dataclass(frozen=True)
class Network:
    """A single network that the workflow trains: its name, its config, and an identity that changes when it does."""

    name: str
    config: str
    identity: str


def plan_networks(configs: Iterable[str], *, sweep: str) -> dict[str, Network]:
    """The networks that are trained beside a sweep, by their names, which are those of the folders of their results.

    Parameters
    ----------
    configs
        Experiments in YAML.
    sweep
        Name of the sweep.

    Raises
    ------
    SpecError
        If a config is wrong, or is a sweep, or a name is taken: one result would take the place of the other.
    """
    networks: dict[str, Network] = {}
    for network in map(plan_network, configs):
        if not re.fullmatch(FILE_NAME["pattern"], network.name) or len(network.name) > FILE_NAME["max_length"]:
            raise SpecError(
                f"{network.config}: name = {shown(network.name)}: files are called by it here, so it must be letters, "
                f"digits, '.', '_' and '-', a letter or digit first, and have at most {FILE_NAME['max_length']} of them"
            )
        taken = networks[network.name].config if network.name in networks else "the sweep"
        if network.name in networks or network.name == sweep:
            raise SpecError(f"{network.config}: name = {network.name!r} is that of {taken}, too; choose another name")
        networks[network.name] = network
    return networks


def plan_network(config: str) -> Network:
    """What the workflow must know to train one network.

    Raises
    ------
    SpecError
        If the config is wrong, or is a sweep.
    """
    experiment = load(config)
    if not isinstance(experiment, Experiment):
        raise SpecError(f"{config} is no single experiment; give a sweep as 'sweep', single experiments as 'networks'")
    refuse_in_vain(experiment)
    return Network(experiment.name, config, experiment_hash(experiment))


def plan_jobs(
    config: str | Path,
    *,
    size: str | None = None,
    results: str | Path = "results",
    mend: bool = False,
    equal_needs: bool = False,
) -> Jobs:
    """The jobs of a sweep: as its store says if there is one, otherwise as they will be planned.

    The job that plans makes the store, or adds the points by which a sweep has grown. Here it is only read, unless it
    shall be mended: then all its files are checked, and receipts that do not hold are removed, so that those steps
    are done again.

    Parameters
    ----------
    config
        Sweep in YAML.
    size
        Entry of its ``sizes`` section.
    results
        Folder of the stores.
    mend
        Restore a damaged plan from its copy, and withdraw receipts of what is damaged; said on stderr.
    equal_needs
        Whether batches of one process ask for as much as the largest of them, as job arrays want it.

    Raises
    ------
    SpecError
        If the config is wrong, or is not a sweep.
    StoreError
        If the store is that of another sweep.
    """
    sweep = load(config, size=size)
    if isinstance(sweep, Study):
        raise SpecError(f"{config} is a study, not a sweep; run it with 'hpcspike study {config}'")
    if isinstance(sweep, Experiment):
        raise SpecError(f"{config} is one experiment, not a sweep; train it with 'hpcspike train {config} --out PATH'")
    store = Path(results) / f"{sweep.name}.zarr"
    if mend:
        from hpcspike.sweep.withdrawal import mend_for_workflow

        for what in mend_for_workflow(store):
            print(f"{store}: {what}; mended by this run", file=sys.stderr)
    batches = _planned(store, sweep) or _as_it_will_be(store, sweep)
    code = [json.dumps(files(source, key=key)) for key, source in sources_in(sweep)]
    return Jobs(
        sweep, store, "".join([sweep_hash(sweep), *code]), batches, runs_user_code=bool(code), equal_needs=equal_needs
    )


def sweep_figures(sweep: Sweep, store: Path | None = None) -> list[str]:
    """Names of the figures that the results of a sweep will allow; points are read from its store, if there is one."""
    import numpy as np
    import xarray as xr

    from hpcspike.figures import figures_for
    from hpcspike.variables import POINT_RESULTS

    coordinates, n_loops = _coordinates(sweep, store)
    sizes = {"point": len(next(iter(coordinates.values()))), "loop": n_loops}
    blank = {
        name: (variable.dims, np.broadcast_to(np.nan, tuple(sizes[dim] for dim in variable.dims)))
        for name, variable in POINT_RESULTS.items()
    }
    columns = {name: ("point", part) for name, part in coordinates.items()}
    # the document says what was asked for; with all replicates, since figures of a part of a sweep are the same ones
    document = {"sweep": sweep.model_dump_json()}
    return list(figures_for(xr.Dataset(blank, coords=columns, attrs=document)))


def _coordinates(sweep: Sweep, store: Path | None) -> tuple[dict[str, Any], int]:
    """(points,) values of every parameter, and the longest learning curve."""
    from hpcspike.sweep.grid import PLANNED
    from hpcspike.sweep.store import open_store

    if store is None or _planned(store, sweep) is None:
        grid = _grid(sweep.model_copy(update={"replicates": 1}))
        return {name: item.values for name, item in grid.coordinates.items()}, grid.n_loops
    there = open_store(store)
    names = [name for name in str(there.attributes["coordinates"]).split() if name not in (*PLANNED, "loop")]
    first = there.planned
    if sweep.adaptive is None:  # whose places have a network each, of any number
        first = first & (there.group["replicate"][:] == 0)
    return {name: there.group[name][:][first] for name in names}, int(there.group["curve_correlation"].shape[1])


def _planned(store: Path, sweep: Sweep) -> Batches | None:
    # plain JSON: this is read in every process of a workflow, and zarr takes a second to import
    try:
        attributes = json.loads((store / "zarr.json").read_text())["attributes"]
        if attributes["hpcspike_schema"] not in (SCHEMA, UNVOUCHED) or attributes["sweep_hash"] != sweep_hash(sweep):
            return None
        return Batches.from_json(attributes["batches"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _as_it_will_be(store: Path, sweep: Sweep) -> Batches:
    from hpcspike.sweep.growth import grown, planned
    from hpcspike.sweep.store import open_store

    if sweep.adaptive is not None and (store.exists() or store.is_symlink()):
        from hpcspike.adaptive.rounds import refuse_other_places

        there = open_store(store)
        refuse_other_places(there, sweep)
        return there.batches
    grid = _grid(sweep)
    if not (store.exists() or store.is_symlink()):
        return planned(grid).batches
    there = open_store(store)
    table = grown(there, grid)
    return there.batches if table is None else table.batches


def _grid(sweep: Sweep) -> Grid:
    """The points that a sweep begins with: all of them, or the first round of an adaptive one."""
    if sweep.adaptive is not None:
        from hpcspike.adaptive.rounds import first_grid

        return first_grid(sweep)
    from hpcspike.sweep.grid import build_grid

    return build_grid(sweep)
