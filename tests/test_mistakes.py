"""The table of cluster/MISTAKES.md: every mistake is made, and must give the message and exit code shown there."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
import xarray as xr
import yaml
from sweep_stub import stub_point, sweep_document

import hpcspike
from hpcspike import locks
from hpcspike.cli import main
from hpcspike.engine import communication
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.checkpoint_lock import LOCK
from hpcspike.errors import StoreError
from hpcspike.runs import point
from hpcspike.sweep import records
from hpcspike.sweep.integrity import sealed_metadata
from hpcspike.sweep.store import open_store

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "cluster" / "MISTAKES.md"
HEADER = "| mistake | what you type | what you see | what to do |"
RUN_POINT = point.run_point
MPI_WORLD = communication._mpi_world
ANYTHING = "..."  # stands for numbers and paths that differ between machines


class Mistake(NamedTuple):
    """A row of the table: its name, the command, the first line of the message with gaps, and the exit code."""

    name: str
    command: str
    message: str
    code: int

    @property
    def pattern(self) -> str:
        """The message as a regular expression."""
        return ".*".join(re.escape(part) for part in self.message.split(ANYTHING))


def table() -> list[Mistake]:
    """The rows of the page."""
    rows = []
    for line in PAGE.read_text().split(f"{HEADER}\n|---|---|---|---|\n")[1].split("\n\n")[0].splitlines():
        name, command, message, _ = (cell.strip() for cell in line.strip("|").split(" | "))
        code = re.search(r" \(exit code (\d+)\)$", message)
        words = message[: code.start()] if code else message
        rows.append(Mistake(name, command.strip("`"), words.strip("`"), int(code[1]) if code else 2))
    return rows


MISTAKES = table()


class Workshop:
    """A folder with a network and a sweep, and the means to spoil it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, held: ExitStack) -> None:
        self.folder, self.monkeypatch, self.held = folder, monkeypatch, held

    def store(self) -> Path:
        """The store of the sweep, with no results."""
        assert main(["plan", "sweep.yaml", "--create"]) == 0
        return self.folder / "results" / "little.zarr"

    def without(self, *packages: str) -> None:
        """As if these were not installed."""
        for name in packages:
            self.monkeypatch.setitem(sys.modules, name, None)

    def rates(self, **changes: Any) -> None:
        """A recording of three units."""
        values = np.full((3, 11), 10.0)
        values[1, 4] = changes.get("value", 10.0)
        rate = xr.DataArray(values, dims=("unit", "time"), attrs={"units": changes.get("units", "Hz")})
        rate = rate.assign_coords(time=("time", 20.0 * np.arange(11), {"units": "ms"}))
        rate.to_dataset(name="rate").to_netcdf(self.folder / "rates.nc", engine="h5netcdf")

    def ranks(self, count: int) -> None:
        """As if a launcher had started so many."""
        self.monkeypatch.setenv("PMI_SIZE", str(count))
        self.monkeypatch.setenv("PMI_RANK", "0")


def another_result(workshop: Workshop) -> None:
    xr.Dataset(attrs={"experiment_hash": "of another"}).to_netcdf(workshop.folder / "net.nc", engine="h5netcdf")


def full_disk(workshop: Workshop) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    workshop.monkeypatch.setattr(xr.Dataset, "to_netcdf", full)


def read_only(workshop: Workshop) -> None:
    workshop.store()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    workshop.monkeypatch.setattr(locks, "open", refuse, raising=False)


def older_layout(workshop: Workshop) -> None:
    path = workshop.store() / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"] |= {"hpcspike_schema": 2}
    path.write_text(json.dumps(sealed_metadata(metadata)))


def running(workshop: Workshop) -> None:
    workshop.held.enter_context(records.workflow_lock(workshop.store()))


def training(workshop: Workshop) -> None:
    file = workshop.held.enter_context(locks.open_lock(Path("states") / LOCK))
    assert locks.acquire(file)
    locks.sign(file)


def foreign_store(workshop: Workshop) -> None:
    xr.Dataset({"x": ("t", np.arange(3))}).to_zarr(workshop.folder / "other.zarr", zarr_format=3, consolidated=False)


def saved_state(workshop: Workshop) -> None:
    network = hpcspike.load(workshop.folder / "network.yaml")
    point.fit_and_evaluate(network, checkpoints=Checkpoints(workshop.folder / "states"))


def trained(workshop: Workshop) -> None:
    """A network, as ``hpcspike train`` writes it."""
    assert main(["train", "network.yaml", "--out", "net.nc"]) == 0


def finished(workshop: Workshop) -> None:
    """The sweep, all of it."""
    path = workshop.store()
    for batch in range(len(open_store(path).batches)):
        assert main(["run-batch", str(path), "--batch", str(batch)]) == 0


def no_mpi_library(workshop: Workshop) -> None:
    workshop.ranks(2)
    MPI_WORLD.cache_clear()
    broken = ModuleType("mpi4py")

    def fail(name: str) -> Any:
        raise RuntimeError("cannot load MPI library")

    broken.__getattr__ = fail  # type: ignore[method-assign]
    workshop.monkeypatch.setitem(sys.modules, "mpi4py", broken)


def no_mpi4py(workshop: Workshop) -> None:
    workshop.ranks(2)
    MPI_WORLD.cache_clear()
    workshop.without("mpi4py")


def another_mpi(workshop: Workshop) -> None:
    workshop.ranks(2)
    workshop.monkeypatch.setattr(communication, "_mpi_world", communication.World)


def other_learner(workshop: Workshop) -> None:
    changed = sweep_document()
    changed["experiment"]["learner"] = {"kind": "lsnn"}
    (workshop.folder / "sweep.yaml").write_text(yaml.safe_dump(changed))
    workshop.store()
    workshop.monkeypatch.setattr(point, "run_point", RUN_POINT)
    workshop.without("jax")


def nothing(workshop: Workshop) -> None:
    """The folder is fine as it is; the mistake is in the command."""


PREPARED: dict[str, Callable[[Workshop], Any]] = {
    "a file in another encoding": lambda w: (w.folder / "network.yaml").write_bytes(b"\xff\xfen\x00a\x00"),
    "a key twice": lambda w: (w.folder / "network.yaml").write_text("seed: 1\nseed: 2\n"),
    "a file that is not YAML": lambda w: (w.folder / "network.yaml").write_text("network: {n_neurons: 20\ntargets:"),
    "YAML without sections": lambda w: (w.folder / "network.yaml").write_text("just a note\n"),
    "a result that is there already": another_result,
    "output where you may not write": lambda w: w.monkeypatch.setattr(os, "access", lambda *_: False),
    "a folder in place of which there is a file": lambda w: (w.folder / "runs").write_text("notes"),
    "a new folder where something is": Workshop.store,
    "a full disk": full_disk,
    "results that are read-only": read_only,
    "a changed sweep, where results are": Workshop.store,
    "a store of an older version": older_layout,
    "two workflows on one sweep": running,
    "two jobs with one folder of checkpoints": training,
    "another program's store": foreign_store,
    "a batch that does not exist": Workshop.store,
    "a point that does not exist": Workshop.store,
    "a value that is not in the sweep": Workshop.store,
    "tables before results": Workshop.store,
    "trials of a sweep": Workshop.store,
    "a neuron that is not there": trained,
    "a sweep compared with a network": lambda w: (finished(w), trained(w)),
    "spikes of a whole sweep": Workshop.store,
    "a crate without its package": lambda w: (finished(w), w.without("rocrate", "rocrate.rocrate")),
    "further training without its length": trained,
    "further training of another network": trained,
    "figures on ranks": lambda w: w.ranks(2),
    "going on with a changed experiment": saved_state,
    "gaps in the recording": lambda w: w.rates(value=np.nan),
    "a recording without a unit": lambda w: w.rates(units="spikes"),
    "a recording that is too short": Workshop.rates,
    "a recording whose times may be in s": lambda w: (w.folder / "rates.csv").write_text("time,a,b\n0,9,8\n0.1,9,7\n"),
    "a recording whose unit contradicts the experiment": lambda w: w.rates(units="kHz"),
    "an array that may be units x time or time x units": lambda w: np.save(w.folder / "rates.npy", np.ones((3, 11))),
    "rates that no neuron can reach": lambda w: w.rates(value=4321.0),
    "NWB without pynwb": lambda w: (w.without("pynwb"), (w.folder / "session.nwb").touch()),
    "a learner without JAX": other_learner,
    "ranks without mpi4py": no_mpi4py,
    "ranks without an MPI library": no_mpi_library,
    "the mpiexec of another MPI": another_mpi,
}
"""What makes a mistake possible, where the command alone does not."""


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_document: dict[str, Any]) -> Iterator[Workshop]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # commands set thread limits for their process
    monkeypatch.setattr(point, "run_point", stub_point)
    (tmp_path / "network.yaml").write_text(yaml.safe_dump(tiny_document, sort_keys=False))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep_document(), sort_keys=False))
    recorded = {"kind": "recorded", "path": "rates.nc", "holds": "rate"}
    document = {**tiny_document, "targets": recorded, "network": {}, "training": {"variable": "rate", "n_loops": 1}}
    (tmp_path / "recorded.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    with ExitStack() as held:
        yield Workshop(tmp_path, monkeypatch, held)
    MPI_WORLD.cache_clear()


def test_every_mistake_that_is_prepared_is_in_the_table() -> None:
    names = [mistake.name for mistake in MISTAKES]
    assert len(names) == len(set(names)) >= 20
    assert set(PREPARED) <= set(names)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_shows_the_message_of_the_table(
    workshop: Workshop, mistake: Mistake, capsys: pytest.CaptureFixture[str]
) -> None:
    PREPARED.get(mistake.name, nothing)(workshop)
    capsys.readouterr()
    code, message = made(mistake.command)
    out, err = capsys.readouterr()
    lines = [message] if message else [line for line in err.splitlines() if line.startswith("hpcspike: error: ")]
    assert lines, err
    assert re.fullmatch(mistake.pattern, lines[0]), f"write this into the table:\n{lines[0]}"
    assert code == mistake.code
    assert "Traceback" not in out + err
    # key, value or file, then what is allowed or what to do: never one word
    assert len(lines[0].removeprefix("hpcspike: error: ").split()) > 5


def made(command: str) -> tuple[int, str]:
    """Exit code of a command line in this process; the workflow's words where it is one of Snakemake."""
    program, *arguments = shlex.split(command)
    if program == "snakemake":
        with pytest.raises(StoreError) as caught:
            records.workflow_lock(Path("results/little.zarr"))
        return 1, str(caught.value)
    if program == "mpiexec":
        program, *arguments = arguments[2:]
    assert program == "hpcspike"
    try:
        return main(arguments), ""
    except SystemExit as end:
        return int(end.code or 0), ""


def test_no_row_of_the_table_is_longer_than_a_page_is_wide() -> None:
    assert all(len(mistake.message) < 400 for mistake in MISTAKES)
