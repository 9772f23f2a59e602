"""Ranks that were given different work: refused on all, before anything is done, by one message with key and values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

import hpcspike
from hpcspike.cli import main
from hpcspike.engine.agreement import _difference, agree_on, same_checkpoints, same_experiment, same_program
from hpcspike.engine.checkpoint import Checkpoints
from hpcspike.engine.communication import World
from hpcspike.errors import ResourceError, SpecError
from hpcspike.launcher import (
    ALONE,
    WAIT_SECONDS,
    launched_rank,
    launched_ranks,
    leftover,
    refuse_ranks,
    seconds_to_wait,
)
from tests.mpi_launch import ROOT, launch
from tests.test_mpi_train import DOCUMENT

DIFFER = ROOT / "tests" / "mpi_differ.py"

FIELDS: list[tuple[str, Any, Any]] = [
    ("seed", 1, 2),
    ("replicate", 0, 1),
    ("name", "this", "that"),
    ("network.n_neurons", 29, 31),
    ("neuron.bias", 2.0, 3.0),
    ("neuron.tau_ms", 10.0, 12.0),
    ("synapse.tau_syn_ms", 20.0, 21.0),
    ("connectivity.probability", 0.5, 0.25),
    ("connectivity.zero_row_sum", True, False),
    ("targets.grid_ms", 1.0, 2.0),
    ("targets.duration_ms", 24.0, 26.0),
    ("targets.n_sets", 2, 1),
    ("stimulus.duration_ms", 5.0, 6.0),
    ("protocol.free_run_ms", 5.0, 7.0),
    ("training.dtype", "float32", "float64"),
    ("training.ridge", 1.0, 2.0),
    ("training.n_loops", 1, 2),
    ("training.algorithm", "blocked", "textbook"),
    ("training.update_interval_ms", 2.0, 4.0),
    ("measures.n_test_trials", 2, 3),
]
"""One field each, and what two ranks have."""

TRAIN = "train network.yaml --out out.zarr"
BATCH = "run-batch sweep.zarr --batch 0"
OPTIONS: list[tuple[str, str, str, str]] = [
    (TRAIN, "--out", "out.zarr", "other.zarr"),
    (TRAIN, "--threads", "1", "2"),
    (TRAIN, "--checkpoint", "states", "elsewhere"),
    (TRAIN, "--checkpoint-every-loops", "1", "2"),
    (TRAIN, "--checkpoint-every-minutes", "1.0", "2.0"),
    (TRAIN, "--time-limit", "10.0", "20.0"),
    (BATCH, "--batch", "0", "1"),
    (BATCH, "--threads", "1", "2"),
    (BATCH, "--save-minutes", "1.0", "2.0"),
    (BATCH, "--keep-states", "states", "elsewhere"),
    (BATCH, "--time-limit", "10.0", "20.0"),
]
"""One option each: the command, and what two ranks have."""

CALLS: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("run", {"options": {"threads": 1}}, {"options": {"threads": 2}}, ["threads: rank 0 has 1, rank 1 has 2"]),
    ("run", {"changes": {"seed": 4}}, {"changes": {"seed": 6}}, ["seed: rank 0 has 4, rank 1 has 6"]),
    ("train", {"options": {"threads": 1}}, {"options": {"threads": 2}}, ["threads: rank 0 has 1, rank 1 has 2"]),
    (
        "train",
        {"changes": {"training.ridge": 1.0}},
        {"changes": {"training.ridge": 5.0}},
        ["training.ridge: rank 0 has 1.0, rank 1 has 5.0"],
    ),
    (
        "run_batch",
        {"options": {"path": "sweep.zarr", "batch": 0}},
        {"options": {"path": "sweep.zarr", "batch": 1}},
        ["batch: rank 0 has 0, rank 1 has 1"],
    ),
    ("run_batch", {"options": {"path": "a.zarr", "batch": 0}}, {"options": {"path": "b.zarr", "batch": 0}}, ["a.zarr"]),
]
"""One call each of the Python API: its name, what two ranks give it, and what the message says."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all that the cases need, and nothing that they make."""
    (tmp_path / "network.yaml").write_text(yaml.safe_dump(DOCUMENT))
    (tmp_path / "broken.yaml").write_text("network: {n_neurons: 0}\n")
    for rank, rate in enumerate((5.0, 6.0)):
        values = np.full((12, 20), rate) + np.arange(20)
        rates = xr.DataArray(values, dims=("neuron", "time"), coords={"time": np.arange(1.0, 21.0)}, name="rate")
        rates["time"].attrs["units"], rates.attrs["units"] = "ms", "Hz"
        rates.to_dataset().to_netcdf(tmp_path / f"rates{rank}.nc", engine="h5netcdf")
    return tmp_path


@pytest.mark.mpi
def test_every_field_option_and_argument_that_differs_is_refused_on_all_ranks(folder: Path) -> None:
    recorded = f"{TRAIN} --set targets='{{kind: recorded, path: rates%d.nc}}' --set training.variable=rate"
    broken = "train broken.yaml --out out.zarr"
    set_to = "--set %s=%s"
    cases: list[tuple[Any, list[str]]] = [
        *(
            (
                ["command", *(f"{TRAIN} {set_to % (key, json.dumps(value))}" for value in (first, other))],
                [f"{key}: rank 0 has {json.dumps(first)}, rank 1 has {json.dumps(other)}"],
            )
            for key, first, other in FIELDS
        ),
        *(
            (
                ["command", f"{line} {key} {first}", f"{line} {key} {other}"],
                [f'{key}: rank 0 has "{first}", rank 1 has "{other}"'],
            )
            for line, key, first, other in OPTIONS
        ),
        *((["call", {"call": name, **a}, {"call": name, **b}], words) for name, a, b, words in CALLS),
        (["command", TRAIN, BATCH], ['command: rank 0 has "hpcspike train", rank 1 has "hpcspike run-batch"']),
        (["command", TRAIN, broken], ["network.n_neurons = 0", "so on rank 1, not on all 2 ranks"]),
        (["command", broken, TRAIN], ["network.n_neurons = 0", "so on rank 0, not on all 2 ranks"]),
        (["command", recorded % 0, recorded % 1], ['targets.path: rank 0 has "sha256:']),
    ]
    (folder / "cases.json").write_text(json.dumps([case for case, _ in cases]))
    before = sorted(folder.iterdir())
    done = launch(2, DIFFER, "cases.json", folder=folder)
    assert done.code == 0, done
    found = json.loads((folder / "found.json").read_text())
    assert len(found) == len(cases) >= 40
    for (case, words), result in zip(cases, found, strict=True):
        assert result["outcomes"] in ([2, 2], ["SpecError", "SpecError"]), (case, result)
        assert all(text in result["said"] for text in words), (case, result)
        assert ("rank 1 has" in result["said"]) == (ALONE in result["said"]), (case, result)
    assert sorted(folder.iterdir()) == sorted([*before, folder / "found.json"])


# ---- calls that only some ranks make ---------------------------------------------------------------------------------

LEAVES = """
import sys
import hpcspike
from hpcspike.engine.communication import connect

world = connect()
if world.rank == 0:
    hpcspike.run(hpcspike.load("network.yaml"))
"""


@pytest.mark.mpi
@pytest.mark.parametrize("way", [("-m", "mpi4py"), ()])
def test_a_call_that_one_rank_does_not_make_ends_with_a_message(folder: Path, way: tuple[str, ...]) -> None:
    (folder / "leaves.py").write_text(LEAVES)
    done = launch(2, *way, "leaves.py", folder=folder, timeout=60.0, HPCSPIKE_WAIT_SECONDS="1")
    assert done.code != 0, done
    assert done.err.count("hpcspike.run: waited 1 s for the other ranks, and not all have come") == 1, done


@pytest.mark.mpi
@pytest.mark.parametrize("other", ["plan network.yaml", "train --no-such-option"])
def test_a_rank_that_runs_something_else_ends_the_others_with_a_message(folder: Path, other: str) -> None:
    code = (
        "import sys\nfrom hpcspike.cli import main\nfrom hpcspike.launcher import launched_rank\n"
        f"sys.exit(main({TRAIN!r}.split() if launched_rank() == 0 else {other!r}.split()))\n"
    )
    done = launch(2, "-c", code, folder=folder, timeout=60.0, HPCSPIKE_WAIT_SECONDS="2")
    assert done.code != 0, done
    if "prterun" not in done.out + done.err:  # Open MPI's launcher ends the other ranks itself, and says so
        assert done.code == 2, done
        assert done.err.count("rank 0: hpcspike: error: waited 2 s for the other ranks to start, and not all have") == 1
    assert not (folder / "out.zarr").exists()


@pytest.mark.mpi
def test_a_rank_may_take_its_time_between_two_collectives(folder: Path) -> None:
    code = (
        "import sys, time\nfrom hpcspike.cli import main\nfrom hpcspike.commands import train\n"
        "from hpcspike.launcher import launched_rank\n"
        "prepare = train._prepare\n"
        "def slow(*given):\n    time.sleep(3 if launched_rank() else 0)\n    return prepare(*given)\n"
        f"train._prepare = slow\nsys.exit(main({TRAIN!r}.split()))\n"
    )
    done = launch(2, "-c", code, folder=folder, HPCSPIKE_WAIT_SECONDS="2")
    assert done.code == 0, done
    assert (folder / "out.zarr").exists()


@pytest.mark.mpi
def test_ranks_that_are_told_to_work_alone_do(folder: Path) -> None:
    code = (
        "import os, sys\nfrom hpcspike.cli import main\n"
        "number = os.environ.get('PMI_RANK') or os.environ['OMPI_COMM_WORLD_RANK']\n"
        "sys.exit(main(['train', 'network.yaml', '--out', f'out{number}.zarr', '--set', f'seed={number}']))\n"
    )
    done = launch(2, "-c", code, folder=folder, HPCSPIKE_ALONE="1")
    assert done.code == 0, done
    seeds = [json.loads(hpcspike.open_network(folder / f"out{k}.zarr").attrs["experiment"])["seed"] for k in (0, 1)]
    assert seeds == [0, 1]


# ---- without ranks ---------------------------------------------------------------------------------------------------


class Ranks(World):
    """Two ranks, of which the other says what it is told to."""

    size = 2

    def __init__(self, others: dict[str, Any], *, comes: bool = True) -> None:
        super().__init__()
        self._others, self._comes, self.waited = others, comes, -1.0

    def meet(self, seconds: float) -> bool:
        self.waited = seconds
        return self._comes

    def gather(self, thing: Any) -> list[Any]:
        if isinstance(thing, bytes):
            return [thing, b"another"]
        return [thing, {key: json.dumps(value, ensure_ascii=False) for key, value in self._others.items()}]


def test_the_message_shows_every_key_with_both_values() -> None:
    world = Ranks({"command": "work", "a.b": 3, "c": "é"})
    with pytest.raises(SpecError) as caught:
        agree_on(world, "work", lambda: {"a": {"b": 2}, "c": "é", "d": None})
    said = str(caught.value)
    assert "different work: a.b: rank 0 has 2, rank 1 has 3; d: rank 0 has null, rank 1 has none. Give all 2" in said
    assert f"{ALONE}=1" in said


def test_the_message_is_short_whatever_differs() -> None:
    ranks = [{f"key{k}": json.dumps(f"{number}" * 500) for k in range(40)} for number in range(3)]
    said = _difference(ranks)
    assert said.count("rank 0 has") == 5
    assert "; and 35 more. Give all 3" in said
    assert len(said) < 2000


def test_another_command_is_named_alone() -> None:
    said = _difference([{"command": '"a"', "x": "1"}, {"command": '"a"', "x": "1"}, {"command": '"b"', "y": "2"}])
    assert 'different work: command: rank 0 has "a", rank 2 has "b". Give all 3' in said


def test_ranks_wait_a_minute_or_as_long_as_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WAIT_SECONDS, raising=False)
    world = Ranks({}, comes=False)
    with pytest.raises(ResourceError, match="work: waited 60 s for the other ranks, and not all have come"):
        agree_on(world, "work", dict)
    assert world.waited == 60.0
    monkeypatch.setenv(WAIT_SECONDS, "0")
    assert seconds_to_wait() == float("inf")
    for wrong in ("soon", "-1", "nan", ""):
        monkeypatch.setenv(WAIT_SECONDS, wrong)
        with pytest.raises(ResourceError, match=f"{WAIT_SECONDS} = {wrong}: must be a number of seconds"):
            seconds_to_wait()


def test_one_process_computes_nothing_to_agree_on() -> None:
    def fail() -> dict[str, Any]:
        raise AssertionError

    agree_on(World(), "work", fail)


def test_checkpoints_and_the_program_belong_to_what_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = same_checkpoints(Checkpoints(Path("states"), every_loops=2, started=1.0))
    assert one == same_checkpoints(Checkpoints(tmp_path / "states", every_loops=2, started=9.0))
    assert one["checkpoint"] == str(tmp_path / "states")
    assert one != same_checkpoints(Checkpoints(Path("states"), every_loops=3))
    program = same_program()
    assert program["working folder"] == str(tmp_path)
    assert {"version of hpcspike", "sources of hpcspike", "version of numpy"} <= program.keys()


def test_an_experiment_is_compared_with_its_name() -> None:
    experiment = hpcspike.Experiment.model_validate(DOCUMENT)
    assert same_experiment(experiment)["name"] == "spread"
    assert same_experiment(experiment)["network"]["n_neurons"] == 29


def test_a_process_that_is_told_to_work_alone_is_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "4")
    monkeypatch.setenv("PMI_RANK", "3")
    monkeypatch.setenv("PMI_FD", "9999")
    monkeypatch.setenv(ALONE, "0")
    assert (launched_ranks(), launched_rank()) == (4, 3)
    stale = leftover()
    assert stale is not None
    assert "PMI_FD = 9999 and PMI_SIZE = 4 say that mpiexec started this process" in stale
    monkeypatch.setenv(ALONE, "1")
    assert (launched_ranks(), launched_rank(), leftover()) == (1, 0, None)


@pytest.mark.parametrize(
    "command",
    [
        "study s.yaml", "show s.zarr", "test n.nc", "plot s.zarr --out figures", "report s.zarr --out p.html",
        "export s.zarr s.nc", "analyse s.zarr --out t", "compare a.nc b.nc", "finalize s.zarr", "bench", "init d",
    ],
)  # fmt: skip
def test_what_works_in_one_process_is_refused_on_ranks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setenv("PMI_RANK", "0")
    verb = command.split()[0]
    assert main(command.split()) == 2
    assert f"hpcspike {verb} works in one process, but 3 ranks were started" in capsys.readouterr().err
    monkeypatch.setattr("hpcspike.launcher.let_first_speak", lambda: None)
    monkeypatch.setenv("PMI_RANK", "1")
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("PMI_SIZE")
    refuse_ranks(verb)


def test_what_only_says_something_may_run_on_every_rank(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PMI_SIZE", "3")
    assert main(["schema", "sweep"]) == 0
    assert main(["verify", "no.zarr"]) == 2
    assert "ranks" not in capsys.readouterr().err
